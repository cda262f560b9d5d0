"""Annotators and their sessions: start and end of a session, known spellings of names."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from sqlalchemy import Connection, text

from curation_db.enums import Role
from curation_db.errors import RecordError, RetiredAnnotator
from curation_db.events.annotator_names import checked_name, spellings
from curation_db.processes import ProcessIdentity, is_alive
from curation_db.storage.ids import utc_now, uuid7
from curation_db.storage.store import Store


@dataclass(frozen=True, slots=True)
class Actor:
    """Annotator in a session: the name is in every event, the session owns the leases."""

    name: str
    annotator_id: int
    role: Role
    session: str


def begin_session(store: Store, name: str, *, version: str, role: Role | None = None) -> Actor:
    """Start a session for `name`, which is stored if it is new, and release the leases of that person's dead sessions.

    Names are compared without case. The actor gets the spelling that the record already has; of several spellings the
    one equal to `name`.

    A session is dead if it ended, or if it ran on this machine and its process is gone. After a crash the person thus
    gets the same card again at once, without a wait for the leases to expire.

    Args:
        role: role of the person from now on; None keeps the present role, at first annotator. There is no
            authentication: a person who can write the file can take any role. Every event contains its role.

    Raises:
        RetiredAnnotator: the name is out of use.
        UnusableName: no annotator can have the name.
    """
    name = checked_name(name)
    with store.write() as connection:
        name = known_spelling(connection, name)
        row = connection.execute(
            text("""INSERT INTO annotator(name, role, created_at) VALUES (:name, coalesce(:role, 'annotator'), :now)
                    ON CONFLICT(name) DO UPDATE SET role = coalesce(:role, role) RETURNING id, role, retired_at"""),
            {"name": name, "role": str(role) if role else None, "now": utc_now()},
        ).one()
        if row.retired_at is not None:  # raised inside the transaction, so the old role stays
            raise RetiredAnnotator(
                f"the name {name} is retired",
                hint="put it into use again: negwb annotators restore NAME; or use another: --annotator NAME",
            )
        _free_dead_sessions(connection, row.id)
        session = uuid7()
        # fmt: off
        connection.execute(
            text("""INSERT INTO work_session(id, annotator_id, host, pid, tool_version, started_at)
                    VALUES (:id, :annotator, :host, :pid, :version, :now)"""),
            {"id": session, "annotator": row.id, "host": socket.gethostname(), "pid": os.getpid(),
             "version": version, "now": utc_now()},
        )
        # fmt: on
    return Actor(name, row.id, Role(row.role), session)


def known_spelling(connection: Connection, name: str) -> str:
    """Return the spelling of `name` that the record has; `name` itself if it has none.

    A record from a version that compared names with case can have several spellings: the same spelling comes first,
    then those in use, then the oldest.
    """
    return next(iter(_spellings(connection, name)), name)


def spellings_of(connection: Connection, name: str) -> list[str]:
    """Return all spellings of `name` that events of this record can contain."""
    return _spellings(connection, name) or [name]


def _spellings(connection: Connection, name: str) -> list[str]:
    rows = connection.execute(text("SELECT name FROM annotator ORDER BY retired_at IS NOT NULL, id"))
    return spellings(name, rows.scalars())


def end_session(store: Store, actor: Actor) -> None:
    """Release the session's leases and end it."""
    with store.write() as connection:
        _end(connection, actor.session)


def require_adjudicator(actor: Actor, action: str) -> None:
    """Check that the actor is an adjudicator.

    Args:
        action: verb phrase for the message.

    Raises:
        RecordError: the actor is not an adjudicator.
    """
    if actor.role is not Role.ADJUDICATOR:
        raise RecordError(f"only an adjudicator can {action}", hint="restart with: --role adjudicator")


def annotator_ids(connection: Connection, names: frozenset[str] | set[str]) -> dict[str, int]:
    """Return the ids of these annotators by name; names of other actors (policies) are left out."""
    if not names:
        return {}
    rows = connection.execute(text("SELECT id, name FROM annotator"))
    return {row.name: row.id for row in rows if row.name in names}


def _free_dead_sessions(connection: Connection, annotator_id: int) -> None:
    running = connection.execute(
        text("SELECT id, host, pid, started_at FROM work_session WHERE annotator_id = :id AND ended_at IS NULL"),
        {"id": annotator_id},
    ).all()
    for session in running:
        if is_alive(ProcessIdentity(session.host, session.pid, session.started_at)) is False:
            _end(connection, session.id)


def _end(connection: Connection, session: str) -> None:
    connection.execute(text("DELETE FROM lease WHERE session = :session"), {"session": session})
    connection.execute(
        text("UPDATE work_session SET ended_at = :now WHERE id = :session AND ended_at IS NULL"),
        {"now": utc_now(), "session": session},
    )
