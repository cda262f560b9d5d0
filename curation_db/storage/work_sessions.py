"""Sessions in a record: finds the live ones by their process IDs, and blocks migration and restore while there are any.

The module uses plain SQLite connections, so that it can also read records of older and newer versions.
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
"""If a machine's clock is set back by up to this, the leases of that machine stay valid."""
CLOCK_SKEW_S: Final = 3600.0
"""The clocks of two machines may differ by up to this without a card being leased twice. The cost: a card that a killed
session of another machine held stays unavailable for this much longer."""


def lease_valid_sql(machine: str) -> str:
    """Return a SQL condition: the lease `l` is valid at `:now` (seconds since the epoch).

    Args:
        machine: SQL expression for the name of the machine whose clock `:now` comes from.
    """
    elsewhere = f"EXISTS (SELECT 1 FROM work_session w WHERE w.id = l.session AND w.host != {machine})"
    early = f"CASE WHEN {elsewhere} THEN {CLOCK_SKEW_S} ELSE {CLOCK_STEP_S} END"
    late = f"CASE WHEN {elsewhere} THEN {CLOCK_SKEW_S} ELSE 0 END"
    return f"(l.expires_at + {late} > :now AND l.expires_at <= :now + l.seconds + {early})"


OWN_MACHINE: Final = "(SELECT host FROM work_session WHERE id = :session)"
"""SQL expression: the machine of the session `:session`, for `lease_valid_sql`."""

_OPEN = f"""
    SELECT m.id, a.name, m.host, m.pid, m.tool_version, m.started_at,
           EXISTS (SELECT 1 FROM lease l WHERE l.session = m.id AND {lease_valid_sql(":machine")})
    FROM work_session m JOIN annotator a ON a.id = m.annotator_id WHERE m.ended_at IS NULL ORDER BY m.started_at
"""
_STALE = """
    SELECT count(*) FROM lease WHERE session NOT IN (SELECT id FROM work_session WHERE ended_at IS NULL)
"""


@dataclass(frozen=True, slots=True)
class OpenSession:
    id: str
    annotator: str
    host: str
    pid: int
    version: str
    """Version of its negwb."""
    started_at: str
    alive: bool
    """On this machine: its process runs. On another machine: it holds leases that have not expired."""

    def __str__(self) -> str:
        return f"{self.annotator} (negwb {self.version}, process {self.pid} on {self.host})"


def open_sessions(connection: sqlite3.Connection) -> list[OpenSession]:
    """Return the sessions that have not ended, oldest first; none if the record has no table of sessions."""
    machine = socket.gethostname()
    try:
        rows = connection.execute(_OPEN, {"now": time.time(), "machine": machine}).fetchall()
    except sqlite3.OperationalError as error:
        if not sqlite_errors.is_schema_mismatch(error):
            raise
        return []  # an unknown older or newer schema lacks the table or a column
    sessions = []
    for session, name, host, pid, version, since, leased in rows:
        alive = is_alive(ProcessIdentity(host, pid, since))
        sessions.append(OpenSession(session, name, host, pid, version, since, bool(leased) if alive is None else alive))
    return sessions


def live_sessions(connection: sqlite3.Connection) -> list[OpenSession]:
    """Return the open sessions that are alive."""
    return [session for session in open_sessions(connection) if session.alive]


def stale_leases(connection: sqlite3.Connection) -> int:
    """Count the leases of sessions that have ended or never existed."""
    try:
        return int(connection.execute(_STALE).fetchone()[0])
    except sqlite3.OperationalError as error:
        if not sqlite_errors.is_schema_mismatch(error):
            raise
        return 0


def end_all_sessions(connection: sqlite3.Connection) -> None:
    """End every session and delete all leases, in a copy of a record that no process uses yet."""
    try:
        connection.execute("UPDATE work_session SET ended_at = ? WHERE ended_at IS NULL", (utc_now(),))
        connection.execute("DELETE FROM lease")
    except sqlite3.OperationalError as error:  # another schema may have no sessions
        if not sqlite_errors.is_schema_mismatch(error):
            raise


def refuse_while_in_use(record: Path, reason: str) -> None:
    """Check that no session uses the record.

    Raises:
        RecordInUse: a session is live; the message names the first one and `reason`.
        sqlite3.Error: the record cannot be read.
    """
    with database_file.read_connection(record) as connection:
        live = live_sessions(connection)
    if live:
        more = f" and {len(live) - 1} more" if len(live) > 1 else ""
        raise RecordInUse(
            f"{live[0]}{more} is using {record.name}: {reason}", hint="end the session there, then try again"
        )
