"""Staleness of exports: whether the same export would contain other pairs now.

An export is stale when, since its event, some pair entered or left the states that it selects. A decision that changes
no state (a second accept, a note, a skip) makes no export stale. An import only does so for an export of open
candidates.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, text

from curation_db.enums import State
from curation_db.events import event_clock
from curation_db.exporting.selection import DecidedCandidate, edited_candidates, outcomes_at

# `since` grows with the id: a search from the end costs only the new candidates
_LATE = text("""
    SELECT id FROM candidate WHERE since > :seq AND id >
        coalesce((SELECT id FROM candidate WHERE since <= :seq ORDER BY id DESC LIMIT 1), 0)
""")


@dataclass(frozen=True, slots=True)
class Drift:
    """How an export's selection changed since the export."""

    entered: int = 0
    """Pairs that an export now would add."""
    left: int = 0
    """Pairs that an export now would drop."""

    @property
    def stale(self) -> bool:
        """Whether an export now would contain other pairs."""
        return self.entered + self.left > 0


def drift_since(
    connection: Connection, event_seq: int, states: Collection[State], *, edits: bool = True, hasty: bool = True
) -> Drift:
    """Return how the pairs in `states` differ between the event `event_seq` and now.

    The cost grows with the events in between. `edits` and `hasty` are the fields of the export's `ExportFilter`.
    """
    ignored = set() if edits else edited_candidates(connection)
    late = {row.id for row in connection.execute(_LATE, {"seq": event_seq})} if State.OPEN in states else set()

    def holds(outcome: DecidedCandidate) -> bool:
        return outcome.state in states and (hasty or not outcome.hasty)

    before = {number: holds(outcome) for number, outcome in outcomes_at(connection, event_seq, since=event_seq)}
    entered = left = 0
    untouched = late - ignored
    until = event_clock.current_seq(connection, (event_clock.Arrival.OVERLAPS,))
    for number, outcome in outcomes_at(connection, until, since=event_seq):
        untouched.discard(number)
        if number in ignored:
            continue
        was = before.get(number, State.OPEN in states and number not in late)
        entered += holds(outcome) and not was
        left += was and not holds(outcome)
    return Drift(entered + len(untouched), left)  # candidates without a decision are open
