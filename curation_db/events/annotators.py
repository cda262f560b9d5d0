"""People and their sessions: who decides, and which run of the app their leases belong to."""

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
    """A person at work: the name goes into every event, the session owns the leases."""

    name: str
    annotator_id: int
    role: Role
    session: str


def begin_session(store: Store, name: str, *, version: str, role: Role | None = None) -> Actor:
    """Start a session for `name` (made known where new) and free the cards of that person's dead sessions.

    Names are compared without regard to case: the actor has the spelling that the record knows already, the same one
    where it knows several.

    `role`: what the person is from now on; none: what the person was, at first an annotator. The record trusts who
    can write it; every event tells the role in which it was done.

    A session is dead when it ended, or when it ran on this machine and its process is gone: after a crash the person
    finds the same card again at once, without waiting for the leases to expire.

    Raises:
        RetiredAnnotator: the name is out of use.
        UnusableName: no annotator can have the name.
    """
    asked = checked_name(name)
    with store.write() as connection:
        name = known_spelling(connection, asked)
        row = connection.execute(
            text("""INSERT INTO annotator(name, role, created_at) VALUES (:name, coalesce(:role, 'annotator'), :now)
                    ON CONFLICT(name) DO UPDATE SET role = coalesce(:role, role) RETURNING id, role, retired_at"""),
            {"name": name, "role": str(role) if role else None, "now": utc_now()},
        ).one()
        if row.retired_at is not None:  # raised inside the transaction, so the role stays too
            raise RetiredAnnotator(
                f"the name {name} is retired",
                hint="negwb annotators restore puts it into use again; or take another: --annotator NAME",
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
    """The spelling under which the record knows the person called `name`; `name` itself where it knows none.

    A record from before names were compared without regard to case can have several: the same spelling comes first,
    then those in use, then the oldest.
    """
    return next(iter(_spellings(connection, name)), name)


def spellings_of(connection: Connection, name: str) -> list[str]:
    """All spellings of `name` that events of this record can have."""
    return _spellings(connection, name) or [name]


def _spellings(connection: Connection, name: str) -> list[str]:
    rows = connection.execute(text("SELECT name FROM annotator ORDER BY retired_at IS NOT NULL, id"))
    return spellings(name, rows.scalars())


def end_session(store: Store, actor: Actor) -> None:
    """Give back the session's cards and close it."""
    with store.write() as connection:
        _end(connection, actor.session)


def require_adjudicator(actor: Actor, deed: str) -> None:
    """See that the actor may do what only adjudicators may.

    Raises:
        RecordError: the actor may not.
    """
    if actor.role is not Role.ADJUDICATOR:
        raise RecordError(f"only an adjudicator can {deed}", hint="sit down as one: --role adjudicator")


def annotator_ids(connection: Connection, names: frozenset[str] | set[str]) -> dict[str, int]:
    """The ids of these people; names that are nobody's (a policy's) are left out."""
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
