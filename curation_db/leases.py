"""Leases: which card is in whose hands, until when. They expire by themselves and can be lost without harm.

The time is the wall clock's: all processes of a machine share it, and it goes on while the machine is suspended.
Machines may disagree about it, so a lease of a session on another machine is judged with a tolerance. A lease that
expires later than its whole length from now was taken by a clock that was ahead: it counts as expired, or it would
block its card until that time comes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Final

from sqlalchemy import Connection, text

from curation_db.people import Actor

LEASE_SECONDS = 600.0
CLOCK_STEP_S: Final = 5.0
"""A clock that is set back by so much leaves the leases of its own machine valid."""
MACHINES_DIFFER_S: Final = 3600.0
"""The clocks of two machines may differ by so much without a card in two people's hands. The price: a card that a
killed session of another machine held stays unavailable for so much longer."""

Clock = Callable[[], float]
"""Seconds since the epoch."""


def in_force(lease: str, machine: str, *, seconds: str | None = None) -> str:
    """A SQL condition: the lease is valid at `:now` (seconds since the epoch).

    Args:
        lease: The alias of the table `lease` in the statement.
        machine: A SQL expression for the name of the machine whose clock `:now` comes from.
        seconds: A SQL expression for the lease's full length [default: its column].
    """
    elsewhere = f"EXISTS (SELECT 1 FROM work_session w WHERE w.id = {lease}.session AND w.host != {machine})"
    early = f"CASE WHEN {elsewhere} THEN {MACHINES_DIFFER_S} ELSE {CLOCK_STEP_S} END"
    late = f"CASE WHEN {elsewhere} THEN {MACHINES_DIFFER_S} ELSE 0 END"
    length = seconds or f"{lease}.seconds"
    return f"({lease}.expires_at + {late} > :now AND {lease}.expires_at <= :now + {length} + {early})"


OWN_MACHINE: Final = "(SELECT host FROM work_session WHERE id = :session)"
"""The machine of the session `:session`, for `in_force`."""

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
_HAND_IN = text(
    "DELETE FROM lease WHERE candidate_id = :candidate AND annotator_id = :me RETURNING session, expires_at, seconds"
)
_HELD = text(f"""
    SELECT l.candidate_id FROM lease l WHERE l.session = :session AND {in_force("l", OWN_MACHINE)}
    AND l.candidate_id IN (SELECT value FROM json_each(:ids))
""")


def take(
    connection: Connection,
    actor: Actor,
    candidate_id: int,
    *,
    seconds: float = LEASE_SECONDS,
    clock: Clock = time.time,
) -> None:
    """Put a card into the actor's hands for so long."""
    row = {"candidate": candidate_id, "me": actor.annotator_id, "session": actor.session}
    connection.execute(_TAKE, {**row, "until": clock() + seconds, "seconds": seconds})


def held(connection: Connection, actor: Actor, candidate_ids: Iterable[int], *, clock: Clock = time.time) -> set[int]:
    """Those of a few cards of which the actor's session has a valid lease."""
    values = {"session": actor.session, "now": clock(), "ids": json.dumps(list(candidate_ids))}
    return set(connection.execute(_HELD, values).scalars())


def renew(
    connection: Connection,
    actor: Actor,
    candidate_ids: Iterable[int],
    *,
    seconds: float,
    clock: Clock = time.time,
) -> None:
    """Keep cards for another while; leases of other sessions stay as they are."""
    until = clock() + seconds
    rows = [
        {"candidate": number, "session": actor.session, "until": until, "seconds": seconds} for number in candidate_ids
    ]
    if rows:
        connection.execute(_RENEW, rows)


def release(connection: Connection, actor: Actor, candidate_ids: Iterable[int]) -> None:
    """Give cards back."""
    rows = [{"candidate": number, "session": actor.session} for number in candidate_ids]
    if rows:
        connection.execute(_RELEASE, rows)


def hand_in(connection: Connection, actor: Actor, candidate_id: int, *, clock: Clock = time.time) -> bool:
    """End the actor's lease on a card that was just decided; returns whether it was still good."""
    row = connection.execute(_HAND_IN, {"candidate": candidate_id, "me": actor.annotator_id}).first()
    if row is None or row.session != actor.session:
        return False
    now = clock()
    return bool(now < row.expires_at <= now + row.seconds + CLOCK_STEP_S)


def drop(connection: Connection, actor: Actor, candidate_ids: Iterable[int]) -> None:
    """End the actor's leases on these cards, of all sessions: they were decided about together."""
    connection.execute(
        text("DELETE FROM lease WHERE annotator_id = :me AND candidate_id IN (SELECT value FROM json_each(:ids))"),
        {"me": actor.annotator_id, "ids": json.dumps(list(candidate_ids))},
    )
