"""Restore of a backup in the place of the record, in one step; the present record is backed up and the loss counted.

The order of the steps makes it safe: the backup is copied beside the record and checked; the record is locked
exclusively, so that no decision can be added and lost; the record is backed up; one rename replaces it. A kill at any
time leaves either the old or the new record, complete.

Event numbers continue above those of the replaced record (`lineage`), so that no number has two meanings.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from curation_db.atomic_write import sync
from curation_db.errors import CorruptRecord, ForeignSchema, NotARecord, RecordError, RecordInUse
from curation_db.storage import backup, database_file, lineage, schema, sqlite, sqlite_errors, store, work_sessions
from curation_db.storage.database_file import Contents, Progress
from curation_db.storage.migrations import HEAD

_LOST_EVENTS = """
    SELECT actor, count(*) FROM main.event e
    WHERE NOT EXISTS (SELECT 1 FROM restored.event r WHERE r.uid = e.uid) GROUP BY actor ORDER BY count(*) DESC, actor
"""
_OTHER_BACKUP_HINT = "nothing was changed; choose another backup: negwb backup --list"
_MAX_EVENT = 2**53
"""No record reaches this number; a file name or a manifest with a larger number is not negwb's."""
_COUNTED_TABLES = ("image", "caption", "candidate", "verdict")


