"""Lineages: which history of the record an event number belongs to, once a restore has replaced a part of it.

A lineage is a stretch of history: the creation of the record starts the first one, each restore starts another. A
number belongs to the newest lineage that started below it. Numbers are never handed out twice: a restore continues
above every number of the record that it replaces, and records the skipped range in `event_gap` (cause restore). So an
event number and the uid of its lineage say the same thing for ever, also where a later restore goes back again.

`origin_of` and `history_of` read an open record; the rest works on the bare files that `restore` handles.
"""

from __future__ import annotations

import sqlite3
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, text

from curation_db import dialect, moments
from curation_db.identity import utc_now, uuid7
from curation_db.words import GapCause

_LINEAGE_OF = text("""
    SELECT uid FROM lineage WHERE after < :number OR rowid = (SELECT min(rowid) FROM lineage)
    ORDER BY rowid DESC LIMIT 1
""")
_LAST_EVENT = text("SELECT uid FROM event WHERE seq <= :number ORDER BY seq DESC LIMIT 1")
_SETTLED = "SELECT CAST(value AS INTEGER) FROM record_note WHERE name = 'settled'"
_STANDING = {"event": "SELECT max(seq) FROM event", "record_note": _SETTLED}
_HANDED_OUT = {
    **_STANDING,
    "sqlite_sequence": "SELECT seq FROM sqlite_sequence WHERE name = 'event'",
    "event_gap": "SELECT max(last) FROM event_gap",
}
"""By the table that each statement reads."""
_NONE = -1


class Origin(NamedTuple):
    """What identifies the history up to an event number."""

    event_uid: str | None
    """Of the newest event up to the number; None: there is none."""
    lineage: str


class History(StrEnum):
    """How a frozen set's event number relates to the record."""

    SAME = "same"
    """The number stands for the same events in this record."""
    REPLACED = "replaced"
    """A restore replaced the history that the number belongs to."""
    UNKNOWN = "unknown"
    """The record does not have that event: it was lost, or the set comes from another record."""


def origin_of(connection: Connection, number: int) -> Origin:
    """The history that `number` stands at the end of; the same today and after any restore that keeps the number."""
    event_uid = connection.execute(_LAST_EVENT, {"number": number}).scalar()
    return Origin(event_uid, connection.execute(_LINEAGE_OF, {"number": number}).scalar_one())


def history_of(connection: Connection, number: int, event_uid: str | None, lineage: str | None) -> History:
    """Whether a set frozen at `number` comes from this record's history.

    Args:
        connection: The record.
        number: The event number in the set's manifest.
        event_uid: As its manifest has it.
        lineage: As its manifest has it; None: an older negwb froze it, so that only the number can be checked.
    """
    gap = moments.gap_at(connection, number)
    if gap is not None and gap.cause is GapCause.RESTORE:
        return History.REPLACED
    if not moments.stands(connection, number):
        return History.UNKNOWN
    if lineage is None or (event_uid, lineage) == origin_of(connection, number):
        return History.SAME
    restored = connection.execute(text("SELECT count(*) FROM lineage WHERE restored_from IS NOT NULL")).scalar_one()
    return History.REPLACED if restored else History.UNKNOWN


def handed_out(connection: sqlite3.Connection) -> int:
    """The largest number that the record has handed out, whatever its schema; -1: none."""
    return _largest(connection, _HANDED_OUT)


def current(connection: sqlite3.Connection) -> str | None:
    """The uid of the record's newest lineage; None: its schema knows none."""
    if "lineage" not in _tables(connection):
        return None
    row = connection.execute("SELECT uid FROM lineage ORDER BY rowid DESC LIMIT 1").fetchone()
    return str(row[0]) if row else None


def start(copy: Path, above: int, restored_from: str) -> int:
    """Start a lineage in `copy`, a backup that is to replace the record; returns the number of its next event.

    Args:
        copy: The copy, at the newest schema.
        above: The largest number that the replaced record handed out; the new lineage continues above it.
        restored_from: The name of the backup.
    """
    with dialect.bare(copy) as connection:
        connection.execute("BEGIN IMMEDIATE")
        standing, own, now = _largest(connection, _STANDING), handed_out(connection), utc_now()
        if above > own:
            connection.execute("INSERT INTO event_gap VALUES (?, ?, ?, ?)", (own + 1, above, GapCause.RESTORE, now))
            _count_from(connection, above)
        connection.execute(
            "INSERT INTO lineage(uid, after, started_at, restored_from) VALUES (?, ?, ?, ?)",
            (uuid7(), max(standing, 0), now, restored_from),
        )
        connection.execute("COMMIT")
    return max(above, own, 0) + 1


def _count_from(connection: sqlite3.Connection, number: int) -> None:
    changed = connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'event'", (number,)).rowcount
    if not changed:
        connection.execute("INSERT INTO sqlite_sequence(name, seq) VALUES ('event', ?)", (number,))


def _largest(connection: sqlite3.Connection, statements: dict[str, str]) -> int:
    tables = _tables(connection)
    rows = [connection.execute(each).fetchone() for table, each in statements.items() if table in tables]
    return max((int(row[0]) for row in rows if row is not None and row[0] is not None), default=_NONE)


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
