"""Tests of the runs screen: what it shows of run folders, and what its keys do to training runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.clip_models import freeze
from support.results import HOSTILE, build_workspace, lines, make_run, running, until
from support.screen_sizes import SIZES, THEMES

from curation_db.enums import State
from curation_db.exporting.manifest import ExportItem, ManifestCounts, read_manifest
from trainers.run_files import METRICS, Criterion, TrainingStatus, take_lock
from trainers.settings import TrainSettings
from workbench.errors import NegwbError
from workbench.jobs.process import JobRegistry
from workbench.jobs.training import training
from workbench.jobs.training.run_monitor import RunMonitor, downsample, tail, time_ago
from workbench.tui.results.app import ResultsApp
from workbench.tui.results.runs import RunsScreen, describe_export
from workbench.workspace.layout import Workspace
from workbench.workspace.models import base_model


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return build_workspace(tmp_path / "workspace")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", THEMES)
async def test_a_run_is_shown_with_its_figures(workspace: Workspace, size: tuple[int, int], theme: str) -> None:
    make_run(workspace, "first", 20, done=False, log="features computed 12")
    app = ResultsApp(workspace, theme=theme)
    async with running(app, size) as pilot:
        await until(pilot, lambda: "features computed" in lines(app))
        screen_text = lines(app)
        for words in ("first", "‖ stopped", "20/40", "1.1036", "2.7000 at 20", "training loss", "◆ validation loss"):
            assert words in screen_text
        if size[1] > 24:  # a lower screen shows it further down
            shown = lines(app).split("\n")
            recipe = next(row for row, line in enumerate(shown) if "recipe" in line)
            assert shown[recipe + 1].index("seed ") == shown[recipe].index("lr "), "the rest of it stands below"
        await until(pilot, lambda: lines(app).count("◆") == 3)  # the legend, and two epochs
        assert sum("\u2801" <= c <= "\u28ff" for c in lines(app)) > 5, "training is drawn as a fine line"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("criterion", "best"),
    [
        ("loss", "best val  2.2000 at 40"),
        ("masked_loss", "best mask 1.2000 at 40"),
        ("recall_at_1", "best R@1  45.0% at 40"),
    ],
)
async def test_the_criterion_and_the_guard_are_shown(
    workspace: Workspace, size: tuple[int, int], criterion: Criterion, best: str
) -> None:
    """Step 0 is the base model: it is never the best, and the guard is compared with it."""
    make_run(workspace, "first", settings=TrainSettings(criterion=criterion), guard=True)
    app = ResultsApp(workspace)
    async with running(app, size) as pilot:
        await until(pilot, lambda: best in lines(app))
        assert "aff. R@1  image 63.2% → 59.2%" in lines(app)
        assert "text 61.1% → 57.1%" in lines(app)
        listed = next(line for line in lines(app).split("\n") if "40/40" in line)
        assert best.split()[2] in listed


async def test_an_empty_workspace_says_what_to_do(workspace: Workspace) -> None:
    app = ResultsApp(workspace)
    async with running(app) as pilot:
        await until(pilot, lambda: "negwb train EXPORT" in lines(app))
        await pilot.press("s", "r", "n", "enter", "down", "end")
        await until(pilot, lambda: "no export yet" in lines(app))
        await pilot.press("0")
        await until(pilot, lambda: "negwb bench list" in lines(app))


async def test_the_screen_follows_the_run_and_skips_an_incomplete_line(workspace: Workspace) -> None:
    folder = make_run(workspace, "first", 10, done=False)
    app = ResultsApp(workspace)
    async with running(app) as pilot:
        await until(pilot, lambda: "10/40" in lines(app))
        lock = take_lock(folder)
        assert lock is not None
        with lock:
            half = json.dumps({"step": 11, "steps": 40, "loss": 1.5})
            with (folder / METRICS).open("a") as file:
                file.write(half[:20])
            await until(pilot, lambda: "▶ running" in lines(app))
            assert "10/40" in lines(app)
            with (folder / METRICS).open("a") as file:
                file.write(half[20:] + "\n")
            await until(pilot, lambda: "11/40" in lines(app) and "1.5000" in lines(app))
        await until(pilot, lambda: "‖ stopped" in lines(app))


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_runs_are_only_text(workspace: Workspace, size: tuple[int, int]) -> None:
    folder = make_run(workspace, "[red]x[", 20, done=False, model=HOSTILE, log=HOSTILE)
    with (folder / METRICS).open("a") as file:
        file.write('[1]\n{"step": 21, "steps": 40, "loss": NaN, "val_loss": "[/x]", "seconds": 1e999}\n\x1b[2J\n')
    for number, line in enumerate(('{"step": "[/x]"}', '{"step": 1, "steps": "x", "loss": 1e400}', "\x00" * 9)):
        broken = make_run(workspace, f"broken{number}", 0, done=False)
        (broken / METRICS).write_text(line + "\n")
        (broken / "config.json").write_text(HOSTILE)
    failed = make_run(workspace, "failed", 3, done=False)
    (failed / "failed.json").write_text(json.dumps({"message": HOSTILE, "hint": HOSTILE}))
    app = ResultsApp(workspace)
    async with running(app, size) as pilot:
        await until(pilot, lambda: "⚠ damaged" in lines(app))
        for _ in range(5):
            await pilot.press("down")
            await until(pilot, lambda: app.context.run in lines(app))
        app.context.watch.snapshot("[red]x[")
        await pilot.press("s", "question_mark", "escape")
        await pilot.pause()
        lines(app)
    assert app.return_code in (None, 0)


async def test_polling_pauses_while_another_screen_is_above(workspace: Workspace, monkeypatch: Any) -> None:
    make_run(workspace, "first")
    app = ResultsApp(workspace)
    async with running(app) as pilot:
        await until(pilot, lambda: "✓ done" in lines(app))
        await pilot.press("question_mark")
        await pilot.pause()
        looks: list[int] = []
        monkeypatch.setattr(RunMonitor, "snapshot", lambda *args, **more: looks.append(1))
        await pilot.pause(1.2)
        assert not looks


def a_set(workspace: Workspace) -> None:
    freeze(workspace.exports / "set-001", [ExportItem(key="k", source="s", image_key="1", text="no dog")])


@pytest.mark.parametrize("refused", [True, False])
async def test_a_refused_run_leaves_its_reason_and_no_folder(
    workspace: Workspace, monkeypatch: Any, refused: bool
) -> None:
    """A run that failed for another reason stays in the list."""
    a_set(workspace)
    make_run(workspace, "earlier")

    def start(folder: Path) -> subprocess.Popen[bytes]:
        failure = {"message": "there is no model x", "hint": "another", "refused": refused}
        (folder / "failed.json").write_text(json.dumps(failure))
        child = a_child("raise SystemExit(6)")
        child.communicate()
        return child

    monkeypatch.setattr(training, "start_child", start)
    monkeypatch.setattr(training, "jobs", JobRegistry())
    order = training.TrainingOrder("set-001", "base", "mine")
    app = ResultsApp(workspace)
    async with running(app, (120, 36)) as pilot:
        await until(pilot, lambda: "earlier" in lines(app))
        training.start(workspace, order)
        if refused:
            await until(pilot, lambda: "mine: there is no model x — another" in notifications(app))
            await until(pilot, lambda: "mine" not in listed(app))
        else:
            await until(pilot, lambda: "✗ failed" in lines(app))
            assert not notifications(app)
    assert (workspace.root / "runs" / "mine").exists() is not refused
    assert not training.jobs


def notifications(app: ResultsApp) -> str:
    return "\n".join(str(note.message) for note in app._notifications)


def listed(app: ResultsApp) -> list[str]:
    assert isinstance(app.screen, RunsScreen)
    assert app.screen.snapshot is not None
    return [row.name for row in app.screen.snapshot.rows]


def test_a_training_of_another_process_is_found_by_its_lock(workspace: Workspace) -> None:
    folder = make_run(workspace, "other", 3, done=False)
    code = (
        "import sys,time;from pathlib import Path;from trainers.run_files import take_lock;"
        "lock=take_lock(Path(sys.argv[1]));print('held',flush=True);time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(folder), "trainers"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]) as child:
        try:
            assert child.stdout is not None
            child.stdout.readline()
            assert RunMonitor(workspace.root / "runs").snapshot(None).rows[0].status is TrainingStatus.RUNNING
            training.stop(folder)
            assert child.wait(60) != 0
        finally:
            child.kill()
    with pytest.raises(NegwbError, match="no process"):
        training.stop(folder)


def test_a_broken_run_does_not_hide_other_runs(workspace: Workspace) -> None:
    make_run(workspace, "sound", 3)
    for name, content in (("bytes", b"\xff"), ("nested", b"[" * 200_000)):
        folder = make_run(workspace, name, 3)
        (folder / "config.json").write_bytes(content)
    rows = {row.name: row.status for row in RunMonitor(workspace.root / "runs").snapshot(None).rows}
    assert rows == {"sound": TrainingStatus.DONE, "bytes": None, "nested": None}
    assert base_model(workspace) == "base"  # read from the oldest run, which is valid


def test_the_description_of_an_export(workspace: Workspace) -> None:
    a_set(workspace)
    manifest = read_manifest(workspace.exports / "set-001")
    screen_text = replace(manifest, selection={"states": ["accepted", "needs_more"]}, counts=ManifestCounts(pairs=1806))
    assert describe_export(screen_text) == "1,806 accepted, needs more"
    assert describe_export(replace(screen_text, selection={"states": list(State)})) == "1,806 in any state"
    assert describe_export(replace(manifest, selection={"states": 7})) == "1 pairs"
    assert "\x1b" not in describe_export(replace(manifest, selection={"states": [HOSTILE]}))


def a_child(code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)


async def test_a_run_that_is_ending_is_not_shown_as_starting_and_can_be_resumed(
    workspace: Workspace, monkeypatch: Any
) -> None:
    folder = make_run(workspace, "first", 10, done=False)
    ending = a_child("import sys; sys.stdin.read()")
    monkeypatch.setattr(training, "jobs", JobRegistry())
    training.jobs[folder] = training.TrainingJob(ending)
    started: list[Path] = []

    def start(at: Path) -> subprocess.Popen[bytes]:
        assert ending.poll() is not None, "never two processes on one run"
        started.append(at)
        child = a_child("pass")
        child.communicate()
        return child

    monkeypatch.setattr(training, "start_child", start)
    app = ResultsApp(workspace)
    async with running(app) as pilot:
        await until(pilot, lambda: "… starting" in lines(app))
        lock = take_lock(folder)
        assert lock is not None
        with lock:
            await until(pilot, lambda: "▶ running" in lines(app))
        await until(pilot, lambda: "‖ stopped" in lines(app))
        assert ending.poll() is None, "its process still lives"
        await pilot.press("r")
        await pilot.pause()
        assert started == []
        ending.communicate()
        await until(pilot, lambda: started == [folder])


async def test_a_run_without_metrics_shows_no_axes_of_another_run(workspace: Workspace) -> None:
    make_run(workspace, "empty", 0, done=False)
    make_run(workspace, "full", 20)
    app = ResultsApp(workspace)
    async with running(app) as pilot:
        await until(pilot, lambda: "training loss" in lines(app))
        plot = app.screen.query_one("PlotWidget")
        assert plot.display
        await pilot.press("down")
        await until(pilot, lambda: "no figures yet" in lines(app))
        assert not plot.display
        await pilot.press("up")
        await until(pilot, lambda: "training loss" in lines(app) and plot.display)


async def test_a_hostile_name_in_the_title_is_text(workspace: Workspace) -> None:
    make_run(workspace, "a\u202eb\x1b]0;owned\x07", 3)
    app = ResultsApp(workspace)
    async with running(app) as pilot:
        await until(pilot, lambda: "3/40" in lines(app))
        title = str(app.screen.query_one("#run").border_title)
        assert title == "ab]0;owned"


def test_thinned_points_keep_every_spike() -> None:
    points = tuple((float(step), 9.0 if step == 777 else 1.0) for step in range(10_000))
    stored = downsample(points, 400)
    assert len(stored) <= 400
    assert (777.0, 9.0) in stored
    assert downsample(points[:10], 400) == points[:10]


def test_reading_the_tail_of_a_large_log_is_fast(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes(b"x" * 5_000_000 + b"\nlast but one\n\xff last\n")
    assert tail(path, 3)[:2] == ("last but one", "\ufffd last")
    assert tail(tmp_path / "none", 3) == ()


def test_unchanged_files_are_not_read_again(workspace: Workspace, monkeypatch: Any) -> None:
    make_run(workspace, "first")
    watch = RunMonitor(workspace.root / "runs")
    before = watch.snapshot(None)
    monkeypatch.setattr("workbench.jobs.training.run_monitor.read_metrics", lambda folder: pytest.fail("read again"))
    assert watch.snapshot("first") == before


def test_the_age_of_a_run() -> None:
    now = time.time()
    assert [time_ago(now - s, now) for s in (-5, 3, 61, 7_300, 200_000)] == [
        "just now",
        "just now",
        "1 min ago",
        "2 h ago",
        "2 d ago",
    ]


def test_the_results_screens_load_no_model(workspace: Workspace) -> None:
    code = (
        "import sys; import workbench.tui.results.app, workbench.tui.results.runs, workbench.tui.results.report, "
        "workbench.tui.screens.modals.start; print([m for m in ('torch', 'open_clip', 'transformers', 'textual_plot') "
        "if m in sys.modules])"
    )
    screen_text = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert screen_text.stdout.strip() == "[]"
