"""Snapshots of the run folders for the runs screen, which polls them in a thread; unchanged folders are not read again.

Run folders are untrusted input: an unreadable one becomes a row with a problem, never an error. No widgets, no torch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curation_db.foreign_json import finite_number
from trainers.errors import TrainerError
from trainers.run_files import (
    DONE,
    FAILED,
    GUARD_IMAGE_TO_TEXT,
    GUARD_TEXT_TO_IMAGE,
    LOG,
    METRICS,
    VALIDATION_KEYS,
    Criterion,
    RunState,
    TrainingStatus,
    is_better,
    is_locked,
    read_metrics,
    read_run,
)
from trainers.settings import RunConfig, read_config
from workbench.jobs.process import tail
from workbench.jobs.training.machine_load import LoadMeter, MachineLoad
from workbench.jobs.training.run_comparison import settings_of
from workbench.jobs.training.runs import trainer_pid

CONFIG = "config.json"
_MOST_RUNS = 500
_NO_METRICS: Mapping[str, Any] = {}
Points = tuple[tuple[float, float], ...]
"""Step and value."""
CURVES: Mapping[str, str] = {
    "loss": "training loss",
    "val_loss": "validation loss",
    "val_masked_loss": "masked validation loss",
    "val_recall_at_1": "validation R@1",
    GUARD_TEXT_TO_IMAGE: "affirmative R@1, images",
    GUARD_IMAGE_TO_TEXT: "affirmative R@1, texts",
    "lr": "learning rate",
}
"""Fields of metrics.jsonl that are drawn over the steps, with their names."""


@dataclass(frozen=True, slots=True)
class RunRow:
    name: str
    status: TrainingStatus | None
    """None: the files cannot be read."""
    step: int = 0
    steps: int | None = None
    loss: float | None = None
    criterion: Criterion = "loss"
    best: tuple[float, float] | None = None
    """Step and value of the best validation so far, by the criterion."""
    model: str = ""
    export: str = ""
    settings: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What was chosen for the run, as in `run_comparison.settings_of`; empty: config.json cannot be read."""
    touched: float = 0.0
    """Last change of its files, seconds since the epoch."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class RunDetail:
    row: RunRow
    config: RunConfig | None
    last: Mapping[str, Any]
    """Last line of the metrics."""
    result: Mapping[str, Any]
    """Content of done.json or failed.json."""
    guard: tuple[tuple[float, float], tuple[float, float]] | None
    """R@1 of images and of texts on affirmative captions: of the first validation, which is the base model, and of the
    last; None where it is not measured."""
    curves: Mapping[str, Points]
    """Steps and values of each field of metrics.jsonl in `CURVES`; fields without a value are left out."""
    log: tuple[str, ...]
    """Last lines, unprocessed."""

    def curve(self, field: str) -> Points:
        return self.curves.get(field, ())

    @property
    def train(self) -> Points:
        return self.curve("loss")

    @property
    def val(self) -> Points:
        return self.curve("val_loss")

    @property
    def seconds_left(self) -> float | None:
        """Estimate from the mean time of a step so far, validations included; None before the first step."""
        row, seconds = self.row, finite_number(self.last.get("seconds"))
        if not seconds or not row.steps or not row.step:
            return None
        return seconds * max(0, row.steps - row.step) / row.step


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    rows: tuple[RunRow, ...]
    """Newest first."""
    left_out: int
    detail: RunDetail | None
    load: MachineLoad | None = None
    """While the run of `detail` is trained on this machine."""


_Signature = tuple[Any, ...]


class RunMonitor:
    """Takes snapshots of the folder of runs. Not thread-safe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rows: dict[str, tuple[_Signature, RunRow]] = {}
        self._details: dict[str, tuple[_Signature, RunDetail]] = {}
        self._meter: LoadMeter | None = None

    def snapshot(self, chosen: str | None, *, log_lines: int = 40) -> RunSnapshot:
        """Return all runs, with details of `chosen` or else of the newest."""
        names = self._names()
        rows = tuple(self._row(name) for name in names[:_MOST_RUNS])
        self._rows = {row.name: self._rows[row.name] for row in rows}
        selected = next((row for row in rows if row.name == chosen), rows[0] if rows else None)
        detail = self._detail_of(selected, log_lines) if selected else None
        self._details = {selected.name: self._details[selected.name]} if selected else {}
        return RunSnapshot(rows, max(0, len(names) - _MOST_RUNS), detail, self._load_of(selected))

    def compare(self, names: Sequence[str]) -> list[RunDetail]:
        """Return the details of the runs that exist, in this order."""
        rows = [self._row(name) for name in names if (self.folder / name / CONFIG).exists()]
        details = [self._detail_of(row, 0) for row in rows]
        self._details = {name: self._details[name] for name in (row.name for row in rows)}
        return details

    def _load_of(self, row: RunRow | None) -> MachineLoad | None:
        if row is None or row.status is not TrainingStatus.RUNNING:
            self._meter = None
            return None
        pid = trainer_pid(self.folder / row.name)
        if pid is None:
            return None
        if self._meter is None or self._meter.pid != pid:
            self._meter = LoadMeter(pid)
        return self._meter.read()

    def _names(self) -> list[str]:
        """Return the run names, newest first by creation time, which does not change during training."""
        try:
            # a name with a leading dot is a folder that is being created
            folders = [(_stat(path / CONFIG)[0], path.name) for path in self.folder.iterdir() if path.name[0] != "."]
        except OSError:
            return []
        return [name for created, name in sorted(folders, reverse=True) if created]

    def _row(self, name: str) -> RunRow:
        folder = self.folder / name
        signature = _signature(folder)
        known = self._rows.get(name)
        if known is None or known[0] != signature:
            known = self._rows[name] = (signature, _read_row(folder))
        return known[1]

    def _detail_of(self, row: RunRow, log_lines: int) -> RunDetail:
        folder = self.folder / row.name
        signature = (*_signature(folder), _stat(folder / LOG), log_lines)
        known = self._details.get(row.name)
        if known is None or known[0] != signature or known[1].row != row:
            known = self._details[row.name] = (signature, _detail(folder, row, log_lines))
        return known[1]


