"""Backups: whole copies of the record, made while people go on deciding, and checked before they count as such.

A backup is one file that negwb, and SQLite, can open. It is written under another name, compared with what the record
held at the moment of the copy, and only then gets its own name: a file of that name is a good one.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from curation_db.atomic_write import sync
from curation_db.errors import CorruptRecord, DiskError, NotARecord, RecordError, RecordUnwritable
from curation_db.storage import database_file, sqlite, sqlite_errors
from curation_db.storage.database_file import Contents, Progress

FOLDER = "backups"
"""Beside the record."""
_NAME = re.compile(r"curation-(\d{8}T\d{6}Z)-(\d+)(?:-before-([a-z0-9-]+))?(?:\.\d+)?\.db")
_STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made and checked."""

    path: Path
    event: int
    """The newest event in it; 0: none."""
    size: int
    """Bytes."""
    tables: Mapping[str, int]
    dangling: Mapping[str, int]
    """Rows that refer to rows which are not there; the record has the same ones."""


@dataclass(frozen=True, slots=True)
class BackupRow:
    """A file in the folder of backups."""

    path: Path
    size: int
    made_at: str
    """UTC, ISO 8601: as its name says, else the file's own time."""
    event: int | None
    """The newest event in it; None: it cannot be read."""
    before: str | None
    """What it was made before, where negwb made it by itself: migration, bulk, restore, repair."""
    problem: str | None = None


def back_up(
    record: Path, target: Path | None = None, *, before: str | None = None, progress: Progress | None = None
) -> Backup:
    """Copy the record to `target`, by default to a new name in the folder beside it.

    Args:
        record: The database; others may be at work in it.
        target: A file that is not there yet, in a folder that is.
        before: What is about to be done, in a word: for backups that nobody asked for. Part of the name.
        progress: Told the pages copied and all pages.

    Raises:
        FileExistsError: `target` is there; it is never overwritten.
        CorruptRecord: the record is damaged; nothing is left of the copy.
        RecordError: no room, no right to write, or the copy is not what the record was.
    """
    if target is not None and target.exists():
        raise FileExistsError(f"{target} exists")
    if not record.is_file():
        raise NotARecord(f"no database at {record}", hint=sqlite_errors.RESTORE_HINT)
    folder = target.parent if target else backup_folder(record)
    part = database_file.draft_path(folder, record.name)
    try:
        if target is None:
            folder.mkdir(exist_ok=True)
        database_file.delete_abandoned_drafts(folder)
        held = database_file.copy_snapshot(record, part, progress=progress)
        return finish_backup(part, held, record, target, before=before)
    except (sqlite3.Error, OSError) as error:
        raise _translate(error, record, folder) from error
    finally:
        database_file.delete_database(part)


def finish_backup(
    part: Path, held: Contents, record: Path, target: Path | None, *, before: str | None = None
) -> Backup:
    """Check the copy at `part` against what the record held, and give it its name.

    Raises:
        RecordError: it is damaged, or something else than the record was.
    """
    dangling = check_copy(part, held, record)
    database_file.copy_access(part, record.stat())
    named = target or _free_name(backup_folder(record), held.event, before)
    part.rename(named)
    sync(named.parent)
    return Backup(named, held.event, named.stat().st_size, held.tables, dangling)


def check_copy(part: Path, held: Contents, record: Path) -> dict[str, int]:
    """Whether the copy of `record` is whole, and holds what was there; returns its dangling rows.

    Raises:
        RecordError: it is not.
    """
    with sqlite.raw_connection(part, database_file.inspection_mode(part)) as connection:
        faults = database_file.integrity_faults(connection)
        if faults:
            raise CorruptRecord(f"{record} is damaged: {faults[0]}", hint=sqlite_errors.RESTORE_HINT)
        found = database_file.count_contents(connection)
        if found != held:
            raise RecordError(f"the copy of {record} is not what was copied: {describe_difference(held, found)}")
        return database_file.dangling_references(connection)


def describe_difference(held: Contents, found: Contents) -> str:
    """The first thing in which two databases differ."""
    if held.event != found.event:
        return f"event {held.event:,} became {found.event:,}"
    names = sorted(held.tables.keys() | found.tables.keys())
    name = next(each for each in names if held.tables.get(each) != found.tables.get(each))
    return f"{held.tables.get(name, 0):,} rows of {name} became {found.tables.get(name, 0):,}"


