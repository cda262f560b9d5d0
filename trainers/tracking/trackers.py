"""TensorBoard, wandb and trackio behind one protocol.

A package is imported when its tracker is opened. Keys and servers come from the environment variables of each package
(WANDB_API_KEY, WANDB_MODE, TRACKIO_SPACE_ID ...): negwb neither asks for them nor stores them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from trainers.tracking.names import TrackerName

PROJECT = "negwb"
"""Project of a run in wandb and trackio, unless WANDB_PROJECT or TRACKIO_PROJECT names another."""
TENSORBOARD_FOLDER = "tensorboard"
"""Folder of a run with the event files of TensorBoard."""


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """The run that a tracker shows."""

    folder: Path
    run_id: str
    """Equal for all attempts of a run, and different for runs of equal name in two workspaces."""
    first_step: int
    """First step that was not reported by an earlier attempt."""
    config: Mapping[str, Any]


class Tracker(Protocol):
    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Report the values of one step; steps increase."""

    def flush(self) -> None:
        """Write what was reported, where the tracker allows it."""

    def close(self) -> None:
        """End the attempt; a later one continues the run."""


class _TensorBoard:
    """Writes event files. Uses the package tensorboard alone: the writer of torch would load torch, 300 MB."""

    def __init__(self, run: TrackedRun) -> None:
        writer: Any = import_module("tensorboard.summary.writer.event_file_writer")
        self._event: Any = import_module("tensorboard.compat.proto.event_pb2")
        self._summary: Any = import_module("tensorboard.compat.proto.summary_pb2").Summary
        self._writer = writer.EventFileWriter(str(run.folder / TENSORBOARD_FOLDER))
        if run.first_step:  # hides rows that a killed attempt wrote without recording that
            log = self._event.SessionLog(status=self._event.SessionLog.START)
            self._writer.add_event(self._event.Event(wall_time=time.time(), step=run.first_step, session_log=log))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        rows = [self._summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._writer.add_event(self._event.Event(wall_time=time.time(), step=step, summary=self._summary(value=rows)))

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _Wandb:
    def __init__(self, run: TrackedRun) -> None:
        wandb: Any = import_module("wandb")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            name=run.folder.name,
            id=run.run_id,
            resume="allow",
            dir=str(run.folder),
            config=dict(run.config),
            settings=wandb.Settings(console="off"),  # the output of this process is not that of the training
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def flush(self) -> None:
        """Do nothing: a process of wandb writes in the background."""

    def close(self) -> None:
        self._run.finish()


class _Trackio:
    def __init__(self, run: TrackedRun) -> None:
        trackio: Any = import_module("trackio")
        self._run = trackio.init(
            project=os.environ.get("TRACKIO_PROJECT") or PROJECT,
            name=f"{run.folder.name}-{run.run_id[:6]}",  # trackio identifies a run by its name
            resume="allow",
            config=dict(run.config),
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def flush(self) -> None:
        """Do nothing: a thread of trackio writes twice a second."""

    def close(self) -> None:
        self._run.finish()


OPENERS: Mapping[str, Callable[[TrackedRun], Tracker]] = {
    TrackerName.TENSORBOARD: _TensorBoard,
    TrackerName.WANDB: _Wandb,
    TrackerName.TRACKIO: _Trackio,
}
"""Open a tracker by its name. They raise ImportError where the package is not installed, and any exception of it."""


def tracked_values(row: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a row of metrics.jsonl under names like train/loss, val/loss and guard/text_to_image."""
    numbers = {
        name: float(value)
        for name, value in row.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and name not in ("step", "steps")
    }
    return {_tag(name): value for name, value in numbers.items()}


def _tag(name: str) -> str:
    part, _, rest = name.partition("_")
    return f"{part}/{rest}" if part in ("val", "guard") and rest else f"train/{name}"
