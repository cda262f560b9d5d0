"""Putting a backup in the record's place: in one step, with what was there kept, and what is lost by it told.

The order is what makes it safe. The backup is copied beside the record and checked; the record is then held alone, so
that nobody decides anything that would be lost; it is backed up itself; and one rename ends it. Killed anywhere, the
old record or the new one is there, whole.

Event numbers go on above those of the record that is replaced (`lineage`), so that no number ever means two things.
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
    WHERE NOT EXISTS (SELECT 1 FROM kept.event k WHERE k.uid = e.uid) GROUP BY actor ORDER BY count(*) DESC, actor
"""
_OTHER_BACKUP_HINT = "nothing was changed; take another backup: negwb backup --list"
_MAX_EVENT = 2**53
"""No record counts that far; a file name or a manifest with a larger number is not ours."""
_COUNTED_TABLES = ("image", "caption", "candidate", "verdict")


@dataclass(frozen=True, slots=True)
class Loss:
    """What the record held that the backup does not; it is in the copy that was made before."""

    by_person: Mapping[str, int] = field(default_factory=dict)
    """Events, by who made them."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """Of images, captions, candidates and verdicts: so many fewer, where there are fewer."""

    @property
    def events(self) -> int:
        """Of everybody together."""
        return sum(self.by_person.values())


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """What was put in the record's place, and where the record is now."""

    backup: Path
    event: int
    """The newest one there is now; 0: none."""
    next_event: int
    """The number of the next one; those in between belong to the history that was replaced."""
    before: Path | None
    """The copy of what was there; None: nothing was."""
    damaged: bool
    """What was there was damaged: the copy is byte for byte, and what is lost by it cannot be told."""
    loss: Loss


def restore(
    record: Path,
    chosen: Path,
    *,
    exported: Iterable[int] = (),
    force: bool = False,
    progress: Progress | None = None,
) -> RestoreResult:
    """Put a copy of the backup `chosen` in the place of `record`; what is there is backed up first.

    Args:
        record: The database; it may be missing or damaged. Where it is a symbolic link, the file that it points to is
            replaced and the link stays.
        chosen: A backup, or any other record.
        exported: The event numbers of frozen sets (`manifest.event_numbers`). They count where the record cannot be
            read; otherwise they are not asked for.
        force: Also while sessions count as live. Whoever really has it open on this machine still prevents it.
        progress: Told the pages copied and all pages.

    Raises:
        NotARecord, NewerRecord, CorruptRecord, ForeignSchema: `chosen` is of no use; nothing was changed.
        RecordInUse: somebody is at work; nothing was changed.
        RecordError: no room, or no right to write; nothing was changed.
    """
    place = database_file.real_path(record)
    part = database_file.draft_path(place.parent, place.name)
    database_file.delete_abandoned_drafts(place.parent)
    try:
        held = _prepare_draft(chosen, part, progress)
        _set_access(part, record, chosen)
        if not record.exists():
            following = lineage.start(part, _largest_exported(record, exported), chosen.name)
            _put_in_place(part, record)
            return RestoreResult(chosen, held.event, following, None, False, Loss())
        return _replace(record, part, chosen, held, exported, force=force)
    except sqlite3.Error as error:
        raise sqlite_errors.translate(error, record) from error
    except OSError as error:
        raise RecordError(f"cannot restore {record}: {error.strerror or error}", hint="nothing was changed") from error
    finally:
        database_file.delete_database(part)


def _prepare_draft(chosen: Path, part: Path, progress: Progress | None) -> Contents:
    """Copy the backup beside the record, and see that this negwb can work with it."""
    if not chosen.is_file():
        raise NotARecord(f"no file at {chosen}", hint="see what there is: negwb backup --list")
    try:
        _check_before_use(chosen)
        held = database_file.copy_snapshot(chosen, part, progress=progress)
        backup.check_copy(part, held, chosen)
    except sqlite3.DatabaseError as error:
        raise sqlite_errors.translate(error, chosen) from error
    revision = _check_schema(part, sqlite.Mode.FROZEN, chosen)
    if revision != HEAD:
        _migrate(part, revision)
    with sqlite.raw_connection(part) as copy:
        work_sessions.end_all_sessions(copy)  # who was at work then is not at work in this file
    return held


def _check_before_use(chosen: Path) -> None:
    """See that nothing in the file can mislead us before any statement of ours depends on it.

    Raises:
        sqlite3.Error: it cannot be read as a database.
        RecordError: it is damaged, or not built as negwb builds it.
    """
    mode = database_file.reading_mode(chosen)
    with sqlite.raw_connection(chosen, mode) as source:
        faults = database_file.integrity_faults(source, quick=True)
    if faults:
        raise CorruptRecord(f"{chosen} is damaged: {faults[0]}", hint=_OTHER_BACKUP_HINT)
    _check_schema(chosen, mode, chosen)


