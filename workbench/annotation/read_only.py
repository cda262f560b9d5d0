"""A session that only reads: it serves the cards of the queue without leases, and writes nothing, not even itself."""

from __future__ import annotations

from curation_db.enums import Role
from curation_db.events.annotators import Actor, annotator_ids, known_spelling
from curation_db.queue.preview import QueuePreview
from curation_db.storage.store import Store
from workbench.annotation.models import CardOrigin
from workbench.annotation.session import AnnotationSession

_NO_ANNOTATOR = 0
"""Id of an annotator that the record does not have."""


def reader(store: Store, name: str) -> Actor:
    """Return the annotator for a session that is not stored; a new name stays unknown to the record."""
    with store.read() as connection:
        name = known_spelling(connection, name)
        number = annotator_ids(connection, {name}).get(name, _NO_ANNOTATOR)
    return Actor(name, number, Role.ANNOTATOR, "")


class ReadOnlySession(AnnotationSession):
    """Its keys lead forward and back through the cards; the record refuses anything else."""

    QUEUE = QueuePreview

    def start(self, *, prefetch: bool = True) -> None:
        """Count the progress and start to read cards; no priority is refreshed."""
        if prefetch:
            self.start_prefetch()
        self._counter.start()
        self._before: list[int] = []
        self._after: list[int] = []

    def look_forward(self) -> bool:
        """Show the next card."""
        if self.current is None:
            return False
        self._before.append(self.current.card.candidate_id)
        self._card.clear()
        if self._after:
            self._show(self._after.pop())
        else:
            self.current_card()
        return True

    def look_back(self) -> bool:
        """Show the card before this one; return False at the first card."""
        if not self._before:
            return False
        if self.current is not None:
            self._after.append(self.current.card.candidate_id)
        self._card.clear()
        self._show(self._before.pop())
        return True

    def open(self, candidate_id: int) -> None:
        """Show this candidate; the current one comes before it."""
        if self.current is not None and self.current.card.candidate_id != candidate_id:
            self._before.append(self.current.card.candidate_id)
            self._card.clear()
        self._prefetcher.discard(candidate_id)
        self._show(candidate_id)

    def _show(self, candidate_id: int) -> None:
        self._card.load(candidate_id, CardOrigin.QUEUE, leased=False)
