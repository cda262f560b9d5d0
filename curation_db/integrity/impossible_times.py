"""Times that cannot be: later than now. They show that a clock is wrong, or was wrong when they were written."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from curation_db.storage.ids import utc_text

TOLERANCE_S: Final = 60.0
"""Clocks that differ by less are no fault."""
_EVENTS = "SELECT count(*), max(at) FROM event WHERE at > :latest"
_SESSIONS = """
    SELECT count(*), max(max(started_at, coalesce(ended_at, ''))) FROM work_session
    WHERE started_at > :latest OR ended_at > :latest
"""
_LAST_SECOND: Final = 253_402_300_799.0
"""Of the year 9999: later times cannot be written as text."""
_LEASES = "SELECT count(*), CAST(max(expires_at) AS REAL) FROM lease WHERE expires_at > :now + seconds + :tolerance"


@dataclass(frozen=True, slots=True)
class ImpossibleTimes:
    """How many rows have a time that has not come yet, and the latest of these times."""

    events: int = 0
    sessions: int = 0
    leases: int = 0
    """That expire later than their whole length from now; they count as expired."""
    latest: str = ""
    """UTC, ISO 8601; empty: there is none."""

    def __str__(self) -> str:
        counts = ((self.events, "event"), (self.sessions, "session"), (self.leases, "lease"))
        return ", ".join(f"{count:,} {name}{'' if count == 1 else 's'}" for count, name in counts if count)


def find_impossible_times(connection: sqlite3.Connection, now: float) -> ImpossibleTimes:
    """Find them, in a record of the newest schema; `now`: seconds since the epoch."""
    values = {"now": now, "tolerance": TOLERANCE_S, "latest": utc_text(now + TOLERANCE_S)}
    events, last_event = connection.execute(_EVENTS, values).fetchone()
    sessions, last_session = connection.execute(_SESSIONS, values).fetchone()
    leases, last_lease = connection.execute(_LEASES, values).fetchone()
    lease_text = "" if last_lease is None else utc_text(min(last_lease, _LAST_SECOND))
    times = [last_event or "", last_session or "", lease_text]
    return ImpossibleTimes(events, sessions, leases, max(times))
