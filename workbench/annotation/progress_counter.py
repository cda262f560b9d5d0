"""The tally: how much of the work is decided, at what pace, and the last decisions. Counted along, not counted anew.

Reads the record where counting along is not enough: at the start, after an edit, after undo and redo.
"""

from __future__ import annotations

from curation_db.enums import Kind, State
from curation_db.events import event_log
from curation_db.review.decisions import DecisionResult
from curation_db.search import queries
from curation_db.stats.decision_speed import own_speed
from curation_db.storage.store import Store
from workbench.annotation.throughput import STREAK, ThroughputMeter, ThroughputSnapshot


class ProgressCounter:
    """One person's progress in one sitting."""

    def __init__(self, store: Store, actor: str) -> None:
        self._store = store
        self._actor = actor
        self._pace = ThroughputMeter()
        self._decided, self._total = 0, 0

    @property
    def progress(self) -> ThroughputSnapshot:
        """Where the work stands."""
        return ThroughputSnapshot(
            self._decided, self._total, self._pace.per_hour, tuple(self._pace.streak), self._pace.hasty
        )

    def decided(self, kind: Kind, elapsed_ms: int, before: State, done: DecisionResult, *, first_look: bool) -> None:
        """A decision after looking for so long at a card whose state was `before`; `first_look`: see
        `ThroughputMeter`."""
        self._pace.decided(kind, elapsed_ms, first_look=first_look)
        if done.child_id is not None:  # the child takes its parent's place; decided where the edit was its accept
            self._count()
        elif done.known is None:  # an answer that is known anyway settles nothing
            self._decided += (done.status.state in queries.SETTLED) - (before in queries.SETTLED)

    def start(self) -> None:
        """Count where things stand, and this person's speed so far."""
        with self._store.read() as connection:
            self._pace.speed = own_speed(connection, self._actor)
        self.recount()

    def recount(self) -> None:
        """Count where things stand, and read the last decisions."""
        self._count()
        with self._store.read() as connection:
            last = event_log.decisions_before(connection, self._actor, None, STREAK)
        self._pace.streak.clear()
        self._pace.streak.extend(past.kind for past in reversed(last))

    def _count(self) -> None:
        with self._store.read() as connection:
            states = queries.counts(connection)
        self._decided = sum(number for state, number in states.items() if state in queries.SETTLED)
        self._total = sum(states.values()) - states.get(State.SUPERSEDED, 0)
