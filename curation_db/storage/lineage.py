"""Lineages: which history of the record an event number belongs to after a restore has replaced a part of it.

A lineage is a stretch of history. The creation of the record starts the first one, and each restore starts another.
A number belongs to the newest lineage that started below it. No number is used twice: a restore continues above every
number of the record that it replaces, and records the skipped range in `event_gap` (cause restore). An event number
together with the uid of its lineage therefore keeps its meaning, also after a later restore of an older backup.

This module works on files without an open store, for `restore`. `event_clock` finds the lineage of a number in an open
record.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from curation_db.enums import GapCause
from curation_db.storage import sqlite
from curation_db.storage.ids import utc_now, uuid7

_SETTLED = "SELECT CAST(value AS INTEGER) FROM record_note WHERE name = 'settled'"
_EXPORTABLE_NUMBERS = {"event": "SELECT max(seq) FROM event", "record_note": _SETTLED}
_ALL_NUMBERS = {
    **_EXPORTABLE_NUMBERS,
    "sqlite_sequence": "SELECT seq FROM sqlite_sequence WHERE name = 'event'",
    "event_gap": "SELECT max(last) FROM event_gap",
}
"""Statements by the table that they read."""
_NONE = -1


def largest_handed_out(connection: sqlite3.Connection) -> int:
    """Return the largest event number that the record has used, in any schema; -1 if none."""
    return _largest(connection, _ALL_NUMBERS)


def current_uid(connection: sqlite3.Connection) -> str | None:
    """Return the uid of the record's newest lineage; None if its schema has no lineages."""
    if "lineage" not in _tables(connection):
        return None
    row = connection.execute("SELECT uid FROM lineage ORDER BY rowid DESC LIMIT 1").fetchone()
    return str(row[0]) if row else None


def start(copy: Path, above: int, restored_from: str) -> int:
    """Start a lineage in `copy`, a backup that will replace the record; return the number of its next event.

    Args:
        copy: the copy, at the newest schema.
        above: the largest number that the replaced record has used; the new lineage continues above it.
    """
    with sqlite.raw_connection(copy) as connection:
        connection.execute("BEGIN IMMEDIATE")
        exportable, own, now = _largest(connection, _EXPORTABLE_NUMBERS), largest_handed_out(connection), utc_now()
        if above > own:
            connection.execute("INSERT INTO event_gap VALUES (?, ?, ?, ?)", (own + 1, above, GapCause.RESTORE, now))
            _set_sequence(connection, above)
        connection.execute(
            "INSERT INTO lineage(uid, after, started_at, restored_from) VALUES (?, ?, ?, ?)",
            (uuid7(), max(exportable, 0), now, restored_from),
        )
        connection.execute("COMMIT")
    return max(above, own, 0) + 1


def _set_sequence(connection: sqlite3.Connection, number: int) -> None:
    changed = connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'event'", (number,)).rowcount
    if not changed:
        connection.execute("INSERT INTO sqlite_sequence(name, seq) VALUES ('event', ?)", (number,))


def _largest(connection: sqlite3.Connection, statements: dict[str, str]) -> int:
    tables = _tables(connection)
    rows = [connection.execute(each).fetchone() for table, each in statements.items() if table in tables]
    return max((int(row[0]) for row in rows if row is not None and row[0] is not None), default=_NONE)


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
