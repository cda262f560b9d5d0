"""Backups: complete copies of the record, written while annotators continue, and checked before they get their name.

A backup is one file that negwb and SQLite can open. It is written under a draft name and compared with the contents of
the record at the moment of the copy. Only then it gets its final name, so a file with such a name is a good backup.
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
"""Name of the backup folder, beside the record."""
_NAME = re.compile(r"curation-(\d{8}T\d{6}Z)-(\d+)(?:-before-([a-z0-9-]+))?(?:\.\d+)?\.db")
_STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Backup:
    """A complete and checked backup."""

    path: Path
    event: int
    """Number of its newest event; 0 without events."""
    size: int
    """Bytes."""
    tables: Mapping[str, int]
    """Rows of every table."""
    dangling: Mapping[str, int]
    """Rows that refer to missing rows, by `database_file.dangling_references`. The record has the same ones."""


@dataclass(frozen=True, slots=True)
class BackupRow:
    path: Path
    size: int
    """Bytes."""
    made_at: str
    """UTC, ISO 8601: from the file's name, otherwise the time of its last change."""
    event: int | None
    """Number of its newest event; None if the file cannot be read."""
    before: str | None
    """Operation that an automatic backup preceded: schema..., bulk, restore, repair; None for a requested backup."""
    problem: str | None = None
    """Why the file cannot be read."""


def back_up(
    record: Path, target: Path | None = None, *, before: str | None = None, progress: Progress | None = None
) -> Backup:
    """Copy the record to `target`, by default to a new name in the backup folder beside the record.

    Args:
        record: the database; other processes may use it.
        target: a new file in an existing folder.
        before: one word for the operation that an automatic backup precedes; becomes part of the name.
        progress: receives the copied pages and all pages.

    Raises:
        FileExistsError: `target` exists; it is never overwritten.
        CorruptRecord: the record is damaged; the copy was deleted.
        RecordError: no disk space, no write permission, or the copy differs from the record.
    """
    if target is not None and target.exists():
        raise FileExistsError(f"{target} exists")
    if not record.is_file():
        raise NotARecord(f"no database at {record}", hint=sqlite_errors.RESTORE_HINT)
    folder = target.parent if target else backup_folder(record)
    draft = database_file.draft_path(folder, record.name)
    try:
        if target is None:
            folder.mkdir(exist_ok=True)
        database_file.delete_abandoned_drafts(folder)
        contents = database_file.copy_snapshot(record, draft, progress=progress)
        return finish_backup(draft, contents, record, target, before=before)
    except (sqlite3.Error, OSError) as error:
        raise _translate(error, record, folder) from error
    finally:
        database_file.delete_database(draft)


def finish_backup(
    draft: Path, contents: Contents, record: Path, target: Path | None, *, before: str | None = None
) -> Backup:
    """Check the copy at `draft` against the contents of the record, and give it its final name.

    Raises:
        RecordError: the copy is damaged or differs from the record.
    """
    dangling = check_copy(draft, contents, record)
    database_file.copy_access(draft, record.stat())
    path = target or _free_name(backup_folder(record), contents.event, before)
    draft.rename(path)
    sync(path.parent)
    return Backup(path, contents.event, path.stat().st_size, contents.tables, dangling)


def check_copy(draft: Path, contents: Contents, record: Path) -> dict[str, int]:
    """Check that the copy of `record` is intact and has the same `contents`; return its dangling references.

    Raises:
        RecordError: the copy is damaged or differs.
    """
    with sqlite.raw_connection(draft, database_file.inspection_mode(draft)) as connection:
        faults = database_file.integrity_faults(connection)
        if faults:
            raise CorruptRecord(f"{record} is damaged: {faults[0]}", hint=sqlite_errors.RESTORE_HINT)
        copied = database_file.count_contents(connection)
        if copied != contents:
            raise RecordError(f"the copy of {record} differs from it: {describe_difference(contents, copied)}")
        return database_file.dangling_references(connection)


def describe_difference(contents: Contents, copied: Contents) -> str:
    """Return the first difference between two databases as text."""
    if contents.event != copied.event:
        return f"event {contents.event:,} became {copied.event:,}"
    names = sorted(contents.tables.keys() | copied.tables.keys())
    name = next(each for each in names if contents.tables.get(each) != copied.tables.get(each))
    return f"{contents.tables.get(name, 0):,} rows of {name} became {copied.tables.get(name, 0):,}"


