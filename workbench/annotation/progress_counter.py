"""Progress and speed of one session: updated with each decision, read from the record at the start and after undo."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curation_db.enums import Kind, State
from curation_db.events import event_log
from curation_db.events.hasty import HASTY_MS, JUDGING_KINDS
from curation_db.search import queries
from curation_db.stats.decision_speed import AnnotationSpeed, own_speed

if TYPE_CHECKING:
    from curation_db.review.decisions import DecisionResult
    from curation_db.storage.store import Store

_MIN_TIMED_DECISIONS = 3
"""Before a speed is shown."""
STREAK = 6


@dataclass(frozen=True, slots=True)
class ThroughputSnapshot:
    """The progress and the speed that the status line shows."""

    decided: int = 0
    """Candidates of the workspace in a settled state."""
    total: int = 0
    per_hour: int | None = None
    """The annotator's decisions per hour of active time (`curation_db.stats.decision_speed`); None: too few yet."""
    streak: tuple[Kind, ...] = ()
    """The annotator's last decisions, oldest first."""
    hasty: bool = False
    """The last decision came sooner than the image can be seen."""


class ThroughputMeter:
    """Speed and last decisions of one annotator. Pure; the caller passes the times."""

    def __init__(self) -> None:
        self.speed = AnnotationSpeed()
        """Over all decisions of the annotator, not only those of this session."""
        self.streak: deque[Kind] = deque(maxlen=STREAK)
        self.hasty = False
        """True from the first decision of a burst that came too soon until one that did not, to warn once a burst."""

    def decided(self, kind: Kind, elapsed_ms: int, *, first_look: bool = False) -> None:
        """Count a decision.

        Args:
            kind: The decision. A skip is never too soon.
            elapsed_ms: The dwell time on the card, as the event stores it.
            first_look: The annotator had not seen the image before. Only then can a decision be too soon.
        """
        if kind in JUDGING_KINDS:
            self.hasty = first_look and elapsed_ms < HASTY_MS
        self.speed = self.speed.after(elapsed_ms)
        self.streak.append(kind)

    @property
    def per_hour(self) -> int | None:
        """Decisions per hour of active time."""
        rate = self.speed.per_hour
        return None if rate is None or self.speed.timed_decisions < _MIN_TIMED_DECISIONS else round(rate)


class ProgressCounter:
    """Progress of the workspace and speed of one annotator."""

    def __init__(self, store: Store, actor: str) -> None:
        self._store = store
        self._actor = actor
        self._meter = ThroughputMeter()
        self._decided, self._total = 0, 0

    @property
    def progress(self) -> ThroughputSnapshot:
        """The current numbers."""
        return ThroughputSnapshot(
            self._decided, self._total, self._meter.per_hour, tuple(self._meter.streak), self._meter.hasty
        )

    def decided(self, kind: Kind, elapsed_ms: int, before: State, result: DecisionResult, *, first_look: bool) -> None:
        """Count a decision about a card whose state was `before` (see `ThroughputMeter.decided`)."""
        self._meter.decided(kind, elapsed_ms, first_look=first_look)
        if result.child_id is not None:  # the child replaces its parent; it is settled if the edit was its accept
            self._count()
        elif result.known is None:  # the answer to a gold item settles nothing
            self._decided += (result.status.state in queries.SETTLED) - (before in queries.SETTLED)

    def start(self) -> None:
        """Read the progress and the annotator's speed from the record."""
        with self._store.read() as connection:
            self._meter.speed = own_speed(connection, self._actor)
        self.recount()

    def recount(self) -> None:
        """Read the progress and the last decisions from the record."""
        self._count()
        with self._store.read() as connection:
            last = event_log.decisions_before(connection, self._actor, None, STREAK)
        self._meter.streak.clear()
        self._meter.streak.extend(past.kind for past in reversed(last))

    def count_total(self) -> None:
        """Read the number of candidates from the record; may run beside other calls."""
        with self._store.read() as connection:
            states = queries.counts(connection)
        self._total = sum(states.values()) - states.get(State.SUPERSEDED, 0)

    def _count(self) -> None:
        with self._store.read() as connection:
            states = queries.counts(connection)
        self._decided = sum(number for state, number in states.items() if state in queries.SETTLED)
        self._total = sum(states.values()) - states.get(State.SUPERSEDED, 0)