@dataclass(frozen=True, slots=True)
class Loss:
    """Contents of the replaced record that the backup lacks; they are in the copy that was made before."""

    by_person: Mapping[str, int] = field(default_factory=dict)
    """Lost events by actor."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """Lost rows by table, of images, captions, candidates and verdicts; only tables with a loss."""

    @property
    def events(self) -> int:
        """Lost events of all actors."""
        return sum(self.by_person.values())


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """The restored backup and the state of the record after the restore."""

    backup: Path
    event: int
    """Number of the newest event in the restored record; 0 without events."""
    next_event: int
    """Number of the next event; the numbers in between belong to the replaced history."""
    before: Path | None
    """Copy of the replaced record; None if there was no record."""
    damaged: bool
    """The replaced record was damaged: `before` is a copy of its bytes, and the loss is unknown."""
    loss: Loss


def restore(
    record: Path,
    chosen: Path,
    *,
    exported: Iterable[int] = (),
    force: bool = False,
    progress: Progress | None = None,
) -> RestoreResult:
    """Replace `record` by a copy of the backup `chosen`; the present record is backed up first.

    Args:
        record: the database; it may be missing or damaged. If it is a symbolic link, the file that it points to is
            replaced and the link stays.
        chosen: a backup or any other record.
        exported: event numbers of the frozen sets (`manifest.event_numbers`). They count if the record cannot be
            read; otherwise they are not consumed.
        force: restore although sessions count as live. A process of this machine that has the record open still
            prevents the restore.
        progress: receives the copied pages and all pages.

    Raises:
        NotARecord, NewerRecord, CorruptRecord, ForeignSchema: `chosen` is not usable; nothing was changed.
        RecordInUse: the record is in use; nothing was changed.
        RecordError: no disk space or no write permission; nothing was changed.
    """
    target = database_file.real_path(record)
    draft = database_file.draft_path(target.parent, target.name)
    database_file.delete_abandoned_drafts(target.parent)
    try:
        contents = _prepare_draft(chosen, draft, progress)
        _set_access(draft, record, chosen)
        if not record.exists():
            next_event = lineage.start(draft, _largest_exported(record, exported), chosen.name)
            _put_in_place(draft, record)
            return RestoreResult(chosen, contents.event, next_event, None, False, Loss())
        return _replace(record, draft, chosen, contents, exported, force=force)
    except sqlite3.Error as error:
        raise sqlite_errors.translate(error, record) from error
    except OSError as error:
        raise RecordError(f"cannot restore {record}: {error.strerror or error}", hint="nothing was changed") from error
    finally:
        database_file.delete_database(draft)


def _prepare_draft(chosen: Path, draft: Path, progress: Progress | None) -> Contents:
    """Copy the backup beside the record, check it, migrate it and end its sessions."""
    if not chosen.is_file():
        raise NotARecord(f"no file at {chosen}", hint="list the backups: negwb backup --list")
    try:
        _check_before_use(chosen)
        contents = database_file.copy_snapshot(chosen, draft, progress=progress)
        backup.check_copy(draft, contents, chosen)
    except sqlite3.DatabaseError as error:
        raise sqlite_errors.translate(error, chosen) from error
    revision = _check_schema(draft, sqlite.Mode.FROZEN, chosen)
    if revision != HEAD:
        _migrate(draft, revision)
    with sqlite.raw_connection(draft) as connection:
        work_sessions.end_all_sessions(connection)  # no session of that time uses this new file
    return contents


def _check_before_use(chosen: Path) -> None:
    """Check that the file is intact and has negwb's schema, before any other statement depends on it.

    Raises:
        sqlite3.Error: the file cannot be read as a database.
        RecordError: the file is damaged, or its schema differs from negwb's.
    """
    mode = database_file.reading_mode(chosen)
    with sqlite.raw_connection(chosen, mode) as connection:
        faults = database_file.integrity_faults(connection, quick=True)
    if faults:
        raise CorruptRecord(f"{chosen} is damaged: {faults[0]}", hint=_OTHER_BACKUP_HINT)
    _check_schema(chosen, mode, chosen)


def _check_schema(path: Path, mode: sqlite.Mode, chosen: Path) -> str:
    """Return the schema revision of the file at `path`, after a check that its schema is the one of that revision.

    Raises:
        NotARecord, NewerRecord, CorruptRecord: as `store.checked_revision`.
        ForeignSchema: the schema differs.
    """
    revision = store.checked_revision(path, mode, shown_path=chosen)
    with sqlite.raw_connection(path, mode) as connection:
        deviations = schema.deviations(connection, revision)
    if deviations:
        summary = schema.summary(deviations)
        raise ForeignSchema(f"the schema of {chosen} is not negwb's: {summary}", hint=_OTHER_BACKUP_HINT)
    return revision


def _set_access(draft: Path, record: Path, chosen: Path) -> None:
    """Give the draft the permissions of the record; without a record, at most those of a new one."""
    if record.exists():
        database_file.copy_access(draft, record.stat())
        return
    database_file.copy_access(draft, chosen.stat())
    draft.chmod(draft.stat().st_mode & store.MAX_PERMISSIONS | 0o600)


def _migrate(draft: Path, revision: str) -> None:
    """Migrate the copy; the backup itself stays unchanged."""
    # deferred: Alembic costs 0.4 s, needed only when the backup is behind
    from curation_db.storage.migrations.upgrade import migrate  # noqa: PLC0415

    try:
        migrate(draft)
    except DBAPIError as error:
        raise RecordError(
            f"the backup has schema {revision or 'none'} and cannot be migrated to {HEAD}: {error.orig}",
            hint="nothing was changed",
        ) from error


def _put_in_place(draft: Path, record: Path) -> None:
    sync(draft)
    database_file.replace_database(draft, record)


def _largest_exported(record: Path, exported: Iterable[int]) -> int:
    """Return the largest event number in the names of the backups and in the frozen sets; -1 if there is none."""
    in_names = (backup.event_in_name(path.name) for path in backup.backup_folder(record).glob("*.db"))
    numbers = [number for number in (*in_names, *exported) if number is not None and number <= _MAX_EVENT]
    return max(numbers, default=-1)


def _replace(
    record: Path, draft: Path, chosen: Path, contents: Contents, exported: Iterable[int], *, force: bool
) -> RestoreResult:
    try:
        if not force:
            work_sessions.refuse_while_in_use(record, "a restore would replace the record while it is in use")
        with database_file.exclusive_connection(record) as connection:
            before = _back_up_present(connection, record)
            loss = _compute_loss(connection, draft)
            next_event = lineage.start(draft, lineage.largest_handed_out(connection), chosen.name)
            _put_in_place(draft, record)
        return RestoreResult(chosen, contents.event, next_event, before, False, loss)
    except sqlite3.OperationalError as error:
        if sqlite_errors.primary_code(error) not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise
        raise RecordInUse(
            f"{record.name} is open in another process", hint="quit every negwb that uses it, then try again"
        ) from error
    except (CorruptRecord, sqlite3.DatabaseError) as error:
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(
            sqlite_errors.translate(error, record), CorruptRecord
        ):
            raise
    # The record is damaged: it cannot be locked, and only its bytes can be copied.
    folder = backup.backup_folder(record) / f"damaged-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
    before = database_file.copy_bytes(record, folder)
    largest = max(_readable_number(record), _largest_exported(record, exported))
    next_event = lineage.start(draft, largest, chosen.name)
    _put_in_place(draft, record)
    return RestoreResult(chosen, contents.event, next_event, before, True, Loss())


def _readable_number(record: Path) -> int:
    """Return the largest event number that can be read from a damaged record; -1 if none can."""
    with contextlib.suppress(sqlite3.Error, ValueError), sqlite.raw_connection(record, sqlite.Mode.READ) as connection:
        number = lineage.largest_handed_out(connection)
        return number if number <= _MAX_EVENT else -1
    return -1


def _back_up_present(connection: sqlite3.Connection, record: Path) -> Path:
    folder = backup.backup_folder(record)
    folder.mkdir(exist_ok=True)
    draft = database_file.draft_path(folder, record.name)
    try:
        contents = database_file.copy_connection(connection, draft)
        return backup.finish_backup(draft, contents, record, None, before="restore").path
    finally:
        database_file.delete_database(draft)


def _compute_loss(connection: sqlite3.Connection, draft: Path) -> Loss:
    connection.execute("ATTACH ? AS restored", (sqlite.file_uri(draft, sqlite.Mode.FROZEN),))
    try:
        by_person = dict(connection.execute(_LOST_EVENTS).fetchall())
        rows = {
            table: _count_rows(connection, "main", table) - _count_rows(connection, "restored", table)
            for table in _COUNTED_TABLES
        }
    except sqlite3.OperationalError as error:
        if not sqlite_errors.is_schema_mismatch(error):
            raise
        return Loss()
    finally:
        connection.execute("DETACH restored")
    return Loss(by_person, {table: fewer for table, fewer in rows.items() if fewer > 0})


def _count_rows(connection: sqlite3.Connection, database: str, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {database}.{table}").fetchone()[0])
