"""The event numbers as the record's clock: an export is the record as it was at one number.

"At event N" means: the record directly after event N; at 0: before the first event. Every event has its own number.
Other data that exports show (candidates, an image's completed columns, a source's licences) is called an arrival. An
arrival is marked with the NEXT number, and exports show it from that number on. A mark is therefore larger than every
number that can already have been exported, so the number N alone determines the bytes of an export. Decisions stay
consistent: the data that a person saw at event N had arrived before, and has a mark of N or less.

Arrivals since the newest number cannot be shown at any number yet. An export of the present that could contain them
calls `reserve`: it takes the next number for itself, no event gets that number, and it is exportable from then on.
0 is exportable after an export of 0 or after the first event; earlier arrivals are shown from 0 on.

No number is used twice. The table `event_gap` lists the numbers without an event, and their cause: an export took them
(export; exportable), they were missing before gaps were recorded (migration; most are of exports, so they are
exportable), or they belong to a history that a restore replaced (restore; not exportable, see `lineage`). A number
missing outside all gaps means that an event was lost; such a number is not used again either.

Rejected alternatives: imports as events (an event is an action of an actor on one candidate, and imports would shift
the numbers of the decisions); a count of imports beside the number (two exports at one event would differ, and `--at`
would need both numbers); arrivals that wait for the next decision (an export directly after an import of missing file
names, or of open candidates before the first decision, would lack them).
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
"""Name of the note with the newest number that an export took."""


class Arrival(StrEnum):
    """Kinds of data other than events; the values are the names of the notes with the newest marks."""

    CANDIDATES = "came_in_candidates"
    DETAILS = "came_in_details"
    """An image's completed columns, a source's licences."""
    OVERLAPS = "came_in_overlaps"
    """Candidates whose overlap was changed (`overlaps`)."""


def newest_seq(connection: Connection) -> int:
    """Return the newest exportable number, of an event or of an export; -1 if not even 0 is exportable."""
    row = connection.execute(_SELECT_NEWEST).one()
    return max(-1 if row.event is None else int(row.event), -1 if row.settled is None else int(row.settled))


def next_seq(connection: Connection) -> int:
    """Return the next number: the mark of present arrivals."""
    counted, skipped = connection.execute(_SELECT_LARGEST_USED).one()
    return max(newest_seq(connection), int(counted), int(skipped)) + 1


def next_event_seq(connection: Connection) -> int:
    """Return the number of the next event. The first event has at least 1, so that 0 is before it."""
    return max(next_seq(connection), 1)


def mark_arrival(connection: Connection, kind: Arrival) -> None:
    """Note `next_seq` as the newest mark of this kind, in the transaction that writes the data."""
    connection.execute(_WRITE_NOTE, {"name": kind, "value": str(next_seq(connection))})


def current_seq(connection: Connection, kinds: Collection[Arrival]) -> int:
    """Return the number of the present: the newest, or the next one if data of `kinds` arrived since then."""
    number = newest_seq(connection)
    marks = connection.execute(_SELECT_MARKS, {"names": list(kinds)}).scalars()
    # a mark above the newest number may lie in the gap of a restore, so the mark itself is not returned
    return number if number >= 0 and all(int(mark) <= number for mark in marks) else next_seq(connection)


def reserve(connection: Connection, kinds: Collection[Arrival]) -> int:
    """Make the number of the present exportable and return it; runs in a write transaction of its own."""
    number = current_seq(connection, kinds)
    if number > newest_seq(connection):
        connection.execute(_WRITE_NOTE, {"name": _SETTLED, "value": str(number)})
        if number > 0:  # no event ever has 0
            connection.execute(_INSERT_GAP, {"number": number, "cause": GapCause.EXPORT, "at": utc_now()})
    return number


class Gap(NamedTuple):
    """Range of numbers without events."""

    first: int
    last: int
    cause: GapCause
    at: str
    """Time at which the gap was recorded."""


def gap_at(connection: Connection, number: int) -> Gap | None:
    """Return the recorded gap that contains `number`."""
    row = connection.execute(_SELECT_GAP, {"number": number}).first()
    return Gap(row.first, row.last, GapCause(row.cause), row.at) if row is not None and number <= row.last else None


def is_exportable(connection: Connection, number: int) -> bool:
    """Return whether the record can be exported at `number`: the number of an event, of an export, or 0."""
    gap = gap_at(connection, number)
    if gap is not None:
        return gap.cause is not GapCause.RESTORE
    return number == 0 or connection.execute(_SELECT_EVENT, {"number": number}).first() is not None


class RecordOrigin(NamedTuple):
    """Identity of the history up to an event number."""

    event_uid: str | None
    """uid of the newest event up to the number; None without events."""
    lineage: str
    """uid of the number's lineage."""


class HistoryRelation(StrEnum):
    """Relation between a frozen set's event number and the record."""

    SAME = "same"
    """The number means the same events in this record."""
    REPLACED = "replaced"
    """A restore replaced the history that the number belongs to."""
    UNKNOWN = "unknown"
    """The record lacks the event: it was lost, or the set comes from another record."""


def origin_of(connection: Connection, number: int) -> RecordOrigin:
    """Return the identity of the history that ends at `number`; a restore that keeps the number does not change it."""
    event_uid = connection.execute(_SELECT_LAST_EVENT, {"number": number}).scalar()
    return RecordOrigin(event_uid, connection.execute(_SELECT_LINEAGE, {"number": number}).scalar_one())


def relation_of(connection: Connection, number: int, event_uid: str | None, lineage: str | None) -> HistoryRelation:
    """Return whether a set frozen at `number` comes from this record's history.

    Args:
        number: event number in the set's manifest.
        event_uid: uid of the newest event in the manifest.
        lineage: lineage in the manifest; None if an older negwb froze the set, so that only the number can be checked.
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
    """Return the mark of a column after its value `before` was replaced by one that exports show from `since` on.

    A mark is the number from which exports show the value (if there was no value before), or a list of
    [number, the value before that number] in ascending order.
    """
    return [*_mark_entries(mark), [since, before]]


def value_at(mark: Any, value: Any, at: int) -> Any:
    """Return the value at the number `at` of a column that has `mark` and now has `value`."""
    return next((before for since, before in _mark_entries(mark) if since > at), value)


def _mark_entries(mark: Any) -> list[list[Any]]:
    if mark is None:
        return []
    return [[mark, None]] if isinstance(mark, int) else list(mark)
