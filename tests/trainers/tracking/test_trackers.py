"""The real packages, offline. Those that are not installed are skipped; tensorboard is in the development group."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainers.run_files import RunWriter
from trainers.settings import RunConfig, create_run
from trainers.tracking.report import report
from trainers.tracking.trackers import TENSORBOARD_FOLDER, tracked_values


def _once() -> Callable[[float], bool]:
    return lambda wait_s: False


def _run(folder: Path, name: str) -> tuple[RunWriter, RunConfig]:
    config = RunConfig(model="m", export="/exports/set-001", cache="/cache", report_to=(name,))
    create_run(folder, config)
    return RunWriter(folder), config


def _two_attempts(folder: Path, name: str) -> None:
    """Report three steps; then train the third again, as after a kill, and one more."""
    writer, config = _run(folder, name)
    writer.metrics({"step": 0, "steps": 4, "val_loss": 3.0})
    writer.metrics({"step": 1, "steps": 4, "loss": 2.0})
    writer.metrics({"step": 2, "steps": 4, "loss": 1.5})
    report(folder, config, _once())
    writer.forget_after(1)
    writer.metrics({"step": 2, "steps": 4, "loss": 1.5})
    writer.metrics({"step": 3, "steps": 4, "loss": 1.0, "val_loss": 2.5})
    report(folder, config, _once())
    log = folder / "log.txt"
    assert not log.exists(), log.read_text()


def test_the_groups_of_values() -> None:
    row = {
        "step": 3,
        "steps": 9,
        "loss": 1,
        "val_recall_at_1": 0.5,
        "guard_text_to_image": 0.25,
        "note": "x",
        "b": True,
    }
    assert tracked_values(row) == {"train/loss": 1.0, "val/recall_at_1": 0.5, "guard/text_to_image": 0.25}


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    _two_attempts(tmp_path / "r", "tensorboard")
    seen: list[tuple[int, str, float]] = []
    for path in sorted((tmp_path / "r" / TENSORBOARD_FOLDER).iterdir()):
        for event in EventFileLoader(str(path)).Load():
            seen += [(event.step, value.tag, value.tensor.float_val[0]) for value in event.summary.value]
    assert sorted(seen) == [
        (0, "val/loss", 3.0),
        (1, "train/loss", 2.0),
        (2, "train/loss", 1.5),
        (3, "train/loss", 1.0),
        (3, "val/loss", 2.5),
    ]


def test_trackio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio")
    from trackio import utils
    from trackio.sqlite_storage import SQLiteStorage

    monkeypatch.setattr(utils, "TRACKIO_DIR", tmp_path / "trackio")
    _two_attempts(tmp_path / "r", "trackio")
    (name,) = SQLiteStorage.get_runs("negwb")
    assert name.startswith("r-")
    rows: list[dict[str, Any]] = SQLiteStorage.get_logs("negwb", name)
    assert [(row["step"], row.get("train/loss"), row.get("val/loss")) for row in rows] == [
        (0, None, 3.0),
        (1, 2.0, None),
        (2, 1.5, None),
        (3, 1.0, 2.5),
    ]


def test_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    _two_attempts(tmp_path / "r", "wandb")
    folders = sorted((tmp_path / "r" / "wandb").glob("offline-run-*"))
    assert len({folder.name.rpartition("-")[2] for folder in folders}) == 1, "one run with one id"
    assert all(list(folder.glob("*.wandb")) for folder in folders)
