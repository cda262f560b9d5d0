"""The write-ahead log beside the record: its size, the processes that hold it, and its truncation.

SQLite starts again at the log's beginning only when no reader needs the log's content. Many short overlapping reads
can prevent that for ever. A writer that finds a large log therefore waits a moment for the present readers.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from curation_db.storage import sqlite

LOG_LIMIT_BYTES = sqlite.LOG_BYTES
"""Bytes. A larger log is truncated after a commit."""
_TRUNCATE_TIMEOUT_S = 0.25
"""Seconds that a writer waits for readers, which read for milliseconds."""
_PROCESSES = Path("/proc")


def log_size(record: Path) -> int:
    """Return the size of the log in bytes; 0 without a log."""
    try:
        return os.stat(f"{os.path.realpath(record)}-wal").st_size
    except OSError:
        return 0


def truncate_log(record: Path) -> bool:
    """Copy the log into the record and empty it; return False if a reader or a writer prevents it.

    Raises:
        sqlite3.Error: the record cannot be read or written.
    """
    with sqlite.raw_connection(record, patience=_TRUNCATE_TIMEOUT_S) as connection:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


class LogLimit:
    """Limits the size of a record's log for a process that writes."""

    def __init__(self, record: Path) -> None:
        self._record = record
        self._failed_size = 0
        """Size in bytes at the last failed truncation."""

    def check(self) -> None:
        """Truncate a large log, after a commit; after a failure try again once it has grown by the limit."""
        size = log_size(self._record)
        if size < self._failed_size:
            self._failed_size = 0
        if size < self._failed_size + LOG_LIMIT_BYTES:
            return
        with contextlib.suppress(sqlite3.Error):  # the committed data is safe in the log
            self._failed_size = 0 if truncate_log(self._record) else size


def processes_with_open(record: Path) -> list[str]:
    """Return the other processes of this machine that have the record open, oldest first; empty without /proc."""
    try:
        status = os.stat(record)
        pids = [int(each.name) for each in _PROCESSES.iterdir() if each.name.isdecimal()]
    except OSError:
        return []
    users = [pid for pid in pids if pid != os.getpid() and _has_open(pid, (status.st_dev, status.st_ino))]
    return [f"process {pid} ({_process_name(pid)})" for pid in sorted(users, key=_start_ticks)]


def _has_open(pid: int, file: tuple[int, int]) -> bool:
    """Return whether the process has the file (device, inode) open."""
    try:
        handles = list((_PROCESSES / str(pid) / "fd").iterdir())
    except OSError:  # the process has ended or belongs to another user
        return False
    for handle in handles:
        with contextlib.suppress(OSError):
            status = handle.stat()
            if (status.st_dev, status.st_ino) == file:
                return True
    return False


def _start_ticks(pid: int) -> int:
    try:
        return int((_PROCESSES / str(pid) / "stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def _process_name(pid: int) -> str:
    try:
        return (_PROCESSES / str(pid) / "comm").read_text().strip()
    except (OSError, ValueError):
        return "ended"
