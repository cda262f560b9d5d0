"""Leases: which annotator session holds which card until when. They expire, and losing one does no harm.

Leases use the wall clock, because all processes of a machine share it and it runs on while the machine is suspended.
Clocks of machines may differ, so the lease of a session on another machine is checked with a tolerance. A lease that
expires later than its full length from now was taken by a clock that was ahead. It counts as expired; otherwise it
would block its card until that time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from sqlalchemy import Connection, text

from curation_db.events.annotators import Actor
from curation_db.storage.sqlite import IN_IDS, json_array
from curation_db.storage.work_sessions import CLOCK_STEP_S, LEASE_SECONDS, OWN_MACHINE, lease_valid_sql

Clock = Callable[[], float]
"""Seconds since the epoch."""

_TAKE = text("""
    INSERT INTO lease(candidate_id, annotator_id, session, expires_at, seconds)
    VALUES (:candidate, :me, :session, :until, :seconds)
    ON CONFLICT(candidate_id, annotator_id)
    DO UPDATE SET session = excluded.session, expires_at = excluded.expires_at, seconds = excluded.seconds
""")
_RENEW = text("""
    UPDATE lease SET expires_at = :until, seconds = :seconds WHERE candidate_id = :candidate AND session = :session
""")
_RELEASE = text("DELETE FROM lease WHERE candidate_id = :candidate AND session = :session")
_END = text(
    "DELETE FROM lease WHERE candidate_id = :candidate AND annotator_id = :me RETURNING session, expires_at, seconds"
)
_HELD = text(f"""
    SELECT l.candidate_id FROM lease l WHERE l.session = :session AND {lease_valid_sql(OWN_MACHINE)}
    AND l.candidate_id {IN_IDS}
""")


def take(
    connection: Connection,
    actor: Actor,
    candidate_id: int,
    *,
    seconds: float = LEASE_SECONDS,
    clock: Clock = time.time,
) -> None:
    """Lease a card to the actor's session for `seconds`."""
    row = {"candidate": candidate_id, "me": actor.annotator_id, "session": actor.session}
    connection.execute(_TAKE, {**row, "until": clock() + seconds, "seconds": seconds})


def held(connection: Connection, actor: Actor, candidate_ids: Iterable[int], *, clock: Clock = time.time) -> set[int]:
    """Return those of a few cards on which the actor's session has a valid lease."""
    values = {"session": actor.session, "now": clock(), "ids": json_array(candidate_ids)}
    return set(connection.execute(_HELD, values).scalars())


def renew(
    connection: Connection,
    actor: Actor,
    candidate_ids: Iterable[int],
    *,
    seconds: float,
    clock: Clock = time.time,
) -> None:
    """Extend the leases of the actor's session on these cards; leases of other sessions stay as they are."""
    until = clock() + seconds
    rows = [
        {"candidate": number, "session": actor.session, "until": until, "seconds": seconds} for number in candidate_ids
    ]
    if rows:
        connection.execute(_RENEW, rows)


def release(connection: Connection, actor: Actor, candidate_ids: Iterable[int]) -> None:
    """Release the leases of the actor's session on these cards."""
    rows = [{"candidate": number, "session": actor.session} for number in candidate_ids]
    if rows:
        connection.execute(_RELEASE, rows)


def end(connection: Connection, actor: Actor, candidate_id: int, *, clock: Clock = time.time) -> bool:
    """End the actor's lease on a card that was just decided; return whether the lease was still valid."""
    row = connection.execute(_END, {"candidate": candidate_id, "me": actor.annotator_id}).first()
    if row is None or row.session != actor.session:
        return False
    now = clock()
    return bool(now < row.expires_at <= now + row.seconds + CLOCK_STEP_S)


def drop(connection: Connection, actor: Actor, candidate_ids: Iterable[int]) -> None:
    """End the actor's leases on these cards in all sessions, after a bulk decision."""
    connection.execute(
        text(f"DELETE FROM lease WHERE annotator_id = :me AND candidate_id {IN_IDS}"),
        {"me": actor.annotator_id, "ids": json_array(candidate_ids)},
    )
