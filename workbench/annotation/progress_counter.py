"""Progress and speed of one session: updated with each decision, read from the record at the start and after undo.

Three counts, defined here once:

* own: candidates with a decision of this session and its annotator in force. A skip is no decision; an edit and the
  accept of its text are one; a bulk decision counts each of its candidates; so does an adjudication.
* all: settled candidates (accepted, rejected, contested) of all candidates, without replaced ones.
* audit: the same, of the audit set alone.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curation_db.enums import Kind, State
from curation_db.events import event_log
from curation_db.events.annotators import Actor
from curation_db.events.hasty import HASTY_MS, JUDGING_KINDS
from curation_db.search import queries
from curation_db.search.overview import last_seq
from curation_db.stats.decision_speed import AnnotationSpeed, own_speed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from curation_db.review.decisions import DecisionResult, StateChange
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
    own: int = 0
    """Candidates that the annotator has decided in this session."""
    audit: tuple[int, int] | None = None
    """Settled candidates of the audit set, and all of them; None: not counted, since the session serves none."""


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
    """Progress of the workspace, and own decisions and speed of one annotator."""

    def __init__(self, store: Store, actor: Actor, *, counts_audit: bool = False) -> None:
        self._store = store
        self._actor = actor
        self._counts_audit = counts_audit
        self._meter = ThroughputMeter()
        self._decided, self._total = 0, 0
        self._audit_decided, self._audit_total = 0, 0
        self._own: set[int] = set()
        self._since = 0
        """The newest event when the session started."""

    @property
    def progress(self) -> ThroughputSnapshot:
        """The current numbers."""
        return ThroughputSnapshot(
            self._decided,
            self._total,
            self._meter.per_hour,
            tuple(self._meter.streak),
            self._meter.hasty,
            len(self._own),
            (self._audit_decided, self._audit_total) if self._counts_audit else None,
        )

    def decided(
        self, kind: Kind, elapsed_ms: int, before: State, result: DecisionResult, *, first_look: bool, audit: bool
    ) -> None:
        """Count a decision about a card whose state was `before` (see `ThroughputMeter.decided`).

        Args:
            audit: The candidate is of the audit set.
        """
        self._meter.decided(kind, elapsed_ms, first_look=first_look)
        if kind is not Kind.SKIP:
            self._own.add(result.candidate_id)
        if result.child_id is not None:  # the child replaces its parent; it is settled if the edit was its accept
            self._apply(result.changes)
        elif result.known is None:  # the answer to a gold item settles nothing
            change = (result.status.state in queries.SETTLED) - (before in queries.SETTLED)
            self._decided += change
            self._audit_decided += change if audit else 0

    def start(self) -> None:
        """Read the progress and the annotator's speed from the record."""
        with self._store.read() as connection:
            self._since = last_seq(connection)
            self._meter.speed = own_speed(connection, self._actor.name)
        self.recount()

    def reversed(self, result: DecisionResult) -> None:
        """Count the undo or redo of an action on one card."""
        if result.changes:
            self._apply(result.changes)
        else:  # a bulk decision about one card
            self._count()
        self._read_own({result.candidate_id})

    def recount(self) -> None:
        """Read the progress and the last decisions from the record: 1 s with a million candidates."""
        self._count()
        self._read_own(None)

    def _apply(self, changes: Iterable[StateChange]) -> None:
        for change in changes:
            settled = (change.after in queries.SETTLED) - (change.before in queries.SETTLED)
            counted = (change.after != State.SUPERSEDED) - (change.before not in {None, State.SUPERSEDED})
            self._decided += settled
            self._total += settled if change.gold else counted  # an unsettled gold item waits for no decision
            if change.audit:
                self._audit_decided += settled
                self._audit_total += counted

    def _read_own(self, changed: Collection[int] | None) -> None:
        """Read the annotator's last decisions.

        Args:
            changed: The candidates whose own decisions may have changed; None: any.
        """
        with self._store.read() as connection:
            last = event_log.decisions_before(connection, self._actor.name, None, STREAK)
            own = queries.session_candidates(
                connection, self._actor.name, self._actor.session, since=self._since, among=changed
            )
        self._own = own if changed is None else (self._own - set(changed)) | own
        self._meter.streak.clear()
        self._meter.streak.extend(past.kind for past in reversed(last))

    def count_total(self) -> None:
        """Read the number of candidates from the record; may run beside other calls."""
        with self._store.read() as connection:
            states = queries.counts(connection)
        self._total = sum(states.values()) - states.get(State.SUPERSEDED, 0)

    def _count(self) -> None:
        with self._store.read() as connection:
            self._decided, self._total = _settled(queries.counts(connection))
            if self._counts_audit:
                self._audit_decided, self._audit_total = _settled(queries.audit_counts(connection))


def _settled(states: Mapping[State, int]) -> tuple[int, int]:
    """Return the number of settled candidates, and of all that are not replaced."""
    settled = sum(number for state, number in states.items() if state in queries.SETTLED)
    return settled, sum(states.values()) - states.get(State.SUPERSEDED, 0)
