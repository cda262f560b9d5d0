"""Places for requests, handed out as the window allows; for one event loop."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from workbench.generation.engines.http.window import AdaptiveConcurrency, LoadSignal

MAX_PAUSES: Final = 7
"""Pauses in a row, each twice as long, after which nobody waits any longer: two minutes."""
BURST: Final = 4
SPACING_S: Final = 0.001
"""Seconds between two places. Without it requests that began together end together, and are worked on here in one
heap while the server waits for all of them: at 64 in flight and 200 ms a fifth of its time."""


class Limiter:
    """Hands out places. Whoever takes one gives it back, when the answer is in the record and not before."""

    def __init__(
        self, window: AdaptiveConcurrency, give_up: Callable[[], BaseException], *, pauses: int = MAX_PAUSES
    ) -> None:
        """`give_up` makes the error that everybody gets when nothing got through after `pauses` pauses."""
        self.window = window
        self.stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Ends with the error that stopped everything."""
        self._give_up = give_up
        self._pauses = pauses
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._alarm: asyncio.TimerHandle | None = None
        self._next = 0.0
        """When the next place may be handed out."""

    async def acquire(self, *, again: bool = False) -> None:
        """Wait for a place; `again`: for a question that was sent before, which goes first.

        Raises:
            Exception: the one that `stop` was told.
        """
        self._check()
        now = time.monotonic()
        if not self._waiting and self._may_send(now):
            self._sent(now)
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._waiting.appendleft if again else self._waiting.append)(place)
        self._hand_out()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self.release(LoadSignal.NONE)  # called off in the moment in which it got its place
            raise

    def release(self, signal: LoadSignal, wait: float = 0.0) -> None:
        """Give a place back and say how it went; `wait`: the server's Retry-After in seconds."""
        self.window.ended(signal, time.monotonic(), wait, wanted=bool(self._waiting))
        if self.window.pauses > self._pauses:
            self.stop(self._give_up())
        self._hand_out()

    async def sleep(self, seconds: float) -> None:
        """Sleep, holding no place; ends with the error when everything stops."""
        await asyncio.wait((self.stopped,), timeout=seconds)
        self._check()

    def stop(self, error: BaseException) -> None:
        """Nobody gets a place any more: whoever waits for one, or will, gets `error`. The first error counts."""
        if self.stopped.done():
            return
        self.stopped.set_exception(error)
        self.stopped.exception()  # seen: it is no error that nobody asks for it
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_exception(error)

    def close(self) -> None:
        """Forget the alarm."""
        if self._alarm is not None:
            self._alarm.cancel()

    def _check(self) -> None:
        if self.stopped.done():
            self.stopped.result()

    def _may_send(self, now: float) -> bool:
        return now >= self._next and self.window.may_send(now)

    def _sent(self, now: float) -> None:
        self.window.sent()
        self._next = max(self._next, now - BURST * SPACING_S) + SPACING_S

    def _hand_out(self) -> None:
        now = time.monotonic()
        while self._waiting and self._may_send(now):
            place = self._waiting.popleft()
            if not place.done():
                self._sent(now)
                place.set_result(None)
        later = max(self.window.paused_until, self._next)
        if self._waiting and now < later and self.window.may_send(later):
            self.close()
            self._alarm = asyncio.get_running_loop().call_later(later - now, self._hand_out)
