"""Checks of a record, one result per check, and the repair of derived data. A problem is a result, not an exception."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from curation_db.enums import GapCause
from curation_db.errors import CorruptRecord, ForeignSchema, RecordError
from curation_db.integrity import event_numbering, rebuild
from curation_db.integrity.consistency import Comparison, compare
from curation_db.integrity.impossible_times import find_impossible_times
from curation_db.language.sanitize import counted
from curation_db.storage import (
    backup,
    database_file,
    lineage,
    schema,
    sqlite,
    sqlite_errors,
    store,
    work_sessions,
    write_log,
)
from curation_db.storage.ids import utc_text
from curation_db.storage.migrations import HEAD

StepProgress = Callable[[str, int, int], None]
"""Receives the name of a step, the amount done and the total."""
UPGRADE_HINT = "negwb status, or any other command, migrates it after a backup"
_REPAIR_HINT = "rebuild it from the events: negwb doctor --repair"
_FULL_SYNC = 2
_MAX_RANGES = 8


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """Worth knowing; the record is correct."""
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class CheckResult:
    name: str
    level: Level
    message: str
    """One line."""
    hint: str = ""
    """What the person can do."""
    repairable: bool = False
    """`repair` corrects it."""


def check_record(record: Path, *, progress: StepProgress | None = None) -> Iterator[CheckResult]:
    """Yield the results of all checks, fast and important ones first; only one error if the file cannot be read."""
    try:
        mode = database_file.reading_mode(record) if record.is_file() else sqlite.Mode.READ
        revision = store.checked_revision(record, mode)
    except (RecordError, sqlite3.Error) as error:
        yield _error_result("database", error, record)
        return
    yield _run_check("database", record, lambda: _check_database(record))
    yield _run_check("references", record, lambda: _check_references(record))
    yield _run_check("links", record, lambda: _check_links(record))
    yield _run_check("schema", record, lambda: _check_schema(record, revision))
    if revision == HEAD:
        yield _run_check("events", record, lambda: _check_events(record))
    yield _run_check("log", record, lambda: _check_log(record, mode))
    yield _check_log_size(record)
    if revision == HEAD:
        yield from _check_derived(record, mode, progress)
    yield _run_check("sessions", record, lambda: _check_sessions(record))
    if revision == HEAD:
        yield _run_check("times", record, lambda: _check_times(record))
    yield _run_check("backups", record, lambda: _check_backups(record, revision))


def _error_result(name: str, error: Exception, record: Path) -> CheckResult:
    if isinstance(error, sqlite3.Error):
        error = sqlite_errors.translate(error, record)
    if isinstance(error, RecordError):
        return CheckResult(name, Level.ERROR, error.message, error.hint)
    return CheckResult(name, Level.ERROR, str(error))


def _run_check(name: str, record: Path, check: Callable[[], CheckResult]) -> CheckResult:
    try:
        return check()
    except (RecordError, sqlite3.Error, ValueError) as error:
        return _error_result(name, error, record)


def _check_database(record: Path) -> CheckResult:
    with database_file.read_connection(record) as connection:
        faults = database_file.integrity_faults(connection)
        event = database_file.newest_event(connection) if not faults else 0
        repairable = bool(faults) and database_file.only_indexes_damaged(connection)
    if not faults:
        return CheckResult("database", Level.OK, f"{record.name} is intact, up to event {event:,}")
    hint = "only its indexes are damaged; rebuild them: negwb doctor --repair"
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return CheckResult(
        "database",
        Level.ERROR,
        f"{record.name} is damaged: {faults[0]}{more}",
        hint if repairable else sqlite_errors.RESTORE_HINT,
        repairable=repairable,
    )


def _check_references(record: Path) -> CheckResult:
    with database_file.read_connection(record) as connection:
        dangling = database_file.dangling_references(connection)
    if not dangling:
        return CheckResult("references", Level.OK, "every row refers to existing rows")
    derived = all(each.split(" ")[0] in {"candidate_state", "queue_entry", "lease"} for each in dangling)
    counts = ", ".join(f"{count:,} of {each}" for each, count in dangling.items())
    return CheckResult(
        "references",
        Level.ERROR,
        f"rows refer to missing rows: {counts}",
        _REPAIR_HINT if derived else sqlite_errors.RESTORE_HINT,
        repairable=derived,
    )


def _check_links(record: Path) -> CheckResult:
    store.refuse_links(record)
    return CheckResult("links", Level.OK, "the file has one name")


def _check_schema(record: Path, revision: str) -> CheckResult:
    with database_file.read_connection(record) as connection:
        deviations = schema.deviations(connection, revision)
    if deviations:
        return CheckResult(
            "schema",
            Level.ERROR,
            f"{record.name} differs from negwb's schema {revision or 'none'}: {schema.summary(deviations)}",
            f"do not decide in it: the stored decisions may differ from the entered ones; {sqlite_errors.RESTORE_HINT}",
        )
    if revision == HEAD:
        return CheckResult("schema", Level.OK, f"schema {revision}, the newest of this negwb, without deviations")
    message = f"schema {revision or 'none'}; this negwb uses {HEAD}"
    return CheckResult("schema", Level.WARNING, message, UPGRADE_HINT)


def _check_events(record: Path) -> CheckResult:
    with database_file.read_connection(record) as connection:
        missing, gaps = event_numbering.missing_ranges(connection), event_numbering.recorded_gaps(connection)
    if missing:
        return CheckResult(
            "events",
            Level.ERROR,
            f"{_count_events(missing)} missing: decisions were lost (numbers {_format_ranges(missing)})",
            "a backup may have them: negwb backup --list, negwb restore FILE",
        )
    old_gaps = [(gap.first, gap.last) for gap in gaps if gap.cause is GapCause.MIGRATION]
    if old_gaps:
        return CheckResult(
            "events",
            Level.WARNING,
            f"{_count_events(old_gaps)} missing since before schema 0004 (numbers {_format_ranges(old_gaps)})",
            "exports take numbers, so this can be correct; if decisions are missing: negwb backup --list",
        )
    unused = sum(gap.last - gap.first + 1 for gap in gaps)
    skipped = f"; exports and restores skipped {counted(unused, 'number')}" if unused else ""
    return CheckResult("events", Level.OK, f"no event number is missing{skipped}")


def _count_events(ranges: Sequence[tuple[int, int]]) -> str:
    count = sum(last - first + 1 for first, last in ranges)
    return f"{count:,} event{' is' if count == 1 else 's are'}"


def _format_ranges(ranges: Sequence[tuple[int, int]]) -> str:
    texts = [str(first) if first == last else f"{first}–{last}" for first, last in ranges[:_MAX_RANGES]]
    return ", ".join(texts) + (f" and {len(ranges) - _MAX_RANGES:,} more ranges" if len(ranges) > _MAX_RANGES else "")


def _check_log(record: Path, mode: sqlite.Mode) -> CheckResult:
    if not sqlite.is_wal(record, mode):
        message = "the file has no write-ahead log, so readers and writers block each other"
        hint = "any command that writes switches it back to WAL mode"
        return CheckResult("log", Level.WARNING, message, hint)
    with store.Store(record, mode) as opened, opened.read() as connection:
        synchronous = int(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())
    if synchronous != _FULL_SYNC:
        return CheckResult(
            "log", Level.ERROR, f"synchronous is {synchronous}, not FULL: a power cut may lose decisions"
        )
    return CheckResult(
        "log",
        Level.OK,
        "write-ahead log, synchronous FULL: a decision survives a power cut; copy the record with negwb backup, never"
        " with cp, which omits the decisions in the log",
    )


def _check_log_size(record: Path) -> CheckResult:
    size = write_log.log_size(record)
    message = f"the log beside the record takes {size / 1e6:,.1f} MB"
    if size <= write_log.LOG_LIMIT_BYTES:
        return CheckResult("log size", Level.OK, message)
    readers = ", ".join(write_log.processes_with_open(record)) or "processes that this system does not list"
    return CheckResult(
        "log size",
        Level.WARNING,
        f"{message}: a long read prevents its truncation; the record is open in {readers}",
        "nothing is lost; let that process finish, or end it: the next decision then truncates the log",
    )


def _check_derived(record: Path, mode: sqlite.Mode, progress: StepProgress | None) -> Iterator[CheckResult]:
    try:
        with store.Store(record, mode) as opened, opened.read() as connection:
            comparison = compare(connection, progress=_step_progress(progress, "folding candidates"))
    except (RecordError, ValueError) as error:
        yield _error_result("states", error, record)
        return
    yield _states_result(comparison)
    yield _queue_result(comparison)


def _step_progress(progress: StepProgress | None, name: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(name, done, total)


def _states_result(comparison: Comparison) -> CheckResult:
    states, total = comparison.states, comparison.candidates
    if not states.ids:
        message = f"the states of {total:,} candidates agree with their {comparison.events:,} events"
        return CheckResult("states", Level.OK, message)
    message = f"{len(states.ids):,} of {total:,} states differ from the events; {states.examples[0]}"
    return CheckResult("states", Level.ERROR, message, _REPAIR_HINT, repairable=True)


def _queue_result(comparison: Comparison) -> CheckResult:
    queue, total = comparison.queue, comparison.candidates
    if queue.ids:
        message = f"{len(queue.ids):,} of {total:,} candidates have wrong queue entries; {queue.examples[0]}"
        return CheckResult("queue", Level.ERROR, message, _REPAIR_HINT, repairable=True)
    if comparison.strays:
        message = f"{comparison.strays:,} entries of missing candidates"
        return CheckResult("queue", Level.ERROR, message, _REPAIR_HINT, repairable=True)
    return CheckResult("queue", Level.OK, "the queue entries of every candidate agree with its events")


def _check_sessions(record: Path) -> CheckResult:
    with database_file.read_connection(record) as connection:
        sessions = work_sessions.open_sessions(connection)
        stale = work_sessions.stale_leases(connection)
    live = [session for session in sessions if session.alive]
    dead = len(sessions) - len(live)
    message = f"live now: {', '.join(map(str, live)) or 'none'}"
    if not dead and not stale:
        return CheckResult("sessions", Level.OK, message)
    message += f"; {counted(dead, 'session')} without a process, {counted(stale, 'lease')} without a session"
    hint = "harmless, leases expire; to delete them: negwb doctor --repair"
    return CheckResult("sessions", Level.WARNING, message, hint, repairable=True)


def _check_times(record: Path) -> CheckResult:
    now = time.time()
    with database_file.read_connection(record) as connection:
        impossible = find_impossible_times(connection, now)
    if not impossible.latest:
        return CheckResult("times", Level.OK, "no event, session or lease has a time in the future")
    here = utc_text(now)[:16].replace("T", " ")
    latest = impossible.latest[:16].replace("T", " ")
    return CheckResult(
        "times",
        Level.WARNING,
        f"{impossible} with a time in the future, up to {latest} UTC; the clock of this machine shows {here} UTC",
        "a clock is or was wrong: compare the clocks of all machines that use this record. Such decisions count; such"
        " leases count as expired",
    )


def _check_backups(record: Path, revision: str) -> CheckResult:
    backups = [row for row in backup.list_backups(backup.backup_folder(record)) if row.problem is None]
    if not backups:
        return CheckResult("backups", Level.WARNING, "there is no backup of this record", "create one: negwb backup")
    newer = _newer_backup(record, backups) if revision == HEAD else None
    if newer is not None:
        return CheckResult(
            "backups",
            Level.ERROR,
            f"{newer.path.name} has event {newer.event:,}, which the record has lost",
            f"restore it: negwb restore {newer.path.name}",
        )
    newest = backups[0]
    size = sum(row.size for row in backups) / 1e6
    message = f"the newest is of {newest.made_at[:16].replace('T', ' ')} UTC, event {newest.event:,}"
    return CheckResult("backups", Level.OK, f"{message}; {len(backups)} together take {size:,.1f} MB")


def _newer_backup(record: Path, backups: Sequence[backup.BackupRow]) -> backup.BackupRow | None:
    """Return a backup of the record's present lineage whose newest event the record lacks, if there is one.

    It shows that a record has lost its log: the file itself has no trace of events that were only in the log.
    """
    with database_file.read_connection(record) as connection:
        number, uid = lineage.largest_handed_out(connection), lineage.current_uid(connection)
    later = [row for row in backups if row.event is not None and row.event > max(number, 0)]
    for row in sorted(later, key=lambda row: row.event or 0, reverse=True):
        try:
            with sqlite.raw_connection(row.path, database_file.inspection_mode(row.path)) as connection:
                if lineage.current_uid(connection) == uid:
                    return row
        except (sqlite3.Error, OSError):
            if row.path.exists():  # otherwise another process has pruned it
                raise
    return None


def repair(record: Path, *, progress: StepProgress | None = None) -> list[str]:
    """Rebuild derived data and indexes after a backup; return one line per change, none if nothing was wrong.

    Raises:
        RecordError: the damage cannot be repaired, or another process blocks the repair; events are unchanged.
    """
    if not _needs_repair(record):
        return []
    changes = [f"backed up as {_back_up(record, progress)}"]
    with store.open_store(record) as opened:
        changes += _rebuild_indexes(record, opened)
        if strays := rebuild.delete_strays(opened):
            changes.append(f"deleted {strays:,} entries of missing candidates")
        with opened.read() as connection:
            wrong = compare(connection, progress=_step_progress(progress, "folding candidates")).wrong
        rebuild.rebuild(opened, wrong, progress=_step_progress(progress, "rebuilding"))
        if wrong:
            changes.append(f"rebuilt state and queue entries of {counted(len(wrong), 'candidate')}")
        with database_file.read_connection(record) as driver:
            dead = [session.id for session in work_sessions.open_sessions(driver) if not session.alive]
        released = rebuild.release_leases(opened, dead)
        if dead or released:
            changes.append(f"ended {counted(len(dead), 'session')} without a process, released {released} leases")
    return changes


def _needs_repair(record: Path) -> bool:
    """Return whether a repair can correct something.

    Raises:
        RecordError: the record has a fault that forbids every repair.
    """
    results = {result.name: result for result in check_record(record)}
    database = results["database"]
    if database.level is Level.ERROR and not database.repairable:
        raise CorruptRecord(database.message, hint=database.hint)
    built = results["schema"]
    if built.level is Level.ERROR:
        # foreign triggers would change the written data
        raise ForeignSchema(f"{built.message}; nothing was repaired", hint=built.hint)
    events = results.get("events")
    if events is not None and events.level is Level.ERROR:
        # rebuilt states would hide that these events existed
        raise CorruptRecord(f"{events.message}; nothing was repaired", hint=events.hint)
    no_log = "log" in results and results["log"].level is Level.WARNING
    return no_log or any(result.repairable for result in results.values())


def _back_up(record: Path, progress: StepProgress | None) -> Path:
    """Back up the record; copy its bytes if it is too damaged for a backup. Return the path of the copy."""
    try:
        return backup.back_up(record, before="repair", progress=_step_progress(progress, "copying, pages")).path
    except CorruptRecord:
        folder = backup.backup_folder(record) / f"damaged-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
        try:
            with database_file.exclusive_connection(record):
                copy = database_file.copy_bytes(record, folder)
        except sqlite3.Error as error:
            raise sqlite_errors.translate(error, record) from error
        return copy


def _rebuild_indexes(record: Path, opened: store.Store) -> list[str]:
    with database_file.read_connection(record) as connection:
        if not database_file.integrity_faults(connection):
            return []
    rebuild.rebuild_indexes(opened)
    with database_file.read_connection(record) as connection:
        faults = database_file.integrity_faults(connection)
    if faults:
        raise CorruptRecord(f"{record} has damage beyond its indexes: {faults[0]}", hint=sqlite_errors.RESTORE_HINT)
    return ["rebuilt all indexes"]
