"""Moments: the numbers of the events are the one clock of the record, and an export is the record at a number on it.

AT event N is: as event N left it, and at 0: as it was before the first one. Events have their number; what comes in
beside them and shows in exports (candidates, an image's completed columns, a source's licences) is marked with the
number that comes NEXT, and is there from that number on. A mark is thus always larger than every number that stands,
so nothing that comes in can ever show at a number that was exported before: N alone determines the bytes. Decisions
lose nothing by it: whatever a person saw when event N was made had come in before, and bears N or less.

What came in since the newest number has none to show at yet. An export of NOW that it could matter to `settle`s that:
it takes the next number for itself, no event will have it, and from then on it stands for this moment like any other.
0 stands once it was exported or there is an event; what comes in until then is there from 0 on.

Weighed against: imports as events (an event is somebody's deed on one candidate, and imports would shift the numbers
of people's decisions); a count of imports beside the number (two sets of one event would differ, and `--at` would
need both); letting what came in wait for the next decision (nobody who has just imported the missing file names, or
wants the open candidates before anything is decided, could export them).
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from sqlalchemy import Connection, bindparam, text

_NEWEST = text("""
    SELECT (SELECT max(seq) FROM event) AS event, (SELECT value FROM record_note WHERE name = 'settled') AS settled
""")
_MARKS = text("SELECT value FROM record_note WHERE name IN :names").bindparams(bindparam("names", expanding=True))
_NOTE = text("""
    INSERT INTO record_note(name, value) VALUES (:name, :value) ON CONFLICT(name) DO UPDATE SET value = excluded.value
""")
_SETTLED = "settled"
"""The newest number that an export took."""


class Arrival(StrEnum):
    """What comes in beside the events; also the names under which the newest marks are noted."""

    CANDIDATES = "came_in_candidates"
    DETAILS = "came_in_details"
    """An image's completed columns, a source's licences."""


def newest(connection: Connection) -> int:
    """The newest number that stands: of an event, or one that an export took; -1: not even 0 does."""
    row = connection.execute(_NEWEST).one()
    return max(-1 if row.event is None else int(row.event), -1 if row.settled is None else int(row.settled))


def coming(connection: Connection) -> int:
    """The number that comes next: the mark of what comes in now."""
    return newest(connection) + 1


def next_event(connection: Connection) -> int:
    """The number of the next event; the first has 1 at least, so that there is something before it."""
    return max(coming(connection), 1)


def came_in(connection: Connection, what: Arrival) -> None:
    """Note, in the transaction that writes it, that something came in under the mark `coming`."""
    connection.execute(_NOTE, {"name": what, "value": str(coming(connection))})


def now(connection: Connection, kinds: Collection[Arrival]) -> int:
    """The number for now: the newest, or the one that comes next where some of `kinds` came in since."""
    marks = connection.execute(_MARKS, {"names": list(kinds)}).scalars()
    return max(newest(connection), 0, *(int(mark) for mark in marks))


def settle(connection: Connection, kinds: Collection[Arrival]) -> int:
    """Make the number for now one that stands, in a write transaction of its own; returns it."""
    number = now(connection, kinds)
    if number > newest(connection):
        connection.execute(_NOTE, {"name": _SETTLED, "value": str(number)})
    return number