def _check_schema(path: Path, mode: sqlite.Mode, chosen: Path) -> str:
    """The schema version of the file at `path`, whose schema is that of this version.

    Raises:
        NotARecord, NewerRecord, CorruptRecord: as `store.known_revision`.
        ForeignSchema: it is another one.
    """
    revision = store.checked_revision(path, mode, called=chosen)
    with sqlite.raw_connection(path, mode) as connection:
        found = schema.deviations(connection, revision)
    if found:
        raise ForeignSchema(
            f"{chosen} is not built as negwb builds it: {schema.summary(found)}", hint=_OTHER_BACKUP_HINT
        )
    return revision


def _set_access(part: Path, record: Path, chosen: Path) -> None:
    """Who may use the record stays as it was; a record that is gone comes back no more open than a new one."""
    if record.exists():
        database_file.copy_access(part, record.stat())
        return
    database_file.copy_access(part, chosen.stat())
    part.chmod(part.stat().st_mode & store.MAX_PERMISSIONS | 0o600)


def _migrate(part: Path, revision: str) -> None:
    """Migrate the copy; the backup that it was made of stays as it is."""
    # deferred: Alembic costs 0.4 s, needed only when the backup is behind
    from curation_db.storage.migrations.upgrade import migrate  # noqa: PLC0415

    try:
        migrate(part)
    except DBAPIError as error:
        raise RecordError(
            f"the backup is of schema {revision or 'none'} and cannot be brought up to {HEAD}: {error.orig}",
            hint="nothing was changed",
        ) from error


def _put_in_place(part: Path, record: Path) -> None:
    sync(part)
    database_file.replace_database(part, record)


def _largest_exported(record: Path, exported: Iterable[int]) -> int:
    """The largest event number that the names of backups and the frozen sets know; -1: none."""
    named = (backup.event_in_name(path.name) for path in backup.backup_folder(record).glob("*.db"))
    known = [number for number in (*named, *exported) if number is not None and number <= _MAX_EVENT]
    return max(known, default=-1)


def _replace(
    record: Path, part: Path, chosen: Path, held: Contents, exported: Iterable[int], *, force: bool
) -> RestoreResult:
    try:
        if not force:
            work_sessions.refuse_while_in_use(record, "restoring takes the record from under them")
        with database_file.exclusive_connection(record) as present:
            before = _back_up_present(present, record)
            loss = _compute_loss(present, part)
            following = lineage.start(part, lineage.largest_handed_out(present), chosen.name)
            _put_in_place(part, record)
        return RestoreResult(chosen, held.event, following, before, False, loss)
    except sqlite3.OperationalError as error:
        if sqlite_errors.primary_code(error) not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise
        raise RecordInUse(
            f"{record.name} is open in another process", hint="leave every negwb that works in it, then try again"
        ) from error
    except (CorruptRecord, sqlite3.DatabaseError) as error:
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(
            sqlite_errors.translate(error, record), CorruptRecord
        ):
            raise
    # damaged: nobody can be asked to leave it, and no copy but of its bytes can be made
    folder = backup.backup_folder(record) / f"damaged-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
    before = database_file.copy_bytes(record, folder)
    following = lineage.start(part, max(_readable_number(record), _largest_exported(record, exported)), chosen.name)
    _put_in_place(part, record)
    return RestoreResult(chosen, held.event, following, before, True, Loss())


def _readable_number(record: Path) -> int:
    """What can still be read of the numbers that a damaged record handed out; -1: nothing."""
    with contextlib.suppress(sqlite3.Error, ValueError), sqlite.raw_connection(record, sqlite.Mode.READ) as connection:
        number = lineage.largest_handed_out(connection)
        return number if number <= _MAX_EVENT else -1
    return -1


def _back_up_present(present: sqlite3.Connection, record: Path) -> Path:
    folder = backup.backup_folder(record)
    folder.mkdir(exist_ok=True)
    part = database_file.draft_path(folder, record.name)
    try:
        held = database_file.copy_connection(present, part)
        return backup.finish_backup(part, held, record, None, before="restore").path
    finally:
        database_file.delete_database(part)


def _compute_loss(present: sqlite3.Connection, part: Path) -> Loss:
    present.execute("ATTACH ? AS kept", (sqlite.file_uri(part, sqlite.Mode.FROZEN),))
    try:
        by_person = dict(present.execute(_LOST_EVENTS).fetchall())
        rows = {name: _count(present, "main", name) - _count(present, "kept", name) for name in _COUNTED_TABLES}
    except sqlite3.OperationalError as error:
        if not sqlite_errors.is_schema_mismatch(error):
            raise
        return Loss()
    finally:
        present.execute("DETACH kept")
    return Loss(by_person, {name: fewer for name, fewer in rows.items() if fewer > 0})


def _count(connection: sqlite3.Connection, database: str, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {database}.{table}").fetchone()[0])
