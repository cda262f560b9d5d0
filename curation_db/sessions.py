"""Who is at work in a record right now, told without trusting it: for what must not happen under anybody's hands.

Works on a bare connection, so that it can look into records of older and newer versions too.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from curation_db import database_file, leases, sqlite_errors
from curation_db.errors import RecordInUse
from curation_db.identity import utc_now

_OPEN = """
    SELECT m.id, a.name, m.host, m.pid, m.tool_version, m.started_at,
           EXISTS (SELECT 1 FROM lease l WHERE l.session = m.id AND {in_force})
    FROM work_session m JOIN annotator a ON a.id = m.annotator_id WHERE m.ended_at IS NULL ORDER BY m.started_at
"""
_STALE = """
    SELECT count(*) FROM lease WHERE session NOT IN (SELECT id FROM work_session WHERE ended_at IS NULL)
"""
_CLOCKS_DIFFER_S = 5.0
"""The kernel counts starts from a boot time of whole seconds."""


@dataclass(frozen=True, slots=True)
class AtWork:
    """A session that has not ended."""

    id: str
    annotator: str
    host: str
    pid: int
    version: str
    """Of the negwb it runs."""
    started_at: str
    alive: bool
    """Its process runs on this machine; of another machine: it holds cards whose leases have not expired."""

    def __str__(self) -> str:
        return f"{self.annotator} (negwb {self.version}, process {self.pid} on {self.host})"


def open_sessions(connection: sqlite3.Connection) -> list[AtWork]:
    """The sessions that have not ended, the oldest first; none where the record has no such table."""
    machine = socket.gethostname()
    try:
        statement = _OPEN.format(in_force=leases.in_force("l", ":machine", seconds=_length(connection)))
        rows = connection.execute(statement, {"now": time.time(), "machine": machine}).fetchall()
    except sqlite3.OperationalError as error:
        if not sqlite_errors.is_other_schema(error):
            raise
        return []  # no such table or column: older or newer than anything we know
    return [
        AtWork(session, name, host, pid, version, since, _alive(host, pid, since, leased=bool(leased)))
        for session, name, host, pid, version, since, leased in rows
    ]


def _length(connection: sqlite3.Connection) -> str:
    """A SQL expression for how long a lease is; before schema 0004 all had the same length."""
    columns = {row[1] for row in connection.execute("PRAGMA table_info(lease)")}
    return "l.seconds" if "seconds" in columns else str(leases.LEASE_SECONDS)


def at_work(connection: sqlite3.Connection) -> list[AtWork]:
    """The sessions of people who are there now."""
    return [session for session in open_sessions(connection) if session.alive]


def stale_leases(connection: sqlite3.Connection) -> int:
    """How many cards are held by sessions that have ended, or that there never were."""
    try:
        return int(connection.execute(_STALE).fetchone()[0])
    except sqlite3.OperationalError as error:
        if not sqlite_errors.is_other_schema(error):
            raise
        return 0


def end_all(connection: sqlite3.Connection) -> None:
    """End every session and give back all cards: of a copy, in which nobody can be at work."""
    try:
        connection.execute("UPDATE work_session SET ended_at = ? WHERE ended_at IS NULL", (utc_now(),))
        connection.execute("DELETE FROM lease")
    except sqlite3.OperationalError as error:  # a database of another schema has no sessions that this version knows
        if not sqlite_errors.is_other_schema(error):
            raise


def refuse_while_at_work(record: Path, why: str) -> None:
    """See that nobody is at work in the record.

    Raises:
        RecordInUse: somebody is; the first is named.
        sqlite3.Error: the record cannot be read.
    """
    with database_file.bare_source(record) as connection:
        live = at_work(connection)
    if live:
        more = f" and {len(live) - 1} more" if len(live) > 1 else ""
        raise RecordInUse(f"{live[0]}{more} is at work in {record.name}: {why}", hint="leave there, then try again")


def _alive(host: str, pid: int, started_at: str, *, leased: bool) -> bool:
    return runs(pid, started_at) if host == socket.gethostname() else leased


def runs(pid: int, since: str) -> bool:
    """Whether the process that had the number `pid` at `since` (ISO 8601, UTC) still runs on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # somebody else's process: it is there
    began = process_start(pid)
    try:
        # a process that began after the session has only inherited its number
        return began is None or began <= datetime.fromisoformat(since).timestamp() + _CLOCKS_DIFFER_S
    except ValueError:  # no time that we know how to read
        return True


def process_start(pid: int) -> float | None:
    """When the process began, in seconds since the epoch; None: this system does not tell."""
    try:
        # the name, in brackets, may hold anything; what counts comes behind it
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
        return int(boot.split()[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return None
