"""Prefetch of the next cards in a daemon thread, so that no key press waits for the disk or an image decoder.

The thread claims, loads and decodes cards, and renews the leases of the shown and the prepared ones. If the process is
killed, the next session or the end of the lease frees its cards. The thread is no Textual worker, since a blocked
worker keeps the app from exiting.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from curation_db.errors import RecordError
from curation_db.queue.claims import Claim, Queue
from curation_db.queue.leases import Clock
from workbench.annotation.models import CLOCK_CHECK_SECONDS, DEPTH, PreparedCard

_RETRY_SECONDS = 2.0
REST_SECONDS = 0.25
"""Longest pause of the thread after a key or after a card was taken, if others are ready. It ends once the screen has
drawn the card: Python runs one thread at a time, so that work of this one would delay the drawing."""
_MAX_SERVED_AGAIN = 200
_MOST_IMAGES = 8
"""Prepared cards that keep their images, after undos."""


class CardPrefetcher:
    """Buffer of prepared cards, in the order of the queue."""

    def __init__(
        self,
        queue: Queue,
        load: Callable[[Claim], PreparedCard | None],
        *,
        on_change: Callable[[], None],
        prepare: Callable[[PreparedCard], None] = lambda _ready: None,
        depth: int = DEPTH,
        lease_seconds: float,
        clock: Clock = time.time,
        clock_check_seconds: float = CLOCK_CHECK_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._load = load
        self._prepare = prepare
        """Called for a card, except while the annotator is about as fast as this thread."""
        self._on_change = on_change
        self._depth = depth
        self._renew_every = lease_seconds / 3
        self._clock = clock
        """The clock of the leases."""
        self._clock_check_seconds = clock_check_seconds
        self._monotonic = monotonic
        """The clock of the pauses."""
        self._renewed_at = clock()
        self._retry_at = 0.0
        self._rest_until = 0.0
        self._change = threading.Condition()
        self._cards: deque[PreparedCard] = deque()
        self._doubtful: deque[PreparedCard] = deque()
        """Prepared cards whose lease was lost; each is leased again or dropped."""
        self._claimed: Claim | None = None
        """Claimed and not loaded yet; kept after an error of the record, since its card would be missed otherwise."""
        self._loading: int | None = None
        """The candidate that is being loaded; `discard` clears it."""
        self._revisit = False
        self._served: set[int] = set()
        """The candidates that were claimed since the last `resume`."""
        self._served_again: list[int] = []
        """Claimed a second time since then; released at the end of the queue."""
        self._closing = self._started = False
        self._thread = threading.Thread(target=self._run, name="negwb-prefetch", daemon=True)
        self.current_id: int | None = None
        """The shown candidate, if it is leased; its lease is renewed, too."""
        self.exhausted = False
        """Whether the queue has no further card for this annotator now."""
        self.problem: str | None = None
        """The error of the record that blocks the next cards; the thread tries again by itself."""
        self.failure: Exception | None = None
        """The unexpected error that ended the thread; the front end raises it."""

    def start(self) -> None:
        """Start the thread. A second call does nothing."""
        if not (self._started or self._closing):
            self._started = True
            self._thread.start()

    def close(self, timeout: float = 2.0) -> None:
        """Stop the thread; wait at most `timeout` seconds for a card that is being loaded."""
        with self._change:
            self._closing = True
            self._change.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def take(self) -> PreparedCard | None:
        """Return the next card and remove it; None: no card is ready yet, or `exhausted`."""
        with self._change:
            ready = self._cards.popleft() if self._cards else None
            if ready is not None:
                self._rest_until = self._monotonic() + REST_SECONDS
            self._change.notify_all()
        return ready

    def rest(self) -> None:
        """Leave the processor to a key: begin no work until its card is drawn, unless no card is ready."""
        with self._change:
            self._rest_until = self._monotonic() + REST_SECONDS

    def end_rest(self) -> None:
        """Prepare cards again: the taken one is drawn."""
        with self._change:
            self._rest_until = 0.0
            self._change.notify_all()

    def requeue_front(self, ready: PreparedCard) -> None:
        """Put a card in front of the others; only the first ones keep their images.

        After hundreds of undos as many cards wait here, and decoding an image again is cheap.
        """
        with self._change:
            self._cards.appendleft(ready)
            if len(self._cards) > _MOST_IMAGES:
                self._cards[_MOST_IMAGES] = replace(self._cards[_MOST_IMAGES], thumbnail=None)

    def recheck(self, ready: PreparedCard) -> None:
        """Return a taken card whose lease may be lost; the thread leases and loads it again, or drops it."""
        with self._change:
            self._doubtful.append(ready)
            self.exhausted = False
            self._change.notify_all()

    def discard(self, candidate_id: int) -> None:
        """Drop this card, which was decided or is shown already."""
        with self._change:
            self._cards = deque(ready for ready in self._cards if ready.card.candidate_id != candidate_id)
            self._doubtful = deque(ready for ready in self._doubtful if ready.card.candidate_id != candidate_id)
            if self._loading == candidate_id:
                self._loading = None
            self._change.notify_all()

    def resume(self, *, revisit: bool | None = None) -> None:
        """Claim again after the queue was exhausted.

        Args:
            revisit: From now on, also claim cards that the annotator skipped or was unsure about; None: as before.
        """
        with self._change:
            self._revisit = self._revisit if revisit is None else revisit
            self._served.clear()
            self.exhausted = False
            self._change.notify_all()

    def leased_ids(self) -> list[int]:
        """Return the shown and the prepared candidates, whose leases are renewed."""
        with self._change:
            ids = [ready.card.candidate_id for ready in self._cards]
            return ids if self.current_id is None else [self.current_id, *ids]

    def claimed_ids(self) -> list[int]:
        """Return `leased_ids` and the candidate that is being loaded."""
        with self._change:
            return self.leased_ids() if self._loading is None else [*self.leased_ids(), self._loading]

    def upcoming(self) -> list[PreparedCard]:
        """Return the prepared cards, the next one first."""
        with self._change:
            return list(self._cards)

    @property
    def prepared(self) -> int:
        with self._change:
            return len(self._cards)

    def step(self) -> None:
        """Do what is due: renew leases, recheck a doubtful card, prepare at most one card."""
        try:
            self._renew_when_due()
            self._recheck_doubtful()
            self._prepare_one()
        except RecordError as error:
            self._retry_at = self._monotonic() + _RETRY_SECONDS
            self._report(problem=error.message)

    def _run(self) -> None:
        while self._wait_for_work():
            try:
                self.step()
            except Exception as error:  # the front end raises it
                self.failure = error
                self._on_change()
                return

    def _wants_card(self) -> bool:
        now = self._monotonic()
        due = now >= self._retry_at and (now >= self._rest_until or not self._cards)
        return due and not self.exhausted and len(self._cards) < self._depth

    def _must_renew(self) -> bool:
        """Return whether a card is doubtful or the renewal is due, and no error blocks the record."""
        if self._monotonic() < self._retry_at:
            return False
        return bool(self._doubtful) or self.renewal_is_due()

    def renewal_is_due(self) -> bool:
        """Return whether a third of the lease time has passed since the last renewal, or the clock was set back."""
        return not 0 <= self._clock() - self._renewed_at < self._renew_every

    def _wait_for_work(self) -> bool:
        """Wait until something is due; return False at the end of the session."""
        with self._change:
            while not (self._closing or self._wants_card() or self._must_renew()):
                now = self._monotonic()
                pauses = [at - now for at in (self._retry_at, self._rest_until) if at > now]
                renewal = max(self._renewed_at + self._renew_every - self._clock(), self._retry_at - now)
                self._change.wait(max(0.01, min(self._clock_check_seconds, renewal, *pauses)))
            return not self._closing

    def _renew_when_due(self) -> None:
        """Renew all leases, and drop the prepared cards that another annotator holds now."""
        if not self.renewal_is_due():
            return
        now, ids = self._clock(), self.leased_ids()
        lost = set(ids) - self._queue.renew(ids)
        with self._change:
            self._renewed_at = now
            self._cards = deque(ready for ready in self._cards if ready.card.candidate_id not in lost)

    def _recheck_doubtful(self) -> None:
        """Lease and load a doubtful card again; drop it if another annotator holds it."""
        with self._change:
            if not self._doubtful:
                return
            ready = self._doubtful[0]
            self._loading = candidate_id = ready.card.candidate_id
        again = (
            self._load(Claim(candidate_id, ready.stream, second_look=ready.second_look))
            if candidate_id in self._queue.renew([candidate_id])
            else None
        )
        if again is not None and not again.asked:
            self._queue.release([candidate_id])
        with self._change:
            self._doubtful = deque(other for other in self._doubtful if other is not ready)
        self._add(candidate_id, again)

    def _prepare_one(self) -> None:
        with self._change:
            if not self._wants_card():
                return
        if self._claimed is None and not self._claim():
            return
        claim = self._claimed
        assert claim is not None
        with self._change:
            self._loading = claim.candidate_id
        ready = self._load(claim)
        if ready is not None and self._has_time():
            self._prepare(ready)
        self._claimed = None
        self._add(claim.candidate_id, ready)

    def _has_time(self) -> bool:
        """Return whether a card is shown, no key waits, and only one more card is to be loaded."""
        with self._change:
            is_filled = len(self._cards) + 1 >= self._depth
        return is_filled and self.current_id is not None and self._monotonic() >= self._rest_until

    def _claim(self) -> bool:
        """Claim a card; return False if the queue has none, or only one that was served since the last `resume`."""
        claims = self._queue.claim(1, revisit=self._revisit)
        if not claims:
            self._end_of_queue()
        elif self._revisit and claims[0].candidate_id in self._served and len(self._served_again) < _MAX_SERVED_AGAIN:
            self._served_again.append(claims[0].candidate_id)  # set aside again: serve it once
        else:
            self._claimed = claims[0]
            self._served.add(claims[0].candidate_id)
        return self._claimed is not None

    def _add(self, candidate_id: int, ready: PreparedCard | None) -> None:
        with self._change:
            is_wanted = self._loading == candidate_id
            self._loading = None
            # A redo or another annotator may have settled it while it was loaded.
            if is_wanted and ready is not None and ready.asked:
                self._cards.append(ready)
        self._report(problem=None)

    def _end_of_queue(self) -> None:
        if self._served_again:
            self._queue.release(self._served_again)
            self._served_again = []
        with self._change:
            self.exhausted = not self._doubtful
        self._report(problem=None)

    def _report(self, *, problem: str | None) -> None:
        self.problem = problem
        self._on_change()
