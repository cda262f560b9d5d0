"""The record's file as a whole, in SQLite's terms: copying it while others write, checking it, having it alone.

Raises the driver's errors; `backup` and `restore` put them into words (`sqlite_errors.translate`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from curation_db.atomic_write import sync
from curation_db.storage import sqlite, sqlite_errors
from curation_db.storage.sqlite import Mode

Progress = Callable[[int, int], None]
"""Told how much is done, and of how much."""

COMPANION_SUFFIXES = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database, by what is added to its name: it belongs to that file and to no other."""
DRAFT_SUFFIX = ".part"
"""How a copy is called until it is whole and checked."""
_DAY_S = 86_400
_PAGES_PER_STEP = 2_000
"""Copied between two words about the progress: 8 MB."""
_MAX_FAULTS = 20
_EXCLUSIVE_TIMEOUT_S = 2.0
"""How long we wait for the others to leave."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a database holds, all of it at one moment."""

    event: int
    """The number of the newest event; 0: none."""
    tables: Mapping[str, int]
    """Rows of every table, those of the full-text index included."""


def count_contents(connection: sqlite3.Connection) -> Contents:
    """Count everything; consistent inside a transaction."""
    names = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' "
        "AND sql NOT LIKE 'CREATE VIRTUAL %' ORDER BY name"
    ).fetchall()
    tables = {name: int(connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]) for (name,) in names}
    return Contents(newest_event(connection), tables)


def newest_event(connection: sqlite3.Connection) -> int:
    """The number of the newest event; 0: there is none, or no such table."""
    try:
        return int(connection.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()[0])
    except sqlite3.OperationalError as error:
        if not sqlite_errors.is_schema_mismatch(error):
            raise
        return 0  # a schema before the first one of ours


def integrity_faults(connection: sqlite3.Connection, *, quick: bool = False) -> list[str]:
    """What SQLite's integrity check says against the file; none: it is whole.

    Args:
        connection: To the file.
        quick: Leave out the comparison of the indexes with their tables, which takes most of the time.

    Raises:
        sqlite3.OperationalError: the disk did not read a page, which the check itself reports like damage.
    """
    check = "quick_check" if quick else "integrity_check"
    said = [str(row[0]) for row in connection.execute(f"PRAGMA {check}({_MAX_FAULTS})")]
    if said == ["ok"]:
        return []
    _read_every_page(connection)
    return [" ".join(line.split()) for line in said]


def _read_every_page(connection: sqlite3.Connection) -> None:
    """Read the whole file, so that an I/O error is raised with its code."""
    with contextlib.closing(sqlite3.connect("")) as nowhere:  # a temporary file without a name
        nowhere.execute("PRAGMA journal_mode=OFF")
        nowhere.execute("PRAGMA synchronous=OFF")
        try:
            connection.backup(nowhere)
        except sqlite3.Error as error:
            if sqlite_errors.primary_code(error) == sqlite3.SQLITE_IOERR:
                raise


def only_indexes_damaged(connection: sqlite3.Connection) -> bool:
    """Whether the tables of a damaged file are whole, so that its indexes can be made again from them."""
    return not integrity_faults(connection, quick=True)


def faults_after_unclean_end(path: Path) -> list[str]:
    """What the quick check says against a database whose last process did not close it; none: nothing, or it did.

    A log or a journal that holds something while no process has the file open is what a kill, a crash or a power cut
    leaves behind. SQLite then puts what it holds into the file; where the check finds faults, the log stays, so that
    the next one who opens the file hears the same. A normal start costs two looks at the folder.

    Raises:
        sqlite3.Error: the file cannot be read.
    """
    log = sqlite.log_path(path)
    journal = log.with_name(f"{real_path(path).name}-journal")
    if not any(each.exists() and each.stat().st_size for each in (log, journal)) or not _is_writable(path):
        return []
    kept, faults = draft_path(log.parent, log.name), ["not looked at yet"]
    try:
        with sqlite.raw_connection(path, patience=0) as connection:
            if not _lock_exclusively(connection):
                return []
            if log.exists():
                create_private_file(kept)
                shutil.copyfile(log, kept)
            faults = integrity_faults(connection, quick=True)
        return faults
    finally:
        if faults and kept.exists():
            copy_access(kept, path.stat())
            os.replace(kept, log)
        kept.unlink(missing_ok=True)


def _lock_exclusively(connection: sqlite3.Connection) -> bool:
    """Whether no other connection has the database open; it is locked then."""
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    try:
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if sqlite_errors.primary_code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return False
        raise
    return True


def dangling_references(connection: sqlite3.Connection) -> dict[str, int]:
    """Rows that refer to rows which are not there, as "table → the table it means" to how many."""
    found: dict[str, int] = {}
    for table, _, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        found[f"{table} → {parent}"] = found.get(f"{table} → {parent}", 0) + 1
    return found


def real_path(path: Path) -> Path:
    """The file itself, where `path` is a symbolic link to it: SQLite keeps the log beside the file."""
    return Path(os.path.realpath(path))


def inspection_mode(path: Path) -> Mode:
    """How to look into a file without leaving anything beside it, where nobody is at work in it."""
    log = sqlite.log_path(path)
    return Mode.READ if log.exists() and log.stat().st_size else Mode.FROZEN


