"""Whether a frozen set is still what would be frozen today.

A set is stale when other pairs would be in it now: since its event some pair came into the states it was made of, or
left them. A decision that moves nothing (a second accept, a note, a skip) makes nothing stale; nor does an import,
unless it is a set of open candidates and there are more of them now.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, text

from curation_db.enums import State
from curation_db.events import event_clock
from curation_db.exporting.selection import DecidedCandidate, edits_of, outcomes_at

# marks grow with the ids: looking from the end costs what came in
_LATE = text("""
    SELECT id FROM candidate WHERE since > :seq AND id >
        coalesce((SELECT id FROM candidate WHERE since <= :seq ORDER BY id DESC LIMIT 1), 0)
""")


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


def drift_since(
    connection: Connection, event_seq: int, states: Collection[State], *, edits: bool = True, hasty: bool = True
) -> Drift:
    """How the pairs in `states` differ between the event `event_seq` and now; costs what happened in between.

    `edits`: of the set's selection; without them the texts that people wrote neither come nor go. `hasty`: too;
    without them a pair with a hasty decision in force is not in the set.
    """
    passed_over = set() if edits else edits_of(connection)
    late = {row.id for row in connection.execute(_LATE, {"seq": event_seq})} if State.OPEN in states else set()

    def holds(outcome: DecidedCandidate) -> bool:
        return outcome.state in states and (hasty or not outcome.hasty)

    before = {number: holds(outcome) for number, outcome in outcomes_at(connection, event_seq, since=event_seq)}
    entered = left = 0
    untouched = late - passed_over
    until = event_clock.current_seq(connection, (event_clock.Arrival.OVERLAPS,))
    for number, outcome in outcomes_at(connection, until, since=event_seq):
        untouched.discard(number)
        if number in passed_over:
            continue
        was = before.get(number, State.OPEN in states and number not in late)
        entered += holds(outcome) and not was
        left += was and not holds(outcome)
    return Drift(entered + len(untouched), left)  # nobody has decided about the untouched: they are open
