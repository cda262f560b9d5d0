"""Whether a frozen set is still what would be frozen today.

A set is stale when other pairs would be in it now: since its event some pair came into the states it was made of, or
left them. A decision that moves nothing (a second accept, a note, a skip) makes nothing stale; nor does an import.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, text

from curation_db.exporting.selection import newest_event, outcomes_at
from curation_db.words import State

_BORN = text("SELECT child_id FROM event WHERE seq > :seq AND child_id IS NOT NULL")


@dataclass(frozen=True, slots=True)
class Drift:
    """What happened to a set's selection since it was frozen."""

    entered: int = 0
    """Pairs that would be new in it."""
    left: int = 0
    """Pairs that would no longer be in it."""

    @property
    def stale(self) -> bool:
        """Whether a set frozen now would hold other pairs."""
        return self.entered + self.left > 0


def drift_since(connection: Connection, event_seq: int, states: Collection[State]) -> Drift:
    """How the pairs in `states` differ between the event `event_seq` and now; costs what happened in between."""
    born = {row.child_id for row in connection.execute(_BORN, {"seq": event_seq})}
    before = {number: o.state in states for number, o in outcomes_at(connection, event_seq, since=event_seq)}
    entered = left = 0
    untouched = set(born)
    for number, outcome in outcomes_at(connection, newest_event(connection), since=event_seq):
        untouched.discard(number)
        was = before.get(number, State.OPEN in states and number not in born)
        entered += outcome.state in states and not was
        left += was and outcome.state not in states
    if State.OPEN in states:
        entered += len(untouched)  # what an edit made and nobody has decided about yet
    return Drift(entered, left)