def _signature(folder: Path) -> _Signature:
    try:
        locked = is_locked(folder)
    except OSError:
        locked = False
    return (locked, *(_stat(folder / name) for name in (CONFIG, METRICS, DONE, FAILED)))


def _stat(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return (0, 0)
    return (stat.st_mtime_ns, stat.st_size)


def _read_row(folder: Path) -> RunRow:
    touched = max(_stat(folder / name)[0] for name in (CONFIG, METRICS, LOG, DONE, FAILED)) / 1e9
    try:
        state = read_run(folder)
        rows = read_metrics(folder)
    except (OSError, ValueError, TypeError, OverflowError) as error:
        return RunRow(folder.name, None, touched=touched, problem=str(error))
    config = _config(folder)
    criterion = config.settings.criterion if config else "loss"
    return RunRow(
        name=folder.name,
        status=state.status if config else None,
        step=state.step,
        steps=state.steps if isinstance(state.steps, int) else None,
        loss=finite_number(state.last.get("loss")),
        criterion=criterion,
        best=_best(_points(rows, VALIDATION_KEYS[criterion]), criterion),
        model=config.model if config else "",
        export=config.export if config else "",
        settings=settings_of(config) if config else {},
        touched=touched,
    )


def read_detail(folder: Path, *, log_lines: int = 0) -> RunDetail:
    """Read one run; never raises on damaged files."""
    return _detail(folder, _read_row(folder), log_lines)


def _detail(folder: Path, row: RunRow, log_lines: int) -> RunDetail:
    try:
        rows, state = read_metrics(folder), read_run(folder)
    except (OSError, ValueError, TypeError, OverflowError):
        rows, state = [], RunState(folder.name, TrainingStatus.NEW, 0, None)
    return RunDetail(
        row=row,
        config=_config(folder),
        last=rows[-1] if rows else _NO_METRICS,
        result=state.result,
        guard=_guard(rows),
        curves={field: points for field in CURVES if (points := _points(rows, field))},
        log=tail(folder / LOG, log_lines),
    )


def _config(folder: Path) -> RunConfig | None:
    try:
        return read_config(folder)
    except (TrainerError, ValueError):
        return None


def _points(rows: Sequence[Mapping[str, Any]], key: str) -> Points:
    folders = ((finite_number(row.get("step")), finite_number(row.get(key))) for row in rows)
    return tuple((step, value) for step, value in folders if step is not None and value is not None)


def _guard(rows: Sequence[Mapping[str, Any]]) -> tuple[tuple[float, float], tuple[float, float]] | None:
    text, image = (_points(rows, key) for key in (GUARD_TEXT_TO_IMAGE, GUARD_IMAGE_TO_TEXT))
    if not text or not image:
        return None
    return (text[0][1], image[0][1]), (text[-1][1], image[-1][1])


def _best(points: Points, criterion: Criterion) -> tuple[float, float] | None:
    """Return the best point after step 0, which is the base model; of equal points the first."""
    best: tuple[float, float] | None = None
    for step, value in points:
        if step > 0 and is_better(criterion, value, best[1] if best else None):
            best = (step, value)
    return best


def downsample(points: Points, most: int) -> Points:
    """Return at most `most` points: the lowest and the highest of each section, so that no spike is lost."""
    if len(points) <= most:
        return points
    stretch = math.ceil(2 * len(points) / max(2, most))
    extremes: list[tuple[float, float]] = []
    for start in range(0, len(points), stretch):
        part = points[start : start + stretch]
        ends = {min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])}
        extremes += sorted(ends)
    return tuple(extremes)


def time_ago(then: float, now: float | None = None) -> str:
    seconds = max(0.0, (time.time() if now is None else now) - then)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"


def format_duration(seconds: float) -> str:
    whole = round(seconds)
    if whole >= 3_600:
        return f"{whole // 3_600} h {whole % 3_600 // 60:02} min"
    return f"{whole // 60} min {whole % 60:02} s" if whole >= 60 else f"{whole} s"
