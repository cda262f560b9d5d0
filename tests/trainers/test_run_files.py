"""Run folders are read without torch at any time of a run."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from trainers.run_files import (
    CHECKPOINTS,
    DONE,
    FAILED,
    LOCK,
    METRICS,
    RunWriter,
    TrainingStatus,
    Work,
    checkpoint_path,
    checkpoints_of,
    read_metrics,
    read_run,
    read_saved_steps,
    read_work,
    take_lock,
    work_line,
)


def test_reading_a_run_loads_no_torch() -> None:
    code = (
        "import sys, pathlib, trainers.run_files, trainers.settings, trainers.data.dataset\n"
        "trainers.run_files.read_run(pathlib.Path('.'))\n"
        "print(sorted({'torch', 'open_clip', 'transformers', 'torchvision'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_readers_do_not_block_the_lock(tmp_path: Path) -> None:
    (tmp_path / LOCK).touch()
    with (tmp_path / LOCK).open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.2, lambda: fcntl.flock(looking, fcntl.LOCK_UN)).start()
        lock = take_lock(tmp_path)
    assert lock is not None
    lock.close()


def test_a_runs_life(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path)
    assert read_run(tmp_path).status is TrainingStatus.NEW
    lock = take_lock(tmp_path)
    assert lock is not None
    with lock:
        assert take_lock(tmp_path) is None
        writer.metrics({"step": 5, "steps": 20, "loss": 1.5})
        state = read_run(tmp_path)
        assert (state.status, state.step, state.progress, state.last["loss"]) == (TrainingStatus.RUNNING, 5, 0.25, 1.5)
    assert read_run(tmp_path).status is TrainingStatus.STOPPED
    writer.end(FAILED, {"message": "no"})
    assert (read_run(tmp_path).status, read_run(tmp_path).result) == (TrainingStatus.FAILED, {"message": "no"})
    writer.end(DONE, {"steps": 20})
    assert (read_run(tmp_path).status, read_run(tmp_path).result) == (TrainingStatus.DONE, {"steps": 20})


def test_half_lines_and_rubbish_are_passed_over(tmp_path: Path) -> None:
    whole = json.dumps({"step": 1}) + "\n"
    for left in ("", '{"st', "[1]\n", "\x00\x00\n", '{"step": 2'):
        (tmp_path / METRICS).write_text(whole + left)
        assert read_metrics(tmp_path) == [{"step": 1}]


def test_metrics_after_a_checkpoint_are_dropped(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path)
    for step in (1, 2, 3, 4):
        writer.metrics({"step": step})
    writer.forget_after(2)
    assert [row["step"] for row in read_metrics(tmp_path)] == [1, 2]


@pytest.mark.parametrize("step", ["null", '"x"', "[]", "-1", "1e999", "NaN", "true", "9" * 30, "{}"])
def test_a_run_is_read_whatever_its_files_hold(tmp_path: Path, step: str) -> None:
    (tmp_path / METRICS).write_text(f'{{"step": {step}, "steps": {step}}}\n')
    state = read_run(tmp_path)
    assert (state.step, state.steps, state.progress) == (0, None, 0.0)
    RunWriter(tmp_path).forget_after(3)


@pytest.mark.parametrize("content", ["[1]", "3", "null", '{"steps"', "\x00\xff", "[" * 100_000, ""])
def test_invalid_results_are_ignored(tmp_path: Path, content: str) -> None:
    for name in (DONE, FAILED, METRICS):
        (tmp_path / name).write_text(content + "\n")
    assert (read_run(tmp_path).status, read_run(tmp_path).result) == (TrainingStatus.NEW, {})


def test_folders_instead_of_files_are_ignored(tmp_path: Path) -> None:
    for name in (DONE, METRICS, LOCK):
        (tmp_path / name).mkdir()
    assert read_run(tmp_path).status is TrainingStatus.STOPPED
    assert read_run(tmp_path / "none").status is TrainingStatus.NEW


def test_no_number_is_written_that_json_does_not_have(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path)
    for write in (lambda: writer.metrics({"loss": float("nan")}), lambda: writer.end(DONE, {"loss": float("inf")})):
        with pytest.raises(ValueError, match="JSON"):
            write()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damaged", [b"", b"\xff" * 20, b"\x02\0\0\0\0\0\0\0{}", b"\x04\0\0\0\0\0\0\0null", b"[" * 99])
def test_a_damaged_checkpoint_is_ignored(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / CHECKPOINTS).mkdir()
    checkpoint_path(tmp_path, 7).write_bytes(damaged)
    assert read_saved_steps(tmp_path) is None
    (tmp_path / CHECKPOINTS / "step-x.safetensors").touch()
    assert list(checkpoints_of(tmp_path)) == [7]


def test_work_lines_are_parsed_again() -> None:
    assert work_line(Work.ENCODING, 1200, 82783) == "encoding pictures 1,200 of 82,783"
    assert read_work("encoding pictures 1,200 of 82,783") == (Work.ENCODING, 1200, 82783)
    assert read_work("resumed at step 3 of 40") is None
