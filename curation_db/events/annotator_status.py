"""Status of the annotators of a record: decisions, live sessions, waiting edits, retired names."""

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
"""SQL condition: the annotator of the alias `a` has a decision in effect. A viewed or skipped card and an undone
decision do not count."""
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
    name: str
    role: Role
    since: str
    retired_at: str | None
    """Time since which the name is out of use; None: in use."""
    decisions: int
    """Number of decisions in force (`in_force`)."""
    decided: bool
    """Has a decision that was not undone."""
    at_work: bool
    """Has a live session."""

    @property
    def is_active(self) -> bool:
        """Whether edits of others wait for this person."""
        return self.retired_at is None and (self.decided or self.at_work)


def other_annotators(connection: Connection, name: str) -> list[str]:
    """Return the other active annotators: with a decision or a live session, and not retired."""
    present, own = _active_names(connection), name_key(name)
    rows = connection.execute(_SELECT_OTHERS, {"name": name})
    return [row.name for row in rows if (row.decided or row.name in present) and name_key(row.name) != own]


def works_alone(connection: Connection, name: str) -> bool:
    """Return whether this annotator is the only active one in this record."""
    return not other_annotators(connection, name)


def list_annotators(connection: Connection) -> list[AnnotatorStatus]:
    """Return all annotators by name. Counts all decisions, so it is too slow for the way to the next card."""
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
    """Count the edits of each editor that still wait for another annotator."""
    return {row.editor: row.edits for row in connection.execute(_SELECT_WAITING_EDITS)}


def retire(store: Store, name: str) -> None:
    """Take a name out of use: edits no longer wait for it, and no session can start under it. Its decisions stay.

    Raises:
        RecordInUse: a session under this name is live.
    """
    with store.write() as connection:
        if name in _active_names(connection):
            raise RecordInUse(f"{name} has a live session", hint="end that session first")
        connection.execute(_SET_RETIRED, {"at": utc_now(), "name": name})


def reinstate(store: Store, name: str) -> None:
    """Put a retired name into use again."""
    with store.write() as connection:
        connection.execute(_SET_RETIRED, {"at": None, "name": name})


def _active_names(connection: Connection) -> set[str]:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return {session.annotator for session in work_sessions.live_sessions(driver)}
