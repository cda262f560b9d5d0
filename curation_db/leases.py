"""Leases: which card is in whose hands, until when. They expire by themselves and can be lost without harm."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable

from sqlalchemy import Connection, text

from curation_db.people import Actor

LEASE_SECONDS = 600.0

_TAKE = text("""
    INSERT INTO lease(candidate_id, annotator_id, session, expires_at) VALUES (:candidate, :me, :session, :until)
    ON CONFLICT(candidate_id, annotator_id) DO UPDATE SET session = excluded.session, expires_at = excluded.expires_at
""")
_RENEW = text("UPDATE lease SET expires_at = :until WHERE candidate_id = :candidate AND session = :session")
_RELEASE = text("DELETE FROM lease WHERE candidate_id = :candidate AND session = :session")
_HAND_IN = text(
    "DELETE FROM lease WHERE candidate_id = :candidate AND annotator_id = :me RETURNING session, expires_at"
)


def take(connection: Connection, actor: Actor, candidate_id: int, *, seconds: float = LEASE_SECONDS) -> None:
    """Put a card into the actor's hands for so long."""
    row = {"candidate": candidate_id, "me": actor.annotator_id, "session": actor.session}
    connection.execute(_TAKE, {**row, "until": time.time() + seconds})


def renew(connection: Connection, actor: Actor, candidate_ids: Iterable[int], *, seconds: float) -> None:
    """Keep cards for another while."""
    until = time.time() + seconds
    rows = [{"candidate": number, "session": actor.session, "until": until} for number in candidate_ids]
    if rows:
        connection.execute(_RENEW, rows)


def release(connection: Connection, actor: Actor, candidate_ids: Iterable[int]) -> None:
    """Give cards back."""
    rows = [{"candidate": number, "session": actor.session} for number in candidate_ids]
    if rows:
        connection.execute(_RELEASE, rows)


def hand_in(connection: Connection, actor: Actor, candidate_id: int) -> bool:
    """End the actor's lease on a card that was just decided; returns whether it was still good."""
    held = connection.execute(_HAND_IN, {"candidate": candidate_id, "me": actor.annotator_id}).first()
    return held is not None and held.session == actor.session and held.expires_at > time.time()


def drop(connection: Connection, actor: Actor, candidate_ids: Iterable[int]) -> None:
    """End the actor's leases on these cards, of all sessions: they were decided about together."""
    connection.execute(
        text("DELETE FROM lease WHERE annotator_id = :me AND candidate_id IN (SELECT value FROM json_each(:ids))"),
        {"me": actor.annotator_id, "ids": json.dumps(list(candidate_ids))},
    )
