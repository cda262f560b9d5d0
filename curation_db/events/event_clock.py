"""Moments: the numbers of the events are the one clock of the record, and an export is the record at a number on it.

AT event N is: as event N left it, and at 0: as it was before the first one. Events have their number; what comes in
beside them and shows in exports (candidates, an image's completed columns, a source's licences) is marked with the
number that comes NEXT, and is there from that number on. A mark is thus always larger than every number that stands,
so nothing that comes in can ever show at a number that was exported before: N alone determines the bytes. Decisions
lose nothing by it: whatever a person saw when event N was made had come in before, and bears N or less.

What came in since the newest number has none to show at yet. An export of NOW that it could matter to `settle`s that:
it takes the next number for itself, no event will have it, and from then on it stands for this moment like any other.
0 stands once it was exported or there is an event; what comes in until then is there from 0 on.

A number is handed out once. The table `event_gap` names the numbers that no event has, and why: an export took them
(cause export; they stand), they were missing before gaps were recorded (migration; most are of exports, so they
stand), or they belong to a history that a restore replaced (restore; they do not stand, and `lineage` tells more).
A number that is missing elsewhere means that an event was lost; it is not handed out again either.

Weighed against: imports as events (an event is somebody's deed on one candidate, and imports would shift the numbers
of people's decisions); a count of imports beside the number (two sets of one event would differ, and `--at` would
need both); letting what came in wait for the next decision (nobody who has just imported the missing file names, or
wants the open candidates before anything is decided, could export them).
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, text

from curation_db.enums import GapCause
from curation_db.storage.ids import utc_now

_SELECT_NEWEST = text("""
    SELECT (SELECT max(seq) FROM event) AS event, (SELECT value FROM record_note WHERE name = 'settled') AS settled
""")
_SELECT_MARKS = text("SELECT value FROM record_note WHERE name IN :names").bindparams(
    bindparam("names", expanding=True)
)
_WRITE_NOTE = text("""
    INSERT INTO record_note(name, value) VALUES (:name, :value) ON CONFLICT(name) DO UPDATE SET value = excluded.value
""")
_SELECT_LARGEST_USED = text("""
    SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'event'), -1),
           coalesce((SELECT last FROM event_gap ORDER BY first DESC LIMIT 1), -1)
""")
_INSERT_GAP = text("INSERT INTO event_gap(first, last, cause, at) VALUES (:number, :number, :cause, :at)")
_SELECT_GAP = text("SELECT first, last, cause, at FROM event_gap WHERE first <= :number ORDER BY first DESC LIMIT 1")
_SELECT_EVENT = text("SELECT 1 FROM event WHERE seq = :number")
_SELECT_LINEAGE = text("""
    SELECT uid FROM lineage WHERE after < :number OR rowid = (SELECT min(rowid) FROM lineage)
    ORDER BY rowid DESC LIMIT 1
