"""What the generate screen knows of the record: read in a thread, over and over, and not at all while nothing changes.

No widget. The record is read through a store of its own, which `close` gives back.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from curation_db.enums import GenerationState
from curation_db.errors import RecordError
from curation_db.generation.runs import GenerationRunRow, RunFailure, failures, list_runs
from curation_db.generation.work_items import count_all
from curation_db.storage.store import Store, open_read_only
from workbench.errors import NegwbError
from workbench.jobs import generation
from workbench.workspace.engine_settings import Pipeline
from workbench.workspace.generation_settings import judge_of
from workbench.workspace.layout import Workspace
from workbench.workspace.settings import read_settings

_MOST_RUNS: Final = 500
_FAILURES: Final = 12


class RunStatus(StrEnum):
    """How a run stands, as a person would say it."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPED = "stopped"
    DONE = "done"
    FAILED = "failed"
    LOST = "lost"
    DIED = "died"
    """Before it had a row."""


@dataclass(frozen=True, slots=True)
class GenerationRow:
    """A line of the list: a run, or a process that has no row yet."""

    key: str
    status: RunStatus
    pipeline: str
    run: GenerationRunRow | None = None
    pid: int = 0
    said: str = ""
    """What a process that died said last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationInputs:
    """What there is to generate from, and by whom."""

    items: dict[str, int]
    """Pipeline to how many captions or questions there are."""
    proposer: str
    judges: tuple[str, ...]
    scripted: bool = False
    """Whether scripts stand in for models."""
    problem: str = ""
    """Why negwb.toml cannot be read."""

    @property
    def ready(self) -> bool:
        """Whether a generation can begin."""
        return bool(self.proposer) and not self.problem and any(self.items.values())


@dataclass(frozen=True, slots=True)
class GenerationSnapshot:
    """What one look saw."""

    entries: tuple[GenerationRow, ...]
    """Newest first."""
    chosen: GenerationRow | None
    failures: tuple[RunFailure, ...]
    """Of the chosen run, newest first."""
    inputs: GenerationInputs | None
    """Read where there is nothing else to show."""
    problem: str = ""
    """Why the record cannot be read."""


_Mark = tuple[tuple[int, int, int], ...]


class GenerationMonitor:
    """Looks at the record. One look at a time; close it."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._inode = 0
        self._mark: _Mark = ()
        self._rows: list[GenerationRunRow] = []
        self._failed: tuple[object, tuple[RunFailure, ...]] = (None, ())

    def close(self) -> None:
        """Release the record; a look that is under way ends first."""
        with self._lock:
            self._leave()

    def snapshot(self, chosen: str | None) -> GenerationSnapshot:
        """All runs; and `chosen`, or the newest, in full."""
        with self._lock:
            try:
                return self._snapshot(chosen)
            except RecordError as error:
                self._leave()
                return GenerationSnapshot((), None, (), None, error.message)

    def inputs(self) -> GenerationInputs:
        """What a generation could begin with."""
        with self._lock:
            return self._inputs()

    def _snapshot(self, chosen: str | None) -> GenerationSnapshot:
        mark = self._signature()
        lives = any(row.state is GenerationState.RUNNING for row in self._rows)
        if mark != self._mark or lives:  # the last word of a run must not be missed for the clock of a file system
            opened = self._opened()
            mark = self._stats()  # opening may write: it takes over the log of a process that was killed
            with opened.read() as connection:
                self._rows = list_runs(connection, _MOST_RUNS)
            self._mark = mark
        entries = self._entries()
        picked = next((each for each in entries if chosen in _keys(each)), entries[0] if entries else None)
        return GenerationSnapshot(entries, picked, self._failures(picked), None if entries else self._inputs())

    def _entries(self) -> tuple[GenerationRow, ...]:
        rows = self._rows
        born = {row.pid: row.started_at for row in reversed(rows) if row.here}
        waiting = [
            GenerationRow(
                process_key(each.pid),
                RunStatus.DIED if each.ended else RunStatus.STARTING,
                each.pipeline,
                pid=each.pid,
                said=each.output,
            )
            for each in generation.pending(self.workspace, born)
        ]
        return (*waiting, *(GenerationRow(f"run/{row.id}", run_status(row), pipeline_of(row), row) for row in rows))

    def _failures(self, entry: GenerationRow | None) -> tuple[RunFailure, ...]:
        run = entry.run if entry is not None else None
        if run is None or not (run.progress.failed or run.progress.dropped):
            return ()
        about = (run.id, run.beat_at)
        if self._failed[0] != about:
            with self._opened().read() as connection:
                self._failed = about, tuple(failures(connection, run_id=run.id, limit=_FAILURES))
        return self._failed[1]

    def _inputs(self) -> GenerationInputs:
        with self._opened().read() as connection:
            items = {
                str(pipeline): count_all(connection, kind)
                for pipeline, kind in ((Pipeline.P1, "caption"), (Pipeline.P2, "question"))
            }
        try:
            told = read_settings(self.workspace.settings).generate
        except NegwbError as error:
            return GenerationInputs(items=items, proposer="", judges=(), problem=error.message)
        used = {told.proposer, *(judge_of(judge)[0] for judge in told.judges)}
        scripted = any(told.engines[name].kind == "scripted" for name in used & told.engines.keys())
        return GenerationInputs(items=items, proposer=told.proposer, judges=told.judges, scripted=scripted)

    def _opened(self) -> Store:
        if self._store is None:
            self._store = open_read_only(self.workspace.database)
        return self._store

    def _leave(self) -> None:
        if self._store is not None:
            self._store.close()
        self._store, self._mark, self._rows = None, (), []

    def _signature(self) -> _Mark:
        """Of the record and its log; of another file in the record's place nothing that was known holds."""
        mark = self._stats()
        if mark[0][0] != self._inode:
            self._leave()
            self._inode = mark[0][0]
        return mark

    def _stats(self) -> _Mark:
        return tuple(_stat(Path(f"{self.workspace.database}{end}")) for end in ("", "-wal"))


def process_key(pid: int) -> str:
    """The key of a process that has no row yet."""
    return f"process/{pid}"


def _keys(entry: GenerationRow) -> tuple[str, ...]:
    """By which it may have been chosen: also by its process, before it had a row."""
    run = entry.run
    return (entry.key, process_key(run.pid)) if run is not None and run.here else (entry.key,)


def run_status(row: GenerationRunRow) -> RunStatus:
    """How the run stands now."""
    return RunStatus.LOST if row.lost else RunStatus(row.state)


def pipeline_of(row: GenerationRunRow) -> str:
    """P1, P2, or what else it was about."""
    return str(row.settings.get("pipeline") or "?")


def _stat(path: Path) -> tuple[int, int, int]:
    try:
        told = path.stat()
    except (OSError, ValueError):
        return (0, 0, 0)
    return (told.st_ino, told.st_mtime_ns, told.st_size)
