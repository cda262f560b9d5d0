"""The deck: the next few cards, kept ready by one daemon thread so that no key ever waits for a disk or a decoder.

The thread claims, loads and decodes; it also renews the leases of all cards in hand. It never decides anything. A
card it holds is leased to this session, so dying costs nothing: the next session, or time, frees it. No Textual worker
is used: one that blocks would keep the app from exiting.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from curation_db.errors import RecordError
from curation_db.queue.claims import Claim, Queue
from curation_db.queue.leases import Clock
from workbench.annotation.models import CLOCK_CHECK_SECONDS, DEPTH, PreparedCard

_RETRY_SECONDS = 2.0
REST_SECONDS = 0.06
"""After a card was taken the thread rests so long, while others are ready: the card is being painted, and every
millisecond of Python here is one that the painting waits for. Measured: 6 of 43 ms from the key to the card."""
_MOST_ASIDE = 200


class CardPrefetcher:
    """Cards that are ready to be shown, in order."""

    def __init__(
        self,
        queue: Queue,
        load: Callable[[Claim], PreparedCard | None],
        *,
        on_change: Callable[[], None],
        depth: int = DEPTH,
        lease_seconds: float,
        clock: Clock = time.time,
        clock_check_seconds: float = CLOCK_CHECK_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._load = load
        self._on_change = on_change
        self._depth = depth
        self._renew_every = lease_seconds / 3
        self._clock = clock
        """The leases' clock."""
        self._clock_check_seconds = clock_check_seconds
        self._monotonic = monotonic
        """Measures pauses within the session."""
        self._renewed_at = clock()
        self._retry_at = 0.0
        self._rest_until = 0.0
        self._change = threading.Condition()
        self._cards: deque[PreparedCard] = deque()
        self._doubtful: deque[PreparedCard] = deque()
        """Prepared cards whose lease was lost: each is taken again or dropped."""
        self._claimed: Claim | None = None
        """Taken from the queue and not loaded yet; kept while the record is in trouble, or its card would be lost."""
        self._on_its_way: int | None = None
        """The candidate that is being loaded; `discard` clears it."""
        self._revisit = False
        self._dealt: set[int] = set()
        """What this round of going through passed cards has served already."""
        self._aside: list[int] = []
        self._closing = self._started = False
        self._thread = threading.Thread(target=self._run, name="negwb-deck", daemon=True)
        self.current_id: int | None = None
        """The leased card that is being shown; its lease is renewed too."""
        self.exhausted = False
        """The queue has nothing more for this person now."""
        self.trouble: str | None = None
        """What keeps the next cards from coming, in one line; the deck tries again by itself."""
        self.failure: Exception | None = None
        """A bug of ours ended the thread; for the screen to raise."""

    def start(self) -> None:
        """Begin to deal, once."""
        if not (self._started or self._closing):
            self._started = True
            self._thread.start()

    def close(self, timeout: float = 2.0) -> None:
        """Stop dealing; waits a little for a card that is being loaded, never for long."""
        with self._change:
            self._closing = True
            self._change.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def take(self) -> PreparedCard | None:
        """The next card; None: not there yet, or `exhausted`."""
        with self._change:
            ready = self._cards.popleft() if self._cards else None
            if ready is not None:
                self._rest_until = self._monotonic() + REST_SECONDS
            self._change.notify_all()
        return ready

    def requeue_front(self, ready: PreparedCard) -> None:
        """Put a card in front of the others: it is the next one again."""
        with self._change:
            self._cards.appendleft(ready)

    def look_again_at(self, ready: PreparedCard) -> None:
        """A card that was taken from the deck cannot be shown as it is: take it again where that is possible."""
        with self._change:
            self._doubtful.append(ready)
            self.exhausted = False
            self._change.notify_all()

    def discard(self, candidate_id: int) -> None:
        """Never show this card from the deck: it was settled or is shown in another way."""
        with self._change:
            self._cards = deque(ready for ready in self._cards if ready.card.candidate_id != candidate_id)
            self._doubtful = deque(ready for ready in self._doubtful if ready.card.candidate_id != candidate_id)
            if self._on_its_way == candidate_id:
                self._on_its_way = None
            self._change.notify_all()

    def resume(self, *, revisit: bool | None = None) -> None:
        """Ask the queue again after it was exhausted; `revisit`: from now on also what the person passed on."""
        with self._change:
            self._revisit = self._revisit if revisit is None else revisit
            self._dealt.clear()
            self.exhausted = False
            self._change.notify_all()

    def held(self) -> list[int]:
        """The candidates whose leases this sitting wants to keep."""
        with self._change:
            numbers = [ready.card.candidate_id for ready in self._cards]
            return numbers if self.current_id is None else [self.current_id, *numbers]

    def coming(self) -> list[int]:
        """Those, and the one that is being loaded."""
        with self._change:
            return self.held() if self._on_its_way is None else [*self.held(), self._on_its_way]

    @property
    def prepared(self) -> int:
        """The number of cards that `take` would return now."""
        with self._change:
            return len(self._cards)

    def step(self) -> None:
        """Do what is due now: renew leases, take a doubtful card again, prepare at most one card."""
        try:
            self._renew_when_due()
            self._settle_doubt()
            self._deal_one()
        except RecordError as error:
            self._retry_at = self._monotonic() + _RETRY_SECONDS
            self._say(trouble=error.message)

    def _run(self) -> None:
        while self._wait_for_work():
            try:
                self.step()
            except Exception as error:  # nobody would see it here: the screen raises it
                self.failure = error
                self._on_change()
                return

    def _wants_card(self) -> bool:
        now = self._monotonic()
        due = now >= self._retry_at and (now >= self._rest_until or not self._cards)
        return due and not self.exhausted and len(self._cards) < self._depth

    def _must_see_to_leases(self) -> bool:
        """Whether cards are to be taken again, a third of the leases' length has passed, or the clock was set back."""
        if self._monotonic() < self._retry_at:
            return False
        return bool(self._doubtful) or self.renewal_is_due()

    def renewal_is_due(self) -> bool:
        """Whether a third of the leases' length has passed since the last renewal, or the clock was set back."""
        return not 0 <= self._clock() - self._renewed_at < self._renew_every

    def _wait_for_work(self) -> bool:
        """Wait for something to do; False: the sitting is over."""
        with self._change:
            while not (self._closing or self._wants_card() or self._must_see_to_leases()):
                now = self._monotonic()
                pauses = [at - now for at in (self._retry_at, self._rest_until) if at > now]
                renewal = max(self._renewed_at + self._renew_every - self._clock(), self._retry_at - now)
                self._change.wait(max(0.01, min(self._clock_check_seconds, renewal, *pauses)))
            return not self._closing

    def _renew_when_due(self) -> None:
        """Renew all leases. A card behind the shown one that is somebody else's now is dropped."""
        if not self.renewal_is_due():
            return
        now, wanted = self._clock(), self.held()
        lost = set(wanted) - self._queue.renew(wanted)
        with self._change:
            self._renewed_at = now
            self._cards = deque(ready for ready in self._cards if ready.card.candidate_id not in lost)

    def _settle_doubt(self) -> None:
        """Take a doubtful card again, and read it anew; drop it where it cannot be had."""
        with self._change:
            if not self._doubtful:
                return
            ready = self._doubtful[0]
            self._on_its_way = number = ready.card.candidate_id
        again = self._load(Claim(number, ready.stream)) if number in self._queue.renew([number]) else None
        if again is not None and not again.asked:
            self._queue.release([number])
        with self._change:
            self._doubtful = deque(each for each in self._doubtful if each is not ready)
        self._hand_over(number, again)

    def _deal_one(self) -> None:
        with self._change:
            if not self._wants_card():
                return
        if self._claimed is None and not self._claim():
            return
        claim = self._claimed
        assert claim is not None
        with self._change:
            self._on_its_way = claim.candidate_id
        ready = self._load(claim)
        self._claimed = None
        self._hand_over(claim.candidate_id, ready)

    def _claim(self) -> bool:
        """Take a card from the queue; False: there is none, or it was served in this round already."""
        claims = self._queue.claim(1, revisit=self._revisit)
        if not claims:
            self._end_of_queue()
        elif self._revisit and claims[0].candidate_id in self._dealt and len(self._aside) < _MOST_ASIDE:
            self._aside.append(claims[0].candidate_id)  # passed on again in this round: once is enough
        else:
            self._claimed = claims[0]
            self._dealt.add(claims[0].candidate_id)
        return self._claimed is not None

    def _hand_over(self, candidate_id: int, ready: PreparedCard | None) -> None:
        with self._change:
            wanted = self._on_its_way == candidate_id
            self._on_its_way = None
            # A redo, or somebody else, may have settled it between the claim and the loading.
            if wanted and ready is not None and ready.asked:
                self._cards.append(ready)
        self._say(trouble=None)

    def _end_of_queue(self) -> None:
        if self._aside:
            self._queue.release(self._aside)
            self._aside = []
        with self._change:
            self.exhausted = not self._doubtful
        self._say(trouble=None)

    def _say(self, *, trouble: str | None) -> None:
        self.trouble = trouble
        self._on_change()