def copy_snapshot(source: Path, target: Path, *, progress: Progress | None = None) -> Contents:
    """Copy the database at `source`, as it is at one moment, to a new file; returns what it held at that moment.

    Others may read and write it meanwhile: neither waits for the other. The copy is on the disk when this returns;
    only its owner may read it until `take_access`.
    """
    create_private_file(target)
    with read_connection(source) as old, sqlite.raw_connection(target) as new:
        held = _copy_pages(old, new, progress)
    sync(target)
    return held


def read_connection(path: Path) -> sqlite.raw_connection:
    """A connection that reads the record at `path`, whether or not anything may be written there."""
    return sqlite.raw_connection(path, reading_mode(path))


def reading_mode(path: Path) -> Mode:
    """How to open a record that somebody may be at work in, to read it: as ever, or where nothing can be written, as
    it is (`dialect.reading_mode`)."""
    return Mode.WRITE if _is_writable(path) else sqlite.read_only_mode(path)


def _is_writable(path: Path) -> bool:
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def _copy_pages(old: sqlite3.Connection, new: sqlite3.Connection, progress: Progress | None) -> Contents:
    # the copy is nobody's yet: no journal, no waiting for the disk before the end
    new.execute("PRAGMA journal_mode=OFF")
    new.execute("PRAGMA synchronous=OFF")
    # one read transaction around the counting and all steps of the copying: what others write is not in it
    old.execute("BEGIN")
    try:
        held = count_contents(old)
        tell = (lambda _status, left, total: progress(total - left, total)) if progress else None
        old.backup(new, pages=_PAGES_PER_STEP, progress=tell)
    finally:
        if old.in_transaction:
            old.execute("ROLLBACK")
    return held


@contextmanager
def exclusive_connection(path: Path) -> Iterator[sqlite3.Connection]:
    """Have the database at `path` for oneself; all of it is in the one file then, nothing in a log beside it.

    Whoever opens it meanwhile waits, and finds that the file was moved away if it was.

    Raises:
        sqlite3.OperationalError: somebody else has it open.
    """
    with sqlite.raw_connection(path, patience=_EXCLUSIVE_TIMEOUT_S) as connection:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=DELETE")  # refused while anybody else has it open
        try:
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("COMMIT")  # in this mode the lock stays
            yield connection
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # `open_store` would do it too
                connection.execute("PRAGMA journal_mode=WAL")
            raise


def copy_connection(connection: sqlite3.Connection, target: Path, *, progress: Progress | None = None) -> Contents:
    """`copy_snapshot` from a connection that has the database alone."""
    create_private_file(target)
    with sqlite.raw_connection(target) as new:
        held = _copy_pages(connection, new, progress)
    sync(target)
    return held


def copy_bytes(path: Path, folder: Path) -> Path:
    """Copy a database that SQLite cannot read, byte for byte, with what lies beside it, into the new `folder`."""
    folder.mkdir(parents=True)
    path = real_path(path)
    for each in (path, *companions(path)):
        copy = folder / each.name
        create_private_file(copy)
        shutil.copyfile(each, copy)
        shutil.copystat(each, copy)
        copy_access(copy, each.stat())
        sync(copy)
    sync(folder)
    return folder / path.name


def create_private_file(path: Path, mode: int = 0o600) -> None:
    """Make an empty file that others may use no more than `mode` and the umask say.

    Raises:
        FileExistsError: something is there.
    """
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))


def copy_access(path: Path, like: os.stat_result) -> None:
    """Give a file the permissions of another one and, as far as we may, its owner and group.

    Where the group cannot be given, the file's own group gets nothing. A file system without permissions changes
    nothing.
    """
    mode, own = stat.S_IMODE(like.st_mode) & 0o777, path.stat()
    if own.st_gid != like.st_gid:
        try:
            os.chown(path, -1, like.st_gid)
        except OSError:
            mode &= ~0o070
    with contextlib.suppress(OSError):
        os.chmod(path, mode)
    if own.st_uid != like.st_uid:
        with contextlib.suppress(OSError):
            os.chown(path, like.st_uid, -1)


def companions(path: Path) -> list[Path]:
    """The files beside `path` that belong to it."""
    path = real_path(path)
    return [
        path.with_name(path.name + suffix)
        for suffix in COMPANION_SUFFIXES
        if path.with_name(path.name + suffix).exists()
    ]


def replace_database(made: Path, path: Path) -> None:
    """Let the file at `made` take the place of `path` in one step; nothing that belonged to `path` stays beside it.

    Where `path` is a symbolic link, `made` takes the place of the file that it points to.
    """
    path = real_path(path)
    for stale in companions(path):
        stale.unlink()
    os.replace(made, path)
    sync(path.parent)


def delete_database(path: Path) -> None:
    """Remove a database that was never finished."""
    for each in (path, *companions(path)):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            each.unlink()


def delete_abandoned_drafts(folder: Path) -> None:
    """Remove copies that were never finished, because their process was killed, a day or more ago."""
    for part in folder.glob(f".*{DRAFT_SUFFIX}"):
        with contextlib.suppress(OSError):
            if part.stat().st_mtime < time.time() - _DAY_S:
                delete_database(part)


def draft_path(folder: Path, name: str) -> Path:
    """A name for a copy that is being made."""
    return folder / f".{name}.{datetime.now(UTC):%H%M%S%f}{DRAFT_SUFFIX}"