""")
_SELECT_LAST_EVENT = text("SELECT uid FROM event WHERE seq <= :number ORDER BY seq DESC LIMIT 1")
_SETTLED = "settled"
"""The newest number that an export took."""


class Arrival(StrEnum):
    """What comes in beside the events; also the names under which the newest marks are noted."""

    CANDIDATES = "came_in_candidates"
    DETAILS = "came_in_details"
    """An image's completed columns, a source's licences."""
    OVERLAPS = "came_in_overlaps"
    """Candidates whose overlap was changed (`overlaps`)."""


def newest_seq(connection: Connection) -> int:
    """The newest number that stands: of an event, or one that an export took; -1: not even 0 does."""
    row = connection.execute(_SELECT_NEWEST).one()
    return max(-1 if row.event is None else int(row.event), -1 if row.settled is None else int(row.settled))


def next_seq(connection: Connection) -> int:
    """The number that comes next: the mark of what comes in now."""
    counted, skipped = connection.execute(_SELECT_LARGEST_USED).one()
    return max(newest_seq(connection), int(counted), int(skipped)) + 1


def next_event_seq(connection: Connection) -> int:
    """The number of the next event; the first has 1 at least, so that there is something before it."""
    return max(next_seq(connection), 1)


def mark_arrival(connection: Connection, what: Arrival) -> None:
    """Note, in the transaction that writes it, that something came in under the mark `coming`."""
    connection.execute(_WRITE_NOTE, {"name": what, "value": str(next_seq(connection))})


def current_seq(connection: Connection, kinds: Collection[Arrival]) -> int:
    """The number for now: the newest, or the one that comes next where some of `kinds` came in since."""
    number = newest_seq(connection)
    marks = connection.execute(_SELECT_MARKS, {"names": list(kinds)}).scalars()
    # a mark above the newest number may lie in the gap of a restore, so it is not the answer itself
    return number if number >= 0 and all(int(mark) <= number for mark in marks) else next_seq(connection)


def reserve(connection: Connection, kinds: Collection[Arrival]) -> int:
    """Make the number for now one that stands, in a write transaction of its own; returns it."""
    number = current_seq(connection, kinds)
    if number > newest_seq(connection):
        connection.execute(_WRITE_NOTE, {"name": _SETTLED, "value": str(number)})
        if number > 0:  # no event ever has 0
            connection.execute(_INSERT_GAP, {"number": number, "cause": GapCause.EXPORT, "at": utc_now()})
    return number


class Gap(NamedTuple):
    """A range of numbers that no event has."""

    first: int
    last: int
    cause: GapCause
    at: str
    """When the gap was recorded."""


def gap_at(connection: Connection, number: int) -> Gap | None:
    """The recorded gap that `number` lies in."""
    row = connection.execute(_SELECT_GAP, {"number": number}).first()
    return Gap(row.first, row.last, GapCause(row.cause), row.at) if row is not None and number <= row.last else None


def is_exportable(connection: Connection, number: int) -> bool:
    """Whether the record can be exported as it was at `number`: an event has it, an export took it, or it is 0."""
    gap = gap_at(connection, number)
    if gap is not None:
        return gap.cause is not GapCause.RESTORE
    return number == 0 or connection.execute(_SELECT_EVENT, {"number": number}).first() is not None


class RecordOrigin(NamedTuple):
    """What identifies the history up to an event number."""

    event_uid: str | None
    """Of the newest event up to the number; None: there is none."""
    lineage: str


class HistoryRelation(StrEnum):
    """How a frozen set's event number relates to the record."""

    SAME = "same"
    """The number stands for the same events in this record."""
    REPLACED = "replaced"
    """A restore replaced the history that the number belongs to."""
    UNKNOWN = "unknown"
    """The record does not have that event: it was lost, or the set comes from another record."""


def origin_of(connection: Connection, number: int) -> RecordOrigin:
    """The history that `number` stands at the end of; the same today and after any restore that keeps the number."""
    event_uid = connection.execute(_SELECT_LAST_EVENT, {"number": number}).scalar()
    return RecordOrigin(event_uid, connection.execute(_SELECT_LINEAGE, {"number": number}).scalar_one())


def relation_of(connection: Connection, number: int, event_uid: str | None, lineage: str | None) -> HistoryRelation:
    """Whether a set frozen at `number` comes from this record's history.

    Args:
        connection: The record.
        number: The event number in the set's manifest.
        event_uid: As its manifest has it.
        lineage: As its manifest has it; None: an older negwb froze it, so that only the number can be checked.
    """
    gap = gap_at(connection, number)
    if gap is not None and gap.cause is GapCause.RESTORE:
        return HistoryRelation.REPLACED
    if not is_exportable(connection, number):
        return HistoryRelation.UNKNOWN
    if lineage is None or (event_uid, lineage) == origin_of(connection, number):
        return HistoryRelation.SAME
    restored = connection.execute(text("SELECT count(*) FROM lineage WHERE restored_from IS NOT NULL")).scalar_one()
    return HistoryRelation.REPLACED if restored else HistoryRelation.UNKNOWN


def extend_mark(mark: Any, before: object, since: int) -> list[list[Any]]:
    """The mark of a column whose value `before` is replaced by one that shows from `since` on.

    A mark is the number from which the value shows, where there was none before, or a list of [number, the value
    before that number], in order.
    """
    return [*_mark_entries(mark), [since, before]]


def value_at(mark: Any, value: Any, at: int) -> Any:
    """What a marked column, which now has `value`, showed at the number `at`."""
    return next((before for since, before in _mark_entries(mark) if since > at), value)


def _mark_entries(mark: Any) -> list[list[Any]]:
    if mark is None:
        return []
    return [[mark, None]] if isinstance(mark, int) else list(mark)
