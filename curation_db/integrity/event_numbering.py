"""Event numbers without an event: the recorded gaps, and the numbers that are missing, on a bare connection."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from operator import attrgetter

from curation_db.enums import GapCause
from curation_db.events.event_clock import Gap

Range = tuple[int, int]
"""The first and the last number."""

# the last number that SQLite counted ends the last range: events lost from the end leave it behind
_WITHOUT_EVENT = """
    WITH known(seq) AS (
        SELECT 0 UNION ALL SELECT seq FROM event
        UNION ALL SELECT 1 + max(
            coalesce((SELECT max(seq) FROM event), 0),
            coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'event'), 0)
        )
    )
    SELECT seq + 1, following - 1 FROM (SELECT seq, lead(seq) OVER (ORDER BY seq) AS following FROM known)
    WHERE following > seq + 1
"""
_GAPS = "SELECT first, last, cause, at FROM event_gap ORDER BY first"


def recorded_gaps(connection: sqlite3.Connection) -> list[Gap]:
    """The recorded gaps, in ascending order; they do not overlap."""
    return [Gap(first, last, GapCause(cause), at) for first, last, cause, at in connection.execute(_GAPS)]


def missing_ranges(connection: sqlite3.Connection) -> list[Range]:
    """The ranges of numbers that no event has and no recorded gap explains: events that were lost."""
    recorded = recorded_gaps(connection)
    return [part for hole in connection.execute(_WITHOUT_EVENT) for part in _parts_outside_gaps(hole, recorded)]


def _parts_outside_gaps(hole: Range, recorded: Sequence[Gap]) -> Iterator[Range]:
    """The parts of `hole` that lie in no recorded gap."""
    start, end = hole
    for gap in recorded[bisect_left(recorded, start, key=attrgetter("last")) :]:
        if gap.first > end:
            break
        if gap.first > start:
            yield start, gap.first - 1
        start = gap.last + 1
    if start <= end:
        yield start, end