def backup_folder(record: Path) -> Path:
    """Where the backups of this record are."""
    return record.parent / FOLDER


def _free_name(folder: Path, event: int, before: str | None) -> Path:
    stem = f"curation-{datetime.now(UTC):{_STAMP}}-{event}" + (f"-before-{before}" if before else "")
    names = (folder / f"{stem}{f'.{n}' if n else ''}.db" for n in range(10_000))
    return next(name for name in names if not name.exists())


def event_in_name(name: str) -> int | None:
    """The newest event in a backup that negwb named; None: it has another name."""
    named = _NAME.fullmatch(name)
    return int(named[2]) if named else None


def find_reusable(record: Path, before: str) -> Backup | None:
    """A good backup that was made before the same step, and holds row for row what the record holds now.

    So a step that fails, and is tried again, costs the room of one backup.
    """
    with database_file.read_connection(record) as present:
        present.execute("BEGIN")
        try:
            held = database_file.count_contents(present)
            for each in list_backups(backup_folder(record)):
                if (each.before, each.event) == (before, held.event) and _same_rows(present, each.path, held):
                    return Backup(
                        each.path, held.event, each.size, held.tables, database_file.dangling_references(present)
                    )
        finally:
            present.execute("ROLLBACK")
    return None


def _same_rows(present: sqlite3.Connection, path: Path, held: Contents) -> bool:
    """Whether the backup at `path` is whole, and each of its tables has the rows of the record's."""
    try:
        with sqlite.raw_connection(path, database_file.inspection_mode(path)) as kept:
            if database_file.integrity_faults(kept) or database_file.count_contents(kept) != held:
                return False
            statements = [f'SELECT * FROM "{name}"' for name in held.tables]
            return all(
                one == other
                for statement in statements
                for one, other in zip(present.execute(statement), kept.execute(statement), strict=True)
            )
    except sqlite3.Error:
        return False


def list_backups(folder: Path) -> list[BackupRow]:
    """The backups in the folder, the newest first; also those under other names."""
    files = [path for path in folder.glob("*.db") if path.is_file()] if folder.is_dir() else []
    listed = [each for path in files if (each := _read_row(path)) is not None]
    return sorted(listed, key=lambda each: (each.made_at, each.event or 0, each.path.name), reverse=True)


def _read_row(path: Path) -> BackupRow | None:
    """None: another process has pruned it since the folder was read."""
    try:
        told = path.stat()
    except FileNotFoundError:
        return None
    named = _NAME.fullmatch(path.name)
    made = datetime.strptime(named[1], _STAMP).replace(tzinfo=UTC) if named else None
    at = (made or datetime.fromtimestamp(told.st_mtime, UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        with sqlite.raw_connection(path, database_file.inspection_mode(path)) as connection:
            event, problem = database_file.newest_event(connection), None
    except sqlite3.Error as error:
        event, problem = None, sqlite_errors.translate(error, path).message
    return BackupRow(path, told.st_size, at, event, named[3] if named else None, problem)


def prune(folder: Path, keep_newest: int, *, only: str | None = None) -> list[Path]:
    """Delete the oldest backups that negwb made by itself, but for the newest so many; returns what is gone.

    What a person asked for, and files under other names, stay. `only`: look only at those made before this.
    """
    automatic = [each.path for each in list_backups(folder) if each.before is not None and only in (None, each.before)]
    gone = automatic[keep_newest:]
    for path in gone:
        database_file.delete_database(path)
    return gone


def _translate(error: Exception, record: Path, folder: Path) -> RecordError:
    if isinstance(error, sqlite3.Error):
        told = sqlite_errors.translate(error, record)
        if isinstance(told, RecordUnwritable):
            return RecordUnwritable(f"cannot write a backup to {folder}: {error}", hint=_OTHER_FOLDER_HINT)
        if isinstance(told, DiskError) and sqlite_errors.is_write_failure(error):  # the record is only read
            return DiskError(f"cannot write a backup to {folder}: {error}", hint=_OTHER_FOLDER_HINT)
        return told
    assert isinstance(error, OSError)
    return RecordUnwritable(f"cannot write a backup to {folder}: {error.strerror or error}", hint=_OTHER_FOLDER_HINT)


_OTHER_FOLDER_HINT = "free some space or take another folder: negwb backup /somewhere/else.db"
