"""The write-ahead log beside the record: how large it is, who reads in it, and how it is shortened.

SQLite goes on writing at the log's beginning only when no reader needs what is in it. Many short reads that overlap
can keep it from that for ever, so a writer that finds the log large waits for the present readers for a moment.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from curation_db.storage import sqlite

LOG_LIMIT_BYTES = sqlite.LOG_BYTES
"""Bytes. A log beyond this is shortened after a commit."""
_TRUNCATE_TIMEOUT_S = 0.25
"""How long a writer waits for readers, which read for milliseconds."""
_PROCESSES = Path("/proc")


def log_size(record: Path) -> int:
    """Bytes of the log; 0: there is none."""
    try:
        return os.stat(f"{os.path.realpath(record)}-wal").st_size
    except OSError:
        return 0


def truncate_log(record: Path) -> bool:
    """Bring the log into the record and empty it; False: somebody reads or writes, and the log stays.

    Raises:
        sqlite3.Error: it cannot be read or written.
    """
    with sqlite.raw_connection(record, patience=_TRUNCATE_TIMEOUT_S) as connection:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


class LogLimit:
    """Keeps the log of a record from growing without bound, for one that writes."""

    def __init__(self, record: Path) -> None:
        self._record = record
        self._tried = 0
        """The size at which it could not be shortened."""

    def check(self) -> None:
        """After a commit: shorten a log that is large, and again only when it has grown by as much."""
        size = log_size(self._record)
        if size < self._tried:
            self._tried = 0
        if size < self._tried + LOG_LIMIT_BYTES:
            return
        with contextlib.suppress(sqlite3.Error):  # what was written is safe in the log
            self._tried = 0 if truncate_log(self._record) else size


def processes_with_open(record: Path) -> list[str]:
    """The other processes of this machine that have the record open, the oldest first; empty where that is not told."""
    try:
        here = os.stat(record)
        numbers = [int(each.name) for each in _PROCESSES.iterdir() if each.name.isdecimal()]
    except OSError:
        return []
    found = [number for number in numbers if number != os.getpid() and _has_open(number, (here.st_dev, here.st_ino))]
    return [f"process {number} ({_process_name(number)})" for number in sorted(found, key=_start_ticks)]


def _has_open(process: int, file: tuple[int, int]) -> bool:
    try:
        handles = list((_PROCESSES / str(process) / "fd").iterdir())
    except OSError:  # it has ended, or is another user's
        return False
    for each in handles:
        with contextlib.suppress(OSError):
            told = each.stat()
            if (told.st_dev, told.st_ino) == file:
                return True
    return False


def _start_ticks(process: int) -> int:
    try:
        return int((_PROCESSES / str(process) / "stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def _process_name(process: int) -> str:
    try:
        return (_PROCESSES / str(process) / "comm").read_text().strip()
    except (OSError, ValueError):
        return "ended"
