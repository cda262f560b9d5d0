"""Snapshots of the generation runs in the record for the generate screen, which polls them in a thread.

The record is read only after its files have changed, through a separate store that `close` closes. No widgets.
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
from workbench.workspace.layout import Workspace
from workbench.workspace.settings.engines import Pipeline
from workbench.workspace.settings.generation import parse_judge
from workbench.workspace.settings.settings import read_settings

_MOST_RUNS: Final = 500
_FAILURES: Final = 12


class RunStatus(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    STOPPED = "stopped"
    DONE = "done"
    FAILED = "failed"
    LOST = "lost"
    DIED = "died"
    """Ended before its run had a row."""


@dataclass(frozen=True, slots=True)
class GenerationRow:
    """A row of the list: a run, or a process whose run has no row yet."""

    key: str
    status: RunStatus
    pipeline: str
    run: GenerationRunRow | None = None
    pid: int = 0
    output: str = ""
    """Last output of a process that died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationInputs:
    items: dict[str, int]
    """Pipeline to number of captions or questions."""
    proposer: str
    judges: tuple[str, ...]
    scripted: bool = False
    """Whether scripts replace models."""
    problem: str = ""
    """Why negwb.toml cannot be read."""

    @property
    def ready(self) -> bool:
        """Whether a generation can start."""
        return bool(self.proposer) and not self.problem and any(self.items.values())


@dataclass(frozen=True, slots=True)
class GenerationSnapshot:
    """State of all runs at one time."""

    entries: tuple[GenerationRow, ...]
    """Newest first."""
    chosen: GenerationRow | None
    failures: tuple[RunFailure, ...]
    """Of the chosen run, newest first."""
    inputs: GenerationInputs | None
    """Read only if there are no runs."""
    problem: str = ""
    """Why the record cannot be read."""


_Stat = tuple[tuple[int, int, int], ...]


class GenerationMonitor:
    """Takes snapshots, one at a time. Must be closed."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._inode = 0
        self._last_stat: _Stat = ()
        self._rows: list[GenerationRunRow] = []
        self._failed: tuple[object, tuple[RunFailure, ...]] = (None, ())

    def close(self) -> None:
        """Close the record after a running snapshot."""
        with self._lock:
            self._close_store()

    def snapshot(self, chosen: str | None) -> GenerationSnapshot:
        """Return all runs, with details of `chosen` or else of the newest."""
        with self._lock:
            try:
                return self._snapshot(chosen)
            except RecordError as error:
                self._close_store()
                return GenerationSnapshot((), None, (), None, error.message)

    def inputs(self) -> GenerationInputs:
        with self._lock:
            return self._inputs()

    def _snapshot(self, chosen: str | None) -> GenerationSnapshot:
        stat = self._current_stat()
        any_running = any(row.state is GenerationState.RUNNING for row in self._rows)
        if stat != self._last_stat or any_running:  # a coarse file clock must not hide a run's last change
            opened = self._open_store()
            stat = self._file_stats()  # opening can write: SQLite recovers the WAL of a killed process
            with opened.read() as connection:
                self._rows = list_runs(connection, _MOST_RUNS)
            self._last_stat = stat
        entries = self._list_rows()
        selected = next((each for each in entries if chosen in _keys(each)), entries[0] if entries else None)
        return GenerationSnapshot(entries, selected, self._failures(selected), None if entries else self._inputs())

    def _list_rows(self) -> tuple[GenerationRow, ...]:
        rows = self._rows
        started = {row.pid: row.started_at for row in reversed(rows) if row.here}
        waiting = [
            GenerationRow(
                process_key(each.pid),
                RunStatus.DIED if each.ended else RunStatus.STARTING,
                each.pipeline,
                pid=each.pid,
                output=each.output,
            )
            for each in generation.pending(self.workspace, started)
        ]
        return (*waiting, *(GenerationRow(f"run/{row.id}", run_status(row), pipeline_of(row), row) for row in rows))

    def _failures(self, entry: GenerationRow | None) -> tuple[RunFailure, ...]:
        run = entry.run if entry is not None else None
        if run is None or not (run.progress.failed or run.progress.dropped):
            return ()
        failures_key = (run.id, run.beat_at)
        if self._failed[0] != failures_key:
            with self._open_store().read() as connection:
                self._failed = failures_key, tuple(failures(connection, run_id=run.id, limit=_FAILURES))
        return self._failed[1]

    def _inputs(self) -> GenerationInputs:
        with self._open_store().read() as connection:
            items = {
                str(pipeline): count_all(connection, kind)
                for pipeline, kind in ((Pipeline.P1, "caption"), (Pipeline.P2, "question"))
            }
        try:
            settings = read_settings(self.workspace.settings).generate
        except NegwbError as error:
            return GenerationInputs(items=items, proposer="", judges=(), problem=error.message)
        used = {settings.proposer, *(parse_judge(judge)[0] for judge in settings.judges)}
        scripted = any(settings.engines[name].kind == "scripted" for name in used & settings.engines.keys())
        return GenerationInputs(items=items, proposer=settings.proposer, judges=settings.judges, scripted=scripted)

    def _open_store(self) -> Store:
        if self._store is None:
            self._store = open_read_only(self.workspace.database)
        return self._store

    def _close_store(self) -> None:
        if self._store is not None:
            self._store.close()
        self._store, self._last_stat, self._rows = None, (), []

    def _current_stat(self) -> _Stat:
        """Return the stat of the record and its WAL; drop all state if the file was replaced."""
        stat = self._file_stats()
        if stat[0][0] != self._inode:
            self._close_store()
            self._inode = stat[0][0]
        return stat

    def _file_stats(self) -> _Stat:
        return tuple(_stat(Path(f"{self.workspace.database}{end}")) for end in ("", "-wal"))


def process_key(pid: int) -> str:
    """Return the key of a process whose run has no row yet."""
    return f"process/{pid}"


def _keys(entry: GenerationRow) -> tuple[str, ...]:
    """Return the keys by which a row may be selected: also its process, from before it had a row."""
    run = entry.run
    return (entry.key, process_key(run.pid)) if run is not None and run.here else (entry.key,)


def run_status(row: GenerationRunRow) -> RunStatus:
    return RunStatus.LOST if row.lost else RunStatus(row.state)


def pipeline_of(row: GenerationRunRow) -> str:
    """Return the run's pipeline: P1, P2, or "?"."""
    return str(row.settings.get("pipeline") or "?")


def _stat(path: Path) -> tuple[int, int, int]:
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return (0, 0, 0)
    return (stat.st_ino, stat.st_mtime_ns, stat.st_size)
