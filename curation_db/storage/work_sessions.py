"""Who is at work in a record right now, told without trusting it: for what must not happen under anybody's hands.

Works on a bare connection, so that it can look into records of older and newer versions too.
"""

from __future__ import annotations

import socket
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from curation_db.errors import RecordInUse
from curation_db.processes import ProcessIdentity, is_alive
from curation_db.storage import database_file, sqlite_errors
from curation_db.storage.ids import utc_now

LEASE_SECONDS = 600.0
CLOCK_STEP_S: Final = 5.0
"""A clock that is set back by so much leaves the leases of its own machine valid."""
CLOCK_SKEW_S: Final = 3600.0
"""The clocks of two machines may differ by so much without a card in two people's hands. The price: a card that a
killed session of another machine held stays unavailable for so much longer."""


def lease_valid_sql(lease: str, machine: str) -> str:
    """A SQL condition: the lease is valid at `:now` (seconds since the epoch).

    Args:
        lease: The alias of the table `lease` in the statement.
        machine: A SQL expression for the name of the machine whose clock `:now` comes from.
    """
    elsewhere = f"EXISTS (SELECT 1 FROM work_session w WHERE w.id = {lease}.session AND w.host != {machine})"
    early = f"CASE WHEN {elsewhere} THEN {CLOCK_SKEW_S} ELSE {CLOCK_STEP_S} END"
    late = f"CASE WHEN {elsewhere} THEN {CLOCK_SKEW_S} ELSE 0 END"
    return f"({lease}.expires_at + {late} > :now AND {lease}.expires_at <= :now + {lease}.seconds + {early})"


OWN_MACHINE: Final = "(SELECT host FROM work_session WHERE id = :session)"
"""The machine of the session `:session`, for `lease_in_force`."""

_OPEN = f"""
    SELECT m.id, a.name, m.host, m.pid, m.tool_version, m.started_at,
           EXISTS (SELECT 1 FROM lease l WHERE l.session = m.id AND {lease_valid_sql("l", ":machine")})
    FROM work_session m JOIN annotator a ON a.id = m.annotator_id WHERE m.ended_at IS NULL ORDER BY m.started_at
"""
_STALE = """
    SELECT count(*) FROM lease WHERE session NOT IN (SELECT id FROM work_session WHERE ended_at IS NULL)
"""


@dataclass(frozen=True, slots=True)
class OpenSession:
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


def open_sessions(connection: sqlite3.Connection) -> list[OpenSession]:
    """The sessions that have not ended, the oldest first; none where the record has no such table."""
    machine = socket.gethostname()
    try:
        rows = connection.execute(_OPEN, {"now": time.time(), "machine": machine}).fetchall()
    except sqlite3.OperationalError as error:
        if not sqlite_errors.is_schema_mismatch(error):
            raise
        return []  # no such table or column: older or newer than anything we know
    sessions = []
    for session, name, host, pid, version, since, leased in rows:
        alive = is_alive(ProcessIdentity(host, pid, since))
        sessions.append(OpenSession(session, name, host, pid, version, since, bool(leased) if alive is None else alive))
    return sessions


def live_sessions(connection: sqlite3.Connection) -> list[OpenSession]:
    """The sessions of people who are there now."""
    return [session for session in open_sessions(connection) if session.alive]


def stale_leases(connection: sqlite3.Connection) -> int:
    """How many cards are held by sessions that have ended, or that there never were."""
    try:
        return int(connection.execute(_STALE).fetchone()[0])
    except sqlite3.OperationalError as error:
        if not sqlite_errors.is_schema_mismatch(error):
            raise
        return 0


def end_all_sessions(connection: sqlite3.Connection) -> None:
    """End every session and give back all cards: of a copy, in which nobody can be at work."""
    try:
        connection.execute("UPDATE work_session SET ended_at = ? WHERE ended_at IS NULL", (utc_now(),))
        connection.execute("DELETE FROM lease")
    except sqlite3.OperationalError as error:  # a database of another schema has no sessions that this version knows
        if not sqlite_errors.is_schema_mismatch(error):
            raise


def refuse_while_in_use(record: Path, why: str) -> None:
    """See that nobody is at work in the record.

    Raises:
        RecordInUse: somebody is; the first is named.
        sqlite3.Error: the record cannot be read.
    """
    with database_file.read_connection(record) as connection:
        live = live_sessions(connection)
    if live:
        more = f" and {len(live) - 1} more" if len(live) > 1 else ""
        raise RecordInUse(f"{live[0]}{more} is at work in {record.name}: {why}", hint="leave there, then try again")
