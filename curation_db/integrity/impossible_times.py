"""Search for times in the future. They show that a clock is wrong, or was wrong when they were written."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from curation_db.storage.ids import utc_text

TOLERANCE_S: Final = 60.0
"""A smaller difference between clocks is no fault."""
_EVENTS = "SELECT count(*), max(at) FROM event WHERE at > :latest"
_SESSIONS = """
    SELECT count(*), max(max(started_at, coalesce(ended_at, ''))) FROM work_session
    WHERE started_at > :latest OR ended_at > :latest
"""
_LAST_SECOND: Final = 253_402_300_799.0
"""Last second of the year 9999; a later time has no text form."""
_LEASES = "SELECT count(*), CAST(max(expires_at) AS REAL) FROM lease WHERE expires_at > :now + seconds + :tolerance"


@dataclass(frozen=True, slots=True)
class ImpossibleTimes:
    """Number of rows with a time in the future, and the latest of these times."""

    events: int = 0
    sessions: int = 0
    leases: int = 0
    """Leases that expire later than now plus their full length; they count as expired."""
    latest: str = ""
    """UTC, ISO 8601; empty without such rows."""

    def __str__(self) -> str:
        counts = ((self.events, "event"), (self.sessions, "session"), (self.leases, "lease"))
        return ", ".join(f"{count:,} {name}{'' if count == 1 else 's'}" for count, name in counts if count)


def find_impossible_times(connection: sqlite3.Connection, now: float) -> ImpossibleTimes:
    """Count the times after `now` (seconds since the epoch) in a record of the newest schema."""
    values = {"now": now, "tolerance": TOLERANCE_S, "latest": utc_text(now + TOLERANCE_S)}
    events, last_event = connection.execute(_EVENTS, values).fetchone()
    sessions, last_session = connection.execute(_SESSIONS, values).fetchone()
    leases, last_lease = connection.execute(_LEASES, values).fetchone()
    lease_text = "" if last_lease is None else utc_text(min(last_lease, _LAST_SECOND))
    times = [last_event or "", last_session or "", lease_text]
    return ImpossibleTimes(events, sessions, leases, max(times))
