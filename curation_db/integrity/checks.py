"""Looking a record over, one question at a time, and mending what can be made again. Never raises for what it finds."""

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
"""Told of a step, how much of it is done, and of how much."""
UPGRADE_HINT = "negwb status, or any other command, brings it up to date, after a backup"
_REPAIR_HINT = "make it anew out of the events: negwb doctor --repair"
_FULL_SYNC = 2
_MAX_RANGES = 8


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """To be known; nothing is wrong."""
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The answer to one question, in a line."""

    name: str
    level: Level
    message: str
    hint: str = ""
    """What to do about it."""
    repairable: bool = False
    """`repair` mends it."""


def check_record(record: Path, *, progress: StepProgress | None = None) -> Iterator[CheckResult]:
    """Look the record over, the cheap and the grave first; where the file cannot be read, that is all there is."""
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
    told = error if isinstance(error, RecordError) else _in_words(error, record)
    return CheckResult(name, Level.ERROR, told.message, told.hint)


def _in_words(error: Exception, record: Path) -> RecordError:
    return sqlite_errors.translate(error, record) if isinstance(error, sqlite3.Error) else RecordError(str(error))


def _run_check(name: str, record: Path, look: Callable[[], CheckResult]) -> CheckResult:
    try:
        return look()
    except (RecordError, sqlite3.Error, ValueError) as error:
        return _error_result(name, error, record)


def _check_database(record: Path) -> CheckResult:
    with database_file.read_connection(record) as connection:
        faults = database_file.integrity_faults(connection)
        event = database_file.newest_event(connection) if not faults else 0
        mendable = bool(faults) and database_file.only_indexes_damaged(connection)
    if not faults:
        return CheckResult("database", Level.OK, f"{record.name} is whole, up to event {event:,}")
    hint = "its indexes can be made anew: negwb doctor --repair" if mendable else sqlite_errors.RESTORE_HINT
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return CheckResult(
        "database", Level.ERROR, f"{record.name} is damaged: {faults[0]}{more}", hint, repairable=mendable
    )


def _check_references(record: Path) -> CheckResult:
    with database_file.read_connection(record) as connection:
        dangling = database_file.dangling_references(connection)
    if not dangling:
        return CheckResult("references", Level.OK, "every row refers to rows that are there")
    derived = all(each.split(" ")[0] in {"candidate_state", "queue_entry", "lease"} for each in dangling)
    told = ", ".join(f"{count:,} of {each}" for each, count in dangling.items())
    return CheckResult(
        "references",
        Level.ERROR,
        f"rows refer to rows that are not there: {told}",
        _REPAIR_HINT if derived else sqlite_errors.RESTORE_HINT,
        repairable=derived,
    )


def _check_links(record: Path) -> CheckResult:
    store.refuse_links(record)
    return CheckResult("links", Level.OK, "the file has one name")


def _check_schema(record: Path, revision: str) -> CheckResult:
    with database_file.read_connection(record) as connection:
        found = schema.deviations(connection, revision)
    if found:
        return CheckResult(
            "schema",
            Level.ERROR,
            f"{record.name} is not built as negwb builds schema {revision or 'none'}: {schema.summary(found)}",
            f"do not decide in it: what is stored may not be what was entered; {sqlite_errors.RESTORE_HINT}",
        )
    if revision == HEAD:
        return CheckResult(
            "schema", Level.OK, f"schema {revision}, the newest that this negwb knows, and as it builds it"
        )
    return CheckResult(
        "schema",
        Level.WARNING,
        f"schema {revision or 'none'}; this negwb works with {HEAD}",
        UPGRADE_HINT,
    )


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
    before = [(gap.first, gap.last) for gap in gaps if gap.cause is GapCause.MIGRATION]
    if before:
        return CheckResult(
            "events",
            Level.WARNING,
            f"{_count_events(before)} missing since before schema 0004 (numbers {_format_ranges(before)})",
            "exports take numbers, so this may be as it must be; if decisions are missing: negwb backup --list",
        )
    unused = sum(gap.last - gap.first + 1 for gap in gaps)
    told = f"; exports and restores skipped {counted(unused, 'number')}" if unused else ""
    return CheckResult("events", Level.OK, f"no event number is missing{told}")


def _count_events(ranges: Sequence[tuple[int, int]]) -> str:
    count = sum(last - first + 1 for first, last in ranges)
    return f"{count:,} event{' is' if count == 1 else 's are'}"


def _format_ranges(ranges: Sequence[tuple[int, int]]) -> str:
    told = [str(first) if first == last else f"{first}–{last}" for first, last in ranges[:_MAX_RANGES]]
    return ", ".join(told) + (f" and {len(ranges) - _MAX_RANGES:,} more ranges" if len(ranges) > _MAX_RANGES else "")


def _check_log(record: Path, mode: sqlite.Mode) -> CheckResult:
    if not sqlite.is_wal(record, mode):
        hint = "any command that writes puts it back into WAL mode"
        return CheckResult("log", Level.WARNING, "the file keeps no write-ahead log: readers and writers block", hint)
    with store.Store(record, mode) as opened, opened.read() as connection:
        synchronous = int(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())
    if synchronous != _FULL_SYNC:
        return CheckResult(
            "log", Level.ERROR, f"synchronous is {synchronous}, not FULL: a power cut may cost decisions"
        )
    return CheckResult(
        "log",
        Level.OK,
        "write-ahead log, synchronous FULL: a decision survives a power cut; copy the record with negwb backup, never"
        " with cp, which leaves the log's decisions out",
    )


def _check_log_size(record: Path) -> CheckResult:
    size = write_log.log_size(record)
    message = f"the log beside the record takes {size / 1e6:,.1f} MB"
    if size <= write_log.LOG_LIMIT_BYTES:
        return CheckResult("log size", Level.OK, message)
    readers = ", ".join(write_log.processes_with_open(record)) or "processes that cannot be told here"
    return CheckResult(
        "log size",
        Level.WARNING,
        f"{message}: a long read keeps it from being shortened; the record is open in {readers}",
        "nothing is lost; let that process finish, or end it: the next decision then shortens the log",
    )


def _check_derived(record: Path, mode: sqlite.Mode, progress: StepProgress | None) -> Iterator[CheckResult]:
    try:
        with store.Store(record, mode) as opened, opened.read() as connection:
            found = compare(connection, progress=_step_progress(progress, "folding candidates"))
    except (RecordError, ValueError) as error:
        yield _error_result("states", error, record)
        return
    yield _states_result(found)
    yield _queue_result(found)


def _step_progress(progress: StepProgress | None, name: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(name, done, total)


def _states_result(found: Comparison) -> CheckResult:
    if not found.states.ids:
        told = f"the states of {found.candidates:,} candidates are what their {found.events:,} events say"
        return CheckResult("states", Level.OK, told)
    told = f"{len(found.states.ids):,} of {found.candidates:,} states are not what the events say"
    return CheckResult("states", Level.ERROR, f"{told}; {found.states.examples[0]}", _REPAIR_HINT, repairable=True)


def _queue_result(found: Comparison) -> CheckResult:
    if found.queue.ids:
        told = f"{len(found.queue.ids):,} of {found.candidates:,} candidates are not where they belong in the queue"
        return CheckResult("queue", Level.ERROR, f"{told}; {found.queue.examples[0]}", _REPAIR_HINT, repairable=True)
    if found.strays:
        message = f"{found.strays:,} entries of candidates that are not there"
        return CheckResult("queue", Level.ERROR, message, _REPAIR_HINT, repairable=True)
    return CheckResult("queue", Level.OK, "every candidate is where its events put it")


def _check_sessions(record: Path) -> CheckResult:
    with database_file.read_connection(record) as connection:
        told = work_sessions.open_sessions(connection)
        stale = work_sessions.stale_leases(connection)
    live = [each for each in told if each.alive]
    dead = len(told) - len(live)
    here = ", ".join(map(str, live)) or "nobody"
    if not dead and not stale:
        return CheckResult("sessions", Level.OK, f"at work now: {here}")
    left = "1 card is" if stale == 1 else f"{stale} cards are"
    message = f"at work now: {here}; {counted(dead, 'session')} ended without saying so, {left} held by nobody"
    hint = "harmless, leases expire; to clear them: negwb doctor --repair"
    return CheckResult("sessions", Level.WARNING, message, hint, repairable=True)


def _check_times(record: Path) -> CheckResult:
    now = time.time()
    with database_file.read_connection(record) as connection:
        found = find_impossible_times(connection, now)
    if not found.latest:
        return CheckResult("times", Level.OK, "no event, session or lease has a time in the future")
    here = utc_text(now)[:16].replace("T", " ")
    there = found.latest[:16].replace("T", " ")
    return CheckResult(
        "times",
        Level.WARNING,
        f"{found} with a time in the future, up to {there} UTC; the clock of this machine says {here} UTC",
        "a clock is wrong, or was: compare the clocks of all machines that use this record. Decisions count all the"
        " same, such leases count as expired",
    )


def _check_backups(record: Path, revision: str) -> CheckResult:
    made = [each for each in backup.list_backups(backup.backup_folder(record)) if each.problem is None]
    if not made:
        return CheckResult("backups", Level.WARNING, "there is no backup of this record", "make one: negwb backup")
    ahead = _newer_backup(record, made) if revision == HEAD else None
    if ahead is not None:
        return CheckResult(
            "backups",
            Level.ERROR,
            f"{ahead.path.name} holds event {ahead.event:,}, which the record has lost",
            f"put it back: negwb restore {ahead.path.name}",
        )
    newest = made[0]
    size = sum(each.size for each in made) / 1e6
    message = f"the newest is of {newest.made_at[:16].replace('T', ' ')} UTC, event {newest.event:,}"
    return CheckResult("backups", Level.OK, f"{message}; {len(made)} together take {size:,.1f} MB")


def _newer_backup(record: Path, made: Sequence[backup.BackupRow]) -> backup.BackupRow | None:
    """The backup with the newest event, if it was made of this lineage of the record and the record lacks that event.

    So a record that lost its log shows it: nothing in the file itself tells of what was in the log alone.
    """
    with database_file.read_connection(record) as connection:
        number, current = lineage.largest_handed_out(connection), lineage.current_uid(connection)
    later = [each for each in made if each.event is not None and each.event > max(number, 0)]
    for each in sorted(later, key=lambda one: one.event or 0, reverse=True):
        try:
            with sqlite.raw_connection(each.path, database_file.inspection_mode(each.path)) as kept:
                if lineage.current_uid(kept) == current:
                    return each
        except (sqlite3.Error, OSError):
            if each.path.exists():  # else another process has pruned it
                raise
    return None


def repair(record: Path, *, progress: StepProgress | None = None) -> list[str]:
    """Mend what can be made again, after a backup; returns what was done, a line each; none: nothing was wrong.

    Raises:
        RecordError: it is damaged in what cannot be made again, or somebody is in the way; events are untouched.
    """
    if not _needs_repair(record):
        return []
    done = [f"backed up as {_back_up(record, progress)}"]
    with store.open_store(record) as opened:
        done += _rebuild_indexes(record, opened)
        if strays := rebuild.delete_strays(opened):
            done.append(f"removed {strays:,} entries of candidates that are not there")
        with opened.read() as connection:
            wrong = compare(connection, progress=_step_progress(progress, "folding candidates")).wrong
        rebuild.rebuild(opened, wrong, progress=_step_progress(progress, "rebuilding"))
        if wrong:
            done.append(f"made state and queue places of {len(wrong):,} candidates anew")
        with database_file.read_connection(record) as bare:
            dead = [each.id for each in work_sessions.open_sessions(bare) if not each.alive]
        freed = rebuild.release_leases(opened, dead)
        if dead or freed:
            done.append(f"ended {len(dead)} sessions whose process is gone, and freed {freed} cards")
    return done


def _needs_repair(record: Path) -> bool:
    """Whether anything is to be mended.

    Raises:
        RecordError: the record is such that nothing can be.
    """
    found = {each.name: each for each in check_record(record)}
    grave = found["database"]
    if grave.level is Level.ERROR and not grave.repairable:
        raise CorruptRecord(grave.message, hint=grave.hint)
    built = found["schema"]
    if built.level is Level.ERROR:
        # foreign triggers would change what is written
        raise ForeignSchema(f"{built.message}; nothing is repaired in it", hint=built.hint)
    events = found.get("events")
    if events is not None and events.level is Level.ERROR:
        # states made anew would no longer show that these events were there
        raise CorruptRecord(f"{events.message}; nothing is repaired over that", hint=events.hint)
    return any(each.repairable for each in found.values()) or ("log" in found and found["log"].level is Level.WARNING)


def _back_up(record: Path, progress: StepProgress | None) -> Path:
    """A backup, or of a file that makes none, its bytes."""
    try:
        return backup.back_up(record, before="repair", progress=_step_progress(progress, "copying, pages")).path
    except CorruptRecord:
        folder = backup.backup_folder(record) / f"damaged-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
        try:
            with database_file.exclusive_connection(record):
                kept = database_file.copy_bytes(record, folder)
        except sqlite3.Error as error:
            raise sqlite_errors.translate(error, record) from error
        return kept


def _rebuild_indexes(record: Path, opened: store.Store) -> list[str]:
    with database_file.read_connection(record) as connection:
        if not database_file.integrity_faults(connection):
            return []
    rebuild.rebuild_indexes(opened)
    with database_file.read_connection(record) as connection:
        left = database_file.integrity_faults(connection)
    if left:
        raise CorruptRecord(f"{record} is damaged in more than its indexes: {left[0]}", hint=sqlite_errors.RESTORE_HINT)
    return ["made all indexes anew"]
