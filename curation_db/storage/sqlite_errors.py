"""Translation of SQLite's error codes into exceptions of the record.

Only the code of an error decides. Its text is shown and never interpreted: it changes between versions and contains
data.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from curation_db.errors import CorruptRecord, DiskError, RecordBusy, RecordError, RecordUnwritable

DOCTOR_HINT = "check the record: negwb doctor"
RESTORE_HINT = f"{DOCTOR_HINT}; restore a backup: negwb backup --list, negwb restore FILE"
_READ_BYTES = 1 << 20


def error_code(error: DBAPIError | sqlite3.Error) -> int:
    """Return SQLite's extended code of an error; 0 if the driver raised the error itself."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return int(getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_OK))


def primary_code(error: DBAPIError | sqlite3.Error) -> int:
    """Return SQLite's primary code of an error (SQLITE_BUSY, SQLITE_IOERR ...); 0 as in `error_code`."""
    return error_code(error) & 0xFF


_READ_ERRORS = frozenset({sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS})


def is_write_failure(error: DBAPIError | sqlite3.Error) -> bool:
    """Return whether the error is an I/O error other than a failed read."""
    return primary_code(error) == sqlite3.SQLITE_IOERR and error_code(error) not in _READ_ERRORS


def is_schema_mismatch(error: DBAPIError | sqlite3.Error) -> bool:
    """Return whether a statement of negwb failed because the file lacks one of its tables or columns."""
    return error_code(error) == sqlite3.SQLITE_ERROR


_BUSY = (RecordBusy, "{name} is held by another process", "wait for it to finish, then try again")
_DAMAGED = (CorruptRecord, "{path} is damaged: {detail}", RESTORE_HINT)
_NO_MEMORY = (RecordError, "not enough memory to work with {name}", "close other programs, then try again")
_UNWRITABLE = (RecordUnwritable, "cannot write {path}: {detail}", "check that the folder exists and is writable")
_ERRORS: Mapping[int, tuple[type[RecordError], str, str]] = {
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_PROTOCOL: _BUSY,
    sqlite3.SQLITE_FULL: (RecordUnwritable, "no disk space to write {name}", "free some disk space, then try again"),
    sqlite3.SQLITE_CANTOPEN: (
        RecordUnwritable,
        "cannot open {path}: {detail}",
        "check that the file is readable and its folder writable",
    ),
    sqlite3.SQLITE_READONLY: _UNWRITABLE,
    sqlite3.SQLITE_PERM: _UNWRITABLE,
    sqlite3.SQLITE_NOMEM: _NO_MEMORY,
    sqlite3.SQLITE_IOERR_NOMEM: _NO_MEMORY,
    sqlite3.SQLITE_IOERR: (
        DiskError,
        "cannot read or write {path}: {detail}",
        "check the disk, its quota and its connection, then try again; the record itself may be intact",
    ),
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_FORMAT: _DAMAGED,
}
"""Exception, message and hint by SQLite's code. The extended code is looked up before the primary one."""


def translate(error: DBAPIError | sqlite3.Error, path: Path) -> RecordError:
    """Return the exception of the record, with message and hint, for an error of the driver."""
    code, detail = error_code(error), str(getattr(error, "orig", None) or error)
    if code & 0xFF == sqlite3.SQLITE_CORRUPT and (system_error := read_error(path)) is not None:
        code, detail = sqlite3.SQLITE_IOERR, system_error
    entry = _ERRORS.get(code) or _ERRORS.get(code & 0xFF)
    if entry is None:
        return RecordError(f"{path.name}: {detail}", hint=DOCTOR_HINT)
    exception, message, hint = entry
    return exception(message.format(path=path, name=path.name, detail=detail), hint=hint)


_handles: dict[tuple[int, int], int] = {}


def read_error(path: Path) -> str | None:
    """Read the file and its log to the end; return the system's error text, or None without an error.

    Needed because SQLite reports a page that the disk cannot read (EIO) as SQLITE_CORRUPT.
    """
    for each in (path, Path(f"{os.path.realpath(path)}-wal")):
        try:
            status = os.stat(each)
            # never closed: closing would release all locks that this process has on the file (POSIX)
            handle = _handles.setdefault((status.st_dev, status.st_ino), -1)
            if handle < 0:
                handle = _handles[status.st_dev, status.st_ino] = os.open(each, os.O_RDONLY)
            for start in range(0, status.st_size, _READ_BYTES):
                os.pread(handle, _READ_BYTES, start)
        except FileNotFoundError:
            continue
        except OSError as error:
            return error.strerror or str(error)
    return None
