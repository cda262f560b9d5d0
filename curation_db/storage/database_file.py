"""Operations on the record's file as a whole: copy it while others write, check it, lock it exclusively, replace it.

The functions raise the driver's errors. `backup` and `restore` translate them (`sqlite_errors.translate`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from curation_db.atomic_write import sync
from curation_db.storage import sqlite, sqlite_errors
from curation_db.storage.sqlite import Mode

Progress = Callable[[int, int], None]
"""Receives the amount done and the total."""

COMPANION_SUFFIXES = ("-wal", "-shm", "-journal")
"""Name suffixes of the files that SQLite keeps beside a database. Each belongs to that one database file."""
DRAFT_SUFFIX = ".part"
"""Name suffix of a copy that is not yet complete and checked."""
_DAY_S = 86_400
_PAGES_PER_STEP = 2_000
"""Pages copied between two progress reports: 8 MB."""
_MAX_FAULTS = 20
_EXCLUSIVE_TIMEOUT_S = 2.0
"""Seconds to wait until all other processes have closed the file."""


@dataclass(frozen=True, slots=True)
class Contents:
    event: int
    """Number of the newest event; 0 without events."""
    tables: Mapping[str, int]
    """Rows of every table, including those of the full-text indexes."""


def count_contents(connection: sqlite3.Connection) -> Contents:
    """Count the rows of all tables; consistent inside a transaction."""
    names = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' "
        "AND sql NOT LIKE 'CREATE VIRTUAL %' ORDER BY name"
    ).fetchall()
    tables = {name: int(connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]) for (name,) in names}
    return Contents(newest_event(connection), tables)


def newest_event(connection: sqlite3.Connection) -> int:
    """Return the number of the newest event; 0 without events or without their table."""
    try:
        return int(connection.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()[0])
    except sqlite3.OperationalError as error:
        if not sqlite_errors.is_schema_mismatch(error):
            raise
        return 0  # no table `event`: a file without the schema of a record


def integrity_faults(connection: sqlite3.Connection, *, quick: bool = False) -> list[str]:
    """Return the faults that SQLite's integrity check reports; an empty list if the file is intact.

    Args:
        quick: leave out the comparison of the indexes with their tables, which takes most of the time.

    Raises:
        sqlite3.OperationalError: the disk could not read a page. The check itself reports that as damage.
    """
    check = "quick_check" if quick else "integrity_check"
    lines = [str(row[0]) for row in connection.execute(f"PRAGMA {check}({_MAX_FAULTS})")]
    if lines == ["ok"]:
        return []
    _read_every_page(connection)
    return [" ".join(line.split()) for line in lines]


def _read_every_page(connection: sqlite3.Connection) -> None:
    """Read the whole file, so that an I/O error is raised with its code."""
    with contextlib.closing(sqlite3.connect("")) as scratch:  # a temporary file without a name
        scratch.execute("PRAGMA journal_mode=OFF")
        scratch.execute("PRAGMA synchronous=OFF")
        try:
            connection.backup(scratch)
        except sqlite3.Error as error:
            if sqlite_errors.primary_code(error) == sqlite3.SQLITE_IOERR:
                raise


def only_indexes_damaged(connection: sqlite3.Connection) -> bool:
    """Return whether the tables of a damaged file are intact, so that its indexes can be rebuilt from them."""
    return not integrity_faults(connection, quick=True)


def faults_after_unclean_end(path: Path) -> list[str]:
    """Run the quick check on a database that its last process did not close; return the faults.

    A kill, a crash or a power cut leaves a log or a journal that is not empty although no process has the file open.
    SQLite applies it to the file when the file is next opened. If the check finds faults, the log is put back, so that
    the next open reports the same faults. An open after a clean end costs two look-ups in the folder.

    Returns:
        The faults; an empty list if there are none, if the file was closed, or if another process has it open.

    Raises:
        sqlite3.Error: the file cannot be read.
    """
    log = sqlite.log_path(path)
    journal = log.with_name(f"{real_path(path).name}-journal")
    if not any(each.exists() and each.stat().st_size for each in (log, journal)) or not _is_writable(path):
        return []
    log_copy, faults = draft_path(log.parent, log.name), ["not checked yet"]
    try:
        with sqlite.raw_connection(path, patience=0) as connection:
            if not _lock_exclusively(connection):
                return []
            if log.exists():
                create_private_file(log_copy)
                shutil.copyfile(log, log_copy)
            faults = integrity_faults(connection, quick=True)
        return faults
    finally:
        if faults and log_copy.exists():
            copy_access(log_copy, path.stat())
            os.replace(log_copy, log)
        log_copy.unlink(missing_ok=True)


def _lock_exclusively(connection: sqlite3.Connection) -> bool:
    """Lock the database; return False if another connection has it open."""
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
    """Count the rows that refer to missing rows, by "table → referenced table"."""
    counts: dict[str, int] = {}
    for table, _, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        counts[f"{table} → {parent}"] = counts.get(f"{table} → {parent}", 0) + 1
    return counts


def real_path(path: Path) -> Path:
    """Return `path` with symbolic links resolved: SQLite keeps the log beside the real file."""
    return Path(os.path.realpath(path))


def inspection_mode(path: Path) -> Mode:
    """Return the mode that reads a file that no process uses, and leaves no new file beside it."""
    log = sqlite.log_path(path)
    return Mode.READ if log.exists() and log.stat().st_size else Mode.FROZEN


def copy_snapshot(source: Path, target: Path, *, progress: Progress | None = None) -> Contents:
    """Copy the database at `source`, as it is at one moment, to a new file; return its contents at that moment.

    Other processes may read and write the source during the copy; neither side waits. The copy is on the disk when
    the function returns. Only the owner may read it until `copy_access` is called.
    """
    create_private_file(target)
    with read_connection(source) as old, sqlite.raw_connection(target) as new:
        contents = _copy_pages(old, new, progress)
    sync(target)
    return contents


def read_connection(path: Path) -> AbstractContextManager[sqlite3.Connection]:
    """Return a context manager with a connection that reads the record, also without write access."""
    return sqlite.raw_connection(path, reading_mode(path))


def reading_mode(path: Path) -> Mode:
    """Return the mode that reads a record which may be in use; without write access it is `sqlite.read_only_mode`."""
    return Mode.WRITE if _is_writable(path) else sqlite.read_only_mode(path)


def _is_writable(path: Path) -> bool:
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def _copy_pages(old: sqlite3.Connection, new: sqlite3.Connection, progress: Progress | None) -> Contents:
    # No other process uses the copy yet: it needs no journal, and no sync before the end.
    new.execute("PRAGMA journal_mode=OFF")
    new.execute("PRAGMA synchronous=OFF")
    # One read transaction includes the counts and all steps of the copy, so concurrent writes are in neither.
    old.execute("BEGIN")
    try:
        contents = count_contents(old)
        report = (lambda _status, left, total: progress(total - left, total)) if progress else None
        old.backup(new, pages=_PAGES_PER_STEP, progress=report)
    finally:
        if old.in_transaction:
            old.execute("ROLLBACK")
    return contents


@contextmanager
def exclusive_connection(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection that has the database exclusively; all data is then in the main file, and none in a log.

    Another process that opens the file during the block waits. After the block it notices if the file was replaced.

    Raises:
        sqlite3.OperationalError: another process has the file open.
    """
    with sqlite.raw_connection(path, patience=_EXCLUSIVE_TIMEOUT_S) as connection:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=DELETE")  # fails while another process has the file open
        try:
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("COMMIT")  # in locking_mode=EXCLUSIVE the lock stays
            yield connection
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # otherwise `open_store` does it
                connection.execute("PRAGMA journal_mode=WAL")
            raise


