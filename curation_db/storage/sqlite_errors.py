"""What SQLite's error codes mean. The wording of an error decides nothing: it changes, and it contains data."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from curation_db.errors import CorruptRecord, DiskError, RecordBusy, RecordError, RecordUnwritable

DOCTOR_HINT = "see what is wrong: negwb doctor"
RESTORE_HINT = f"{DOCTOR_HINT}; put a backup back: negwb backup --list, negwb restore FILE"
_READ_BYTES = 1 << 20


def error_code(error: DBAPIError | sqlite3.Error) -> int:
    """SQLite's extended code of an error; 0: the driver raised it by itself."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return int(getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_OK))


def primary_code(error: DBAPIError | sqlite3.Error) -> int:
    """SQLite's code of an error without its extension: one of SQLITE_BUSY, SQLITE_IOERR ...; 0: as `error_code`."""
    return error_code(error) & 0xFF


_READ_ERRORS = frozenset({sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS})


def is_write_failure(error: DBAPIError | sqlite3.Error) -> bool:
    """Whether it was an I/O error in something else than reading."""
    return primary_code(error) == sqlite3.SQLITE_IOERR and error_code(error) not in _READ_ERRORS


def is_schema_mismatch(error: DBAPIError | sqlite3.Error) -> bool:
    """Whether a statement of ours failed because it names a table or column that the file does not have."""
    return error_code(error) == sqlite3.SQLITE_ERROR


_BUSY = (RecordBusy, "{name} is held by another process", "wait for it to finish, then try again")
_DAMAGED = (CorruptRecord, "{path} is damaged: {said}", RESTORE_HINT)
_NO_MEMORY = (RecordError, "not enough memory to work with {name}", "close other programs, then try again")
_UNWRITABLE = (RecordUnwritable, "cannot write {path}: {said}", "check that the folder exists and is writable")
_ERRORS: Mapping[int, tuple[type[RecordError], str, str]] = {
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_PROTOCOL: _BUSY,
    sqlite3.SQLITE_FULL: (RecordUnwritable, "no room to write {name}", "free some disk space, then try again"),
    sqlite3.SQLITE_CANTOPEN: (
        RecordUnwritable,
        "cannot open {path}: {said}",
        "check that you may read it and write its folder",
    ),
    sqlite3.SQLITE_READONLY: _UNWRITABLE,
    sqlite3.SQLITE_PERM: _UNWRITABLE,
    sqlite3.SQLITE_NOMEM: _NO_MEMORY,
    sqlite3.SQLITE_IOERR_NOMEM: _NO_MEMORY,
    sqlite3.SQLITE_IOERR: (
        DiskError,
        "cannot read or write {path}: {said}",
        "check the disk, its quota and its connection, then try again; the record itself may be whole",
    ),
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_FORMAT: _DAMAGED,
}
"""What SQLite's codes mean to a person: our exception, its message, its hint. An extended code goes first."""


def translate(error: DBAPIError | sqlite3.Error, path: Path) -> RecordError:
    """Our exception for an error of the driver: what happened, and what the person can do.

    Only SQLite's error code decides; the driver's words are shown and never interpreted.
    """
    code, said = error_code(error), str(getattr(error, "orig", None) or error)
    if code & 0xFF == sqlite3.SQLITE_CORRUPT and (refused := read_error(path)) is not None:
        code, said = sqlite3.SQLITE_IOERR, refused
    known = _ERRORS.get(code) or _ERRORS.get(code & 0xFF)
    if known is None:
        return RecordError(f"{path.name}: {said}", hint=DOCTOR_HINT)
    kind, message, hint = known
    return kind(message.format(path=path, name=path.name, said=said), hint=hint)


_handles: dict[tuple[int, int], int] = {}


def read_error(path: Path) -> str | None:
    """What the system answers where it cannot read the file or its log to the end; None: it can.

    SQLite reports a page that the disk does not read (EIO) as SQLITE_CORRUPT.
    """
    for each in (path, Path(f"{os.path.realpath(path)}-wal")):
        try:
            told = os.stat(each)
            # never closed: closing would release all locks that this process has on the file (POSIX)
            handle = _handles.setdefault((told.st_dev, told.st_ino), -1)
            if handle < 0:
                handle = _handles[told.st_dev, told.st_ino] = os.open(each, os.O_RDONLY)
            for start in range(0, told.st_size, _READ_BYTES):
                os.pread(handle, _READ_BYTES, start)
        except FileNotFoundError:
            continue
        except OSError as error:
            return error.strerror or str(error)
    return None
