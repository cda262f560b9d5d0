"""The card that is shown, and the earlier decisions that the annotator has gone back to."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from curation_db.errors import RecordError
from curation_db.search import queries
from workbench.annotation.models import CardOrigin, PreparedCard

if TYPE_CHECKING:
    from curation_db.events.event_log import PreviousDecision
    from curation_db.queue.claims import Queue
    from curation_db.storage.store import Store
    from workbench.annotation.dwell_time import DwellTimer
    from workbench.annotation.loader import CardLoader
    from workbench.annotation.prefetch import CardPrefetcher


class CurrentCard:
    """Holds the shown card, renews its lease through the prefetch buffer, and starts and stops its dwell time."""

    def __init__(
        self, store: Store, queue: Queue, prefetcher: CardPrefetcher, loader: CardLoader, dwell_timer: DwellTimer
    ) -> None:
        self._store = store
        self._queue = queue
        self._prefetcher = prefetcher
        self._loader = loader
        self._dwell_timer = dwell_timer
        self.ready: PreparedCard | None = None
        """None: no card is shown."""
        self.zoomed = False
        """Whether the annotator has zoomed into the image."""
        self.after_undo = False
        """Whether an undo showed the card again."""

    @property
    def candidate_id(self) -> int | None:
        """None: no card is shown."""
        return self.ready.card.candidate_id if self.ready is not None else None

    @property
    def seen_before(self) -> bool:
        """Whether the annotator has just gone back to the card; at a second look they have to read it anew."""
        if self.ready is None:
            return False
        return self.after_undo or (self.ready.past is not None and not self.ready.second_look)

    def require(self) -> PreparedCard:
        """Return the card.

        Raises:
            RecordError: No card is shown.
        """
        if self.ready is None:
            raise RecordError("there is no card to decide about")
        return self.ready

    def show(self, ready: PreparedCard) -> None:
        """Show this card instead of the current one."""
        if ready.thumbnail is None:
            ready = replace(ready, thumbnail=self._loader.pictures.thumbnail(ready.card.picture, ready.path))
        self.ready = ready
        self._prefetcher.current_id = ready.card.candidate_id if ready.leased else None
        self.after_undo = False
        self.zoomed = False
        self._dwell_timer.turn_to(ready.card.candidate_id)

    def load(
        self, candidate_id: int, origin: CardOrigin, *, leased: bool, past: PreviousDecision | None = None
    ) -> None:
        """Read a card from the record and show it."""
        self.show(self._loader.load(candidate_id, origin=origin, leased=leased, past=past))

    def reload(self, **changed: object) -> None:
        """Read the card again; keep its image and its origin, and set the fields in `changed`."""
        ready = self.require()
        with self._store.read() as connection:
            card = self._loader.card(connection, ready.card.candidate_id, blind=ready.hidden)
        self.ready = replace(ready, card=card, **changed)  # type: ignore[arg-type]
        self._prefetcher.current_id = card.candidate_id if self.ready.leased else None

    def clear(self) -> None:
        self.ready = None
        self._dwell_timer.turn_to(None)
        self._prefetcher.current_id = None

    def put_aside(self) -> None:
        """Show no card, without a decision. A card of the queue becomes the next one; any other loses its lease."""
        ready = self.ready
        if ready is None:
            return
        self.clear()
        if ready.origin is CardOrigin.QUEUE and ready.leased:
            self._prefetcher.requeue_front(ready)
        elif ready.leased:
            self.release(ready.card.candidate_id)

    def release(self, candidate_id: int) -> None:
        """End a lease. If the record is busy, the lease expires by itself; the decision has been stored already."""
        with contextlib.suppress(RecordError):
            self._queue.release([candidate_id])


class BackHistory:
    """The annotator's earlier decisions that are shown again, the oldest last."""

    def __init__(self, store: Store, annotator: str) -> None:
        self._store = store
        self._annotator = annotator
        self._shown: list[PreviousDecision] = []

    def older(self, current: int | None) -> PreviousDecision | None:
        """Return the next older decision about a card that is neither `current` nor shown again already."""
        seen = {past.candidate_id for past in self._shown} | ({current} if current is not None else set())
        before = self._shown[-1].seq if self._shown else None
        with self._store.read() as connection:
            return queries.previous_own_decision(connection, self._annotator, before, seen)

    def add(self, past: PreviousDecision) -> None:
        """Add the decision that is shown now."""
        self._shown.append(past)

    def newer(self) -> PreviousDecision | None:
        """Drop the decision that is shown now, and return the next newer one; None: it was the newest."""
        if self._shown:
            self._shown.pop()
        return self._shown[-1] if self._shown else None

    def clear(self) -> None:
        """Start again at the newest decision."""
        self._shown.clear()
