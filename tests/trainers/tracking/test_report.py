"""Reporting of a run: trackers that fail, block or are missing; resume; the process beside the training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from trainers.run_files import LOG, WARNING, RunWriter
from trainers.settings import AppliedRecipe, RunConfig, TrainSettings, create_run, read_config
from trainers.tracking import process, trackers
from trainers.tracking.process import OUTPUT, start_tracking
from trainers.tracking.report import FOLDER, config_of_run, report
from trainers.tracking.trackers import TrackedRun

HOUR_S = 3600.0


class Recorder:
    """A tracker in memory."""

    def __init__(self, run: TrackedRun) -> None:
        self.run, self.rows, self.closed = run, list[tuple[int, dict[str, float]]](), False
        opened.append(self)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.rows.append((step, dict(values)))

    def flush(self) -> None: ...

    def close(self) -> None:
        self.closed = True


opened: list[Recorder] = []


@pytest.fixture(autouse=True)
def _recorders(monkeypatch: pytest.MonkeyPatch) -> None:
    opened.clear()
    monkeypatch.setattr(trackers, "OPENERS", openers := dict.fromkeys(trackers.OPENERS, Recorder))
    monkeypatch.setattr("trainers.tracking.report.OPENERS", openers)


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Ends the fakes that block, and waits for their threads: they write into the folder of the run."""
    event = threading.Event()
    yield event
    event.set()
    for thread in threading.enumerate():
        if thread.name in trackers.OPENERS:
            thread.join(HOUR_S)


def _open_with(monkeypatch: pytest.MonkeyPatch, name: str, opener: Callable[[TrackedRun], Any]) -> None:
    monkeypatch.setattr("trainers.tracking.report.OPENERS", dict.fromkeys(trackers.OPENERS, Recorder) | {name: opener})


def _run(folder: Path, *names: str) -> RunConfig:
    config = RunConfig(model="m", export="/e", cache="/c", report_to=names)
    create_run(folder, config)
    return config


def _row(folder: Path, *steps: int) -> None:
    for step in steps:
        RunWriter(folder).metrics({"step": step, "steps": 9, "loss": step / 2})


def _until(condition: Callable[[], bool]) -> Callable[[float], bool]:
    """Return a training that runs until the condition holds."""

    def is_training(wait_s: float) -> bool:
        threading.Event().wait(0.01)
        return not condition()

    return is_training


def _warnings(folder: Path) -> list[str]:
    lines = (folder / LOG).read_text().splitlines() if (folder / LOG).exists() else []
    assert all(line.startswith(WARNING) for line in lines)
    return lines


def test_rows_are_reported_while_the_training_runs(tmp_path: Path) -> None:
    config = _run(tmp_path / "r", "wandb")
    _row(tmp_path / "r", 1)
    seen_first: list[int] = []

    def is_training(wait_s: float) -> bool:
        threading.Event().wait(0.01)
        if opened and opened[0].rows and not seen_first:
            seen_first.append(opened[0].rows[0][0])
            _row(tmp_path / "r", 2, 3)  # the last rows before the end
        return not seen_first

    report(tmp_path / "r", config, is_training)
    assert seen_first == [1]
    assert opened[0].rows == [(1, {"train/loss": 0.5}), (2, {"train/loss": 1.0}), (3, {"train/loss": 1.5})]
    assert opened[0].closed
    assert not _warnings(tmp_path / "r")


def test_a_resumed_run_continues_without_duplicates(tmp_path: Path) -> None:
    config = _run(tmp_path / "r", "wandb")
    _row(tmp_path / "r", 0, 1, 2)
    report(tmp_path / "r", config, lambda wait_s: False)
    RunWriter(tmp_path / "r").forget_after(1)
    _row(tmp_path / "r", 2, 3)
    report(tmp_path / "r", config, lambda wait_s: False)
    first, second = opened
    assert [step for step, _ in first.rows + second.rows] == [0, 1, 2, 3]
    assert first.run.run_id == second.run.run_id
    assert (first.run.first_step, second.run.first_step) == (0, 3)