def backup_folder(record: Path) -> Path:
    return record.parent / FOLDER


def _free_name(folder: Path, event: int, before: str | None) -> Path:
    stem = f"curation-{datetime.now(UTC):{_STAMP}}-{event}" + (f"-before-{before}" if before else "")
    names = (folder / f"{stem}{f'.{n}' if n else ''}.db" for n in range(10_000))
    return next(name for name in names if not name.exists())


def event_in_name(name: str) -> int | None:
    """Return the newest event in a backup from its name; None if negwb did not choose the name."""
    match = _NAME.fullmatch(name)
    return int(match[2]) if match else None


def find_reusable(record: Path, before: str) -> Backup | None:
    """Return a good backup of the same operation that is equal to the record row for row, if there is one.

    An operation that fails and is tried again then takes the space of only one backup.
    """
    with database_file.read_connection(record) as connection:
        connection.execute("BEGIN")
        try:
            contents = database_file.count_contents(connection)
            for row in list_backups(backup_folder(record)):
                if (row.before, row.event) == (before, contents.event) and _same_rows(connection, row.path, contents):
                    dangling = database_file.dangling_references(connection)
                    return Backup(row.path, contents.event, row.size, contents.tables, dangling)
        finally:
            connection.execute("ROLLBACK")
    return None


def _same_rows(connection: sqlite3.Connection, path: Path, contents: Contents) -> bool:
    """Return whether the backup at `path` is intact and each of its tables has the same rows as the record."""
    try:
        with sqlite.raw_connection(path, database_file.inspection_mode(path)) as copy:
            if database_file.integrity_faults(copy) or database_file.count_contents(copy) != contents:
                return False
            statements = [f'SELECT * FROM "{name}"' for name in contents.tables]
            return all(
                one == other
                for statement in statements
                for one, other in zip(connection.execute(statement), copy.execute(statement), strict=True)
            )
    except sqlite3.Error:
        return False


def list_backups(folder: Path) -> list[BackupRow]:
    """Return the databases in the folder, under any name, newest first."""
    files = [path for path in folder.glob("*.db") if path.is_file()] if folder.is_dir() else []
    rows = [row for path in files if (row := _read_row(path)) is not None]
    return sorted(rows, key=lambda row: (row.made_at, row.event or 0, row.path.name), reverse=True)


def _read_row(path: Path) -> BackupRow | None:
    """Return the row of a backup; None if another process has deleted the file since the folder was read."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    match = _NAME.fullmatch(path.name)
    stamp = datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC) if match else None
    made_at = (stamp or datetime.fromtimestamp(status.st_mtime, UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        with sqlite.raw_connection(path, database_file.inspection_mode(path)) as connection:
            event, problem = database_file.newest_event(connection), None
    except sqlite3.Error as error:
        event, problem = None, sqlite_errors.translate(error, path).message
    return BackupRow(path, status.st_size, made_at, event, match[3] if match else None, problem)


def prune(folder: Path, keep_newest: int, *, only: str | None = None) -> list[Path]:
    """Delete automatic backups except the newest `keep_newest`; return the deleted paths.

    Requested backups and files under other names stay. With `only`, other operations' backups stay too.
    """
    automatic = [row.path for row in list_backups(folder) if row.before is not None and only in (None, row.before)]
    deleted = automatic[keep_newest:]
    for path in deleted:
        database_file.delete_database(path)
    return deleted


def _translate(error: Exception, record: Path, folder: Path) -> RecordError:
    if isinstance(error, sqlite3.Error):
        translated = sqlite_errors.translate(error, record)
        if isinstance(translated, RecordUnwritable):
            return RecordUnwritable(f"cannot write a backup to {folder}: {error}", hint=_OTHER_FOLDER_HINT)
        # the record is only read here, so a failed write concerns the backup
        if isinstance(translated, DiskError) and sqlite_errors.is_write_failure(error):
            return DiskError(f"cannot write a backup to {folder}: {error}", hint=_OTHER_FOLDER_HINT)
        return translated
    assert isinstance(error, OSError)
    return RecordUnwritable(f"cannot write a backup to {folder}: {error.strerror or error}", hint=_OTHER_FOLDER_HINT)


_OTHER_FOLDER_HINT = "free some disk space, or choose another folder: negwb backup /somewhere/else.db"
