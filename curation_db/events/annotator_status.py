"""The people of a record: who decides, who works alone, whose edits wait, and names that are retired."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from curation_db.enums import Role
from curation_db.errors import RecordInUse
from curation_db.events.annotator_names import name_key
from curation_db.events.event_log import undone_sql
from curation_db.events.in_force import PERSON_ROLES_SQL, in_force_sql
from curation_db.storage import work_sessions
from curation_db.storage.ids import utc_now
from curation_db.storage.store import Store

_DECIDED: Final = f"""
    EXISTS (SELECT 1 FROM event e WHERE e.actor = a.name AND e.role IN {PERSON_ROLES_SQL}
            AND e.kind IN ('accept', 'reject', 'unsure', 'edit', 'adjudicate', 'flip') AND NOT {undone_sql()})
"""
"""Whether the annotator of the alias `a` has decided about anything. A card that was only looked at or skipped is no
decision, and neither is one that was taken back."""
_SELECT_OTHERS = text(f"""
    SELECT a.name, {_DECIDED} AS decided FROM annotator a WHERE a.name != :name AND a.retired_at IS NULL ORDER BY a.name
""")
_SELECT_ALL = text(f"""
    SELECT a.name, a.role, a.created_at, a.retired_at, {_DECIDED} AS decided,
           (SELECT count(*) FROM event e
            WHERE e.actor = a.name AND e.role IN {PERSON_ROLES_SQL} AND {in_force_sql()}) AS decisions
    FROM annotator a ORDER BY a.name
""")
_SELECT_WAITING_EDITS = text("""
    SELECT c.generator AS editor, count(*) AS edits FROM candidate c JOIN candidate_state s ON s.candidate_id = c.id
    WHERE c.pipeline = 'edit' AND s.wanted > 0 AND NOT EXISTS (SELECT 1 FROM gold k WHERE k.candidate_id = c.id)
    GROUP BY c.generator ORDER BY c.generator
""")
_SET_RETIRED = text("UPDATE annotator SET retired_at = :at WHERE name = :name")


@dataclass(frozen=True, slots=True)
class AnnotatorStatus:
    """One name in the record."""

    name: str
    role: Role
    since: str
    retired_at: str | None
    """Out of use since; None: in use."""
    decisions: int
    """In force (`in_force`)."""
    decided: bool
    """Has decided about something that was not taken back."""
    at_work: bool
    """Has a session that is alive."""

    @property
    def is_active(self) -> bool:
        """Whether edits of others wait for this person."""
        return self.retired_at is None and (self.decided or self.at_work)


def other_annotators(connection: Connection, name: str) -> list[str]:
    """The other people who decide: those who have decided or are at work now, without retired names."""
    present, own = _active_names(connection), name_key(name)
    rows = connection.execute(_SELECT_OTHERS, {"name": name})
    return [row.name for row in rows if (row.decided or row.name in present) and name_key(row.name) != own]


def works_alone(connection: Connection, name: str) -> bool:
    """Whether this person is the only one who decides in this record."""
    return not other_annotators(connection, name)


def list_annotators(connection: Connection) -> list[AnnotatorStatus]:
    """Everybody, by name; counts, so it is not on the way to the next card."""
    present = _active_names(connection)
    return [
        AnnotatorStatus(
            row.name,
            Role(row.role),
            row.created_at,
            row.retired_at,
            row.decisions,
            bool(row.decided),
            row.name in present,
        )
        for row in connection.execute(_SELECT_ALL)
    ]


def count_waiting_edits(connection: Connection) -> dict[str, int]:
    """How many edits of each editor another person is still asked about."""
    return {row.editor: row.edits for row in connection.execute(_SELECT_WAITING_EDITS)}


def retire(store: Store, name: str) -> None:
    """Take a name out of use: edits wait for it no more, and no session begins under it. Its decisions stay.

    Raises:
        RecordInUse: somebody is at work under this name.
    """
    with store.write() as connection:
        if name in _active_names(connection):
            raise RecordInUse(f"{name} is at work", hint="end that session first")
        connection.execute(_SET_RETIRED, {"at": utc_now(), "name": name})


def reinstate(store: Store, name: str) -> None:
    """Put a retired name into use again."""
    with store.write() as connection:
        connection.execute(_SET_RETIRED, {"at": None, "name": name})


def _active_names(connection: Connection) -> set[str]:
    bare = connection.connection.driver_connection
    assert isinstance(bare, sqlite3.Connection)
    return {session.annotator for session in work_sessions.live_sessions(bare)}
