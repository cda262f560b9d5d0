"""Event numbers without an event: recorded gaps and missing numbers, read with a plain SQLite connection."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from operator import attrgetter

from curation_db.enums import GapCause
from curation_db.events.event_clock import Gap

Range = tuple[int, int]
"""The first and the last number."""

# The largest number in sqlite_sequence ends the last range: it stays when events are lost from the end.
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
    """Return the recorded gaps in ascending order; they do not overlap."""
    return [Gap(first, last, GapCause(cause), at) for first, last, cause, at in connection.execute(_GAPS)]


def missing_ranges(connection: sqlite3.Connection) -> list[Range]:
    """Return the ranges of numbers with neither an event nor a recorded gap: lost events."""
    gaps = recorded_gaps(connection)
    return [part for unused in connection.execute(_WITHOUT_EVENT) for part in _parts_outside_gaps(unused, gaps)]


def _parts_outside_gaps(unused: Range, gaps: Sequence[Gap]) -> Iterator[Range]:
    """Yield the parts of the range `unused` that are in no recorded gap."""
    start, end = unused
    for gap in gaps[bisect_left(gaps, start, key=attrgetter("last")) :]:
        if gap.first > end:
            break
        if gap.first > start:
            yield start, gap.first - 1
        start = gap.last + 1
    if start <= end:
        yield start, end