def copy_connection(connection: sqlite3.Connection, target: Path) -> Contents:
    """Copy as `copy_snapshot` does, from a connection of `exclusive_connection`."""
    create_private_file(target)
    with sqlite.raw_connection(target) as new:
        contents = _copy_pages(connection, new, None)
    sync(target)
    return contents


def copy_bytes(path: Path, folder: Path) -> Path:
    """Copy a database that SQLite cannot read, and its companion files, byte for byte into the new `folder`."""
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
    """Create an empty file with the permissions `mode`, less the umask.

    Raises:
        FileExistsError: the path exists.
    """
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))


def copy_access(path: Path, like: os.stat_result) -> None:
    """Give a file the permissions of another one and, where the system allows it, its owner and group.

    If the group cannot be set, the file's own group gets no permission. On a file system without permissions nothing
    changes.
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
    """Return the existing companion files of the database at `path`."""
    path = real_path(path)
    return [
        path.with_name(path.name + suffix)
        for suffix in COMPANION_SUFFIXES
        if path.with_name(path.name + suffix).exists()
    ]


def replace_database(draft: Path, path: Path) -> None:
    """Replace the database at `path` by the file `draft` in one step, and delete the companion files of `path`.

    If `path` is a symbolic link, the file that it points to is replaced.
    """
    path = real_path(path)
    for stale in companions(path):
        stale.unlink()
    os.replace(draft, path)
    sync(path.parent)


def delete_database(path: Path) -> None:
    """Delete a database and its companion files; missing files are no error."""
    for each in (path, *companions(path)):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            each.unlink()


def delete_abandoned_drafts(folder: Path) -> None:
    """Delete unfinished copies that a killed process left behind a day or more ago."""
    for draft in folder.glob(f".*{DRAFT_SUFFIX}"):
        with contextlib.suppress(OSError):
            if draft.stat().st_mtime < time.time() - _DAY_S:
                delete_database(draft)


def draft_path(folder: Path, name: str) -> Path:
    """Return a new path in `folder` for an unfinished copy of the file `name`."""
    return folder / f".{name}.{datetime.now(UTC):%H%M%S%f}{DRAFT_SUFFIX}"
