"""The progress of a training: the live view of a terminal, and the lines of a pipe."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console
from support.loops import ONE_THREAD
from support.results import HOSTILE, build_workspace, make_run
from support.terminal import Terminal

from trainers.run_files import RunWriter, read_run
from trainers.settings import TrainSettings
from workbench.commands.train.progress import LiveProgress, figure_rows, progress_line, sparkline
from workbench.jobs.training.machine_load import LoadMeter, MachineLoad
from workbench.jobs.training.run_monitor import read_detail


def test_a_line_of_progress(tmp_path: Path) -> None:
    row = {"step": 1500, "steps": 4500, "loss": 1.23456, "val_loss": 2.0, "pairs_per_s": 412.4, "seconds": 1800.0}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    assert progress_line(read_run(tmp_path)) == (
        "step 1,500 of 4,500  loss 1.2346  val 2.0000  412 pairs/s  1:00:00 left"
    )


def test_the_live_view_counts_images_then_steps_in_a_terminal(tmp_path: Path) -> None:
    code = """if True:
        import sys
        from pathlib import Path
        from trainers.run_files import RunWriter, read_run
        from workbench.commands.train.progress import training_progress
        folder = Path(sys.argv[1])
        writer = RunWriter(folder)
        with training_progress(folder) as progress:
            writer.log("warning: 2 of 24 pairs have no image")
            writer.log("encoding pictures 1,200 of 82,783")
            progress.on_state(read_run(folder))
        with training_progress(folder) as progress:
            writer.metrics({"step": 7, "steps": 90, "loss": 1.5, "val_loss": None, "seconds": "odd"})
            progress.on_state(read_run(folder))"""
    with Terminal([sys.executable, "-c", code, tmp_path], columns=100, **ONE_THREAD) as terminal:
        assert terminal.end() == 0
        output = re.sub(rb"\x1b\[[\d;?]*\w", b"", terminal.output)
    assert b"negwb: warning: 2 of 24" in output
    assert b"1,200 of 82,783  encoding pictures" in output
    assert b"7 of 90" in output
    assert b"loss     1.5000" in output


def shown(view: LiveProgress, *, width: int = 80) -> list[str]:
    console = Console(width=width, force_terminal=False, color_system=None)
    with console.capture() as captured:
        console.print(view.render())
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [80, 120])
def test_the_live_view_has_all_figures_of_the_run(tmp_path: Path, width: int) -> None:
    folder = make_run(
        build_workspace(tmp_path / "w"), "run", 20, done=False, settings=TrainSettings(criterion="loss"), guard=True
    )
    view = LiveProgress(folder, lambda *args, **more: None)
    view.on_state(read_run(folder))
    load = MachineLoad(cpu=0.93, cores=2, memory=5_100_000_000, memory_total=15_600_000_000, job_memory=1_200_000_000)
    view._load = lambda: load
    bar, *rows = shown(view, width=width)
    assert bar.endswith(" 20 of 40  0:10 left")
    assert rows == [
        "loss     1.1036 █▇▇▆▆▅▅▅▄▄▄▃▃▃▂▂▂▁▁▁",
        "val      2.7000, best 2.7000 at step 20",
        "accuracy R@1 25.0%",
        "guard    affirmative R@1: images 63.2% → 61.2%, texts 61.1% → 59.1%",
        "speed    lr 1.00e-06 · 812 pairs/s · 10 s so far",
        "machine  cpu 93% of 2 cores, memory 5.1 of 15.6 GB, training 1.2 GB",
    ]


def test_the_criterion_is_the_validation_of_the_view(tmp_path: Path) -> None:
    folder = make_run(
        build_workspace(tmp_path / "w"), "run", settings=TrainSettings(criterion="recall_at_1"), guard=True
    )
    rows = dict(figure_rows(read_detail(folder)))
    assert rows["val"] == "R@1 45.0%, best R@1 45.0% at step 40"
    assert "accuracy" not in rows


def test_the_live_view_survives_damaged_and_hostile_files(tmp_path: Path) -> None:
    folder = make_run(build_workspace(tmp_path / "w"), "run", 2, done=False, log="")
    lines: list[str] = []
    view = LiveProgress(folder, lambda text: lines.append(str(text)))
    RunWriter(folder).log(HOSTILE)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": "x", "loss": 1e308, "lr": -1e999, "val_loss": "[/x]", "seconds": 1e400}\n[]\n\x1b[2J\n')
        file.write('{"step": 3, "steps": 0, "loss": 1.7e308}\n{"step": 4, "steps": 0, "loss": 1.7e308}\n')
    view.on_state(read_run(folder))
    text = "\n".join([*shown(view), *lines])
    assert not re.search("[\x00-\x09\x1b\u202e\u2066]", text)
    (folder / "config.json").write_bytes(b"\xff")
    view.on_state(read_run(folder))
    assert shown(view)
    for path in folder.iterdir():
        path.unlink()
    view.on_state(read_run(folder))
    assert len(shown(view)) == 1


def test_a_sparkline_shows_means_of_equal_sections() -> None:
    assert sparkline([3, 2, 1, 0], 4) == "█▆▃▁"
    assert sparkline([8, 6, 1, 1], 2) == "█▁"
    assert sparkline([1, 1], 9) == "▁▁"
    assert sparkline([1], 9) == sparkline([1.7e308] * 4, 1) == ""


def test_the_load_is_measured_once_a_second_from_the_second_reading_on() -> None:
    times = iter([0.0, 0.5, 2.0, 2.5, 4.0])
    meter = LoadMeter(os.getpid(), clock=lambda: next(times))
    first, same, second, cached, last = (meter.read() for _ in range(5))
    assert first is None, "a share of the cores needs an interval"
    assert second is not None
    assert second.memory_total > second.memory > (second.job_memory or 0) > 1_000_000
    assert cached is second
    assert last is not second
    assert same is None or same.cores == second.cores


def test_the_load_of_a_process_that_has_ended_has_no_memory_of_it() -> None:
    times = iter([0.0, 2.0])
    meter = LoadMeter(2**22 + 5, clock=lambda: next(times))
    assert [meter.read() for _ in range(2)][1].job_memory is None  # type: ignore[union-attr]