def test_rows_that_are_written_again_during_an_attempt_are_left_out(tmp_path: Path) -> None:
    config = _run(tmp_path / "r", "wandb")
    _row(tmp_path / "r", 1, 2, 3)
    rewritten: list[bool] = []

    def is_training(wait_s: float) -> bool:
        threading.Event().wait(0.01)
        if opened and len(opened[0].rows) == 3 and not rewritten:
            rewritten.append(True)
            RunWriter(tmp_path / "r").forget_after(1)
            _row(tmp_path / "r", 2, 3, 4)
        return not rewritten

    report(tmp_path / "r", config, is_training)
    assert [step for step, _ in opened[0].rows] == [1, 2, 3, 4]


def test_a_run_without_rows_opens_no_tracker(tmp_path: Path) -> None:
    config = _run(tmp_path / "r", "wandb")
    report(tmp_path / "r", config, lambda wait_s: False)
    assert not opened
    assert not (tmp_path / "r" / FOLDER).exists()


@pytest.mark.parametrize("error", [RuntimeError("no\nnetwork"), SystemExit(3), KeyboardInterrupt()])
@pytest.mark.parametrize("when", ["open", "log"])
def test_a_tracker_that_raises_costs_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, when: str
) -> None:
    class Failing(Recorder):
        def __init__(self, run: TrackedRun) -> None:
            if when == "open":
                raise error
            super().__init__(run)

        def log(self, step: int, values: Mapping[str, float]) -> None:
            raise error

    config = _run(tmp_path / "r", "tensorboard", "wandb")
    _open_with(monkeypatch, "wandb", Failing)
    _row(tmp_path / "r", 1, 2)
    report(tmp_path / "r", config, lambda wait_s: False)
    (warning,) = _warnings(tmp_path / "r")
    assert "wandb failed" in warning
    assert [step for each in opened for step, _ in each.rows] == [1, 2], "the other tracker gets all rows"


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "wandb", None)  # import raises ModuleNotFoundError, as where it is not installed
    config = _run(tmp_path / "r", "wandb")
    _row(tmp_path / "r", 1)
    report(tmp_path / "r", config, lambda wait_s: False)
    (warning,) = _warnings(tmp_path / "r")
    assert "pip install wandb" in warning


def test_a_tracker_that_blocks_at_its_start_holds_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: threading.Event
) -> None:
    config = _run(tmp_path / "r", "tensorboard", "wandb")
    _open_with(monkeypatch, "wandb", lambda run: release.wait(HOUR_S))
    _row(tmp_path / "r", 1)
    ends = _until(lambda: bool(_warnings(tmp_path / "r") and opened))
    report(tmp_path / "r", config, ends, start_s=0.0, end_s=HOUR_S)
    (warning,) = _warnings(tmp_path / "r")
    assert "wandb has not started" in warning
    assert opened[0].closed


def test_a_tracker_that_blocks_at_the_end_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: threading.Event
) -> None:
    class Blocking(Recorder):
        def close(self) -> None:
            release.wait(HOUR_S)

    config = _run(tmp_path / "r", "wandb")
    _open_with(monkeypatch, "wandb", Blocking)
    _row(tmp_path / "r", 1)
    report(tmp_path / "r", config, _until(lambda: bool(opened and opened[0].rows)), start_s=HOUR_S, end_s=0.0)
    (warning,) = _warnings(tmp_path / "r")
    assert "wandb did not finish" in warning


def test_a_tracker_that_starts_late_gets_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: threading.Event
) -> None:
    def late(run: TrackedRun) -> Recorder:
        release.wait(HOUR_S)
        return Recorder(run)

    config = _run(tmp_path / "r", "wandb")
    _open_with(monkeypatch, "wandb", late)
    _row(tmp_path / "r", 1)

    def is_training(wait_s: float) -> bool:
        threading.Event().wait(0.01)
        if _warnings(tmp_path / "r") and not release.is_set():
            _row(tmp_path / "r", 2)
            release.set()
        return not (opened and len(opened[0].rows) == 2)

    report(tmp_path / "r", config, is_training, start_s=0.0)
    assert opened[0].closed


@pytest.mark.parametrize("content", ["", "{", '{"run_id": 1}', "[]", '{"run_id": "x", "newest": "y"}'])
def test_a_damaged_progress_starts_a_new_run(tmp_path: Path, content: str) -> None:
    config = _run(tmp_path / "r", "wandb")
    (tmp_path / "r" / FOLDER).mkdir()
    (tmp_path / "r" / FOLDER / "wandb.json").write_text(content)
    _row(tmp_path / "r", 1)
    report(tmp_path / "r", config, lambda wait_s: False)
    assert [step for step, _ in opened[0].rows] == [1]


def test_the_configuration_names_no_folder_of_the_machine() -> None:
    settings = TrainSettings(replay_share=0.5, replay_pool="/home/ana/pool.jsonl")
    recipe = AppliedRecipe(name="negwb", summary="", settings={})
    config = RunConfig(
        model="/home/ana/ws/runs/a/model", export="/x/set-001", cache="/c", settings=settings, recipe=recipe
    )
    shown = config_of_run(config)
    assert "/home" not in json.dumps(shown)
    assert (shown["model"], shown["export"], shown["recipe"]) == ("a/model", "set-001", "negwb")


def test_the_config_file_has_the_names_only_where_there_are_some(tmp_path: Path) -> None:
    _run(tmp_path / "with", "wandb")
    _run(tmp_path / "without")
    assert read_config(tmp_path / "with").report_to == ("wandb",)
    assert "report_to" not in (tmp_path / "without" / "config.json").read_text()


class TestProcess:
    """The process of the trackers, with packages of the test in place of the real ones."""

    @pytest.fixture(autouse=True)
    def _packages(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = tmp_path / "packages"
        folder.mkdir()
        (folder / "wandb.py").write_text("raise RuntimeError('broken installation')")
        (folder / "trackio.py").write_text("import time\nprint('blocks', flush=True)\nwhile True: time.sleep(60)")
        monkeypatch.setenv("PYTHONPATH", str(folder))

    def test_it_ends_with_the_training_and_writes_its_warnings(self, tmp_path: Path) -> None:
        _run(tmp_path / "r", "wandb")
        _row(tmp_path / "r", 1)
        tracking = start_tracking(tmp_path / "r")
        assert tracking is not None
        tracking.finish()
        (warning,) = _warnings(tmp_path / "r")
        assert "wandb failed: broken installation" in warning

    def test_one_that_blocks_is_killed(self, tmp_path: Path) -> None:
        _run(tmp_path / "r", "trackio")
        _row(tmp_path / "r", 1)
        tracking = start_tracking(tmp_path / "r")
        assert tracking is not None
        while "blocks" not in (tmp_path / "r" / OUTPUT).read_text():
            threading.Event().wait(0.02)
        tracking.finish(wait_s=0.0)
        (warning,) = _warnings(tmp_path / "r")
        assert "did not end" in warning

    def test_it_ends_where_the_training_is_killed(self, tmp_path: Path) -> None:
        _run(tmp_path / "r", "wandb")
        script = (
            "import os, sys; from pathlib import Path; from trainers.tracking.process import start_tracking\n"
            "print(start_tracking(Path(sys.argv[1]))._process.pid, flush=True); os.kill(os.getpid(), 9)"
        )
        killed = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "r")], capture_output=True, text=True, check=False
        )
        assert killed.returncode == -9
        pid = int(killed.stdout)
        while _is_alive(pid):
            threading.Event().wait(0.02)

    def test_a_process_that_cannot_start_costs_one_warning(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _run(tmp_path / "r", "wandb")
        monkeypatch.setattr(process.sys, "executable", str(tmp_path / "missing"))
        assert start_tracking(tmp_path / "r") is None
        (warning,) = _warnings(tmp_path / "r")
        assert "No such file" in warning

    def test_a_run_without_trackers_starts_none(self, tmp_path: Path) -> None:
        _run(tmp_path / "r")
        assert start_tracking(tmp_path / "r") is None
        assert start_tracking(tmp_path / "no-run") is None


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_module_needs_no_torch() -> None:
    script = "import sys, trainers.tracking.__main__; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "False"
