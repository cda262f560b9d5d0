"""Limiter of concurrent requests: grants slots as the adaptive window allows; for one event loop."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from workbench.generation.engines.http.window import AdaptiveConcurrency, LoadSignal

MAX_PAUSES: Final = 7
"""Consecutive pauses, each twice as long as the last, before the engine stops: two minutes in total."""
BURST: Final = 4
SPACING_S: Final = 0.001
"""Seconds between two slots. Without it, requests that start together end together and are processed here in one batch
while the server idles: a fifth of its time at 64 requests in flight and 200 ms each."""


class Limiter:
    """Grants slots for requests. The holder releases its slot when the answer is in the record, not before."""

    def __init__(
        self, window: AdaptiveConcurrency, give_up: Callable[[], BaseException], *, pauses: int = MAX_PAUSES
    ) -> None:
        """`give_up` creates the error for all waiting requests when nothing was answered after `pauses` pauses."""
        self.window = window
        self.stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Completes with the error that stopped the engine."""
        self._give_up = give_up
        self._pauses = pauses
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0
        """Time at which the next slot may be granted."""

    async def acquire(self, *, retry: bool = False) -> None:
        """Wait for a slot; a `retry` of a request goes to the front of the queue.

        Raises:
            Exception: the error that was passed to `stop`.
        """
        self._raise_if_stopped()
        now = time.monotonic()
        if not self._waiting and self._may_send(now):
            self._count_sent(now)
            return
        slot: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._waiting.appendleft if retry else self._waiting.append)(slot)
        self._grant_slots()
        try:
            await slot
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled() and slot.exception() is None:
                self.release(LoadSignal.NONE)  # cancelled at the moment it got its slot
            raise

    def release(self, signal: LoadSignal, wait: float = 0.0) -> None:
        """Release a slot and report the outcome; `wait` is the server's Retry-After in seconds."""
        self.window.ended(signal, time.monotonic(), wait, wanted=bool(self._waiting))
        if self.window.pauses > self._pauses:
            self.stop(self._give_up())
        self._grant_slots()

    async def sleep(self, seconds: float) -> None:
        """Sleep without a slot; raise the error of `stop` if the engine stops."""
        await asyncio.wait((self.stopped,), timeout=seconds)
        self._raise_if_stopped()

    def stop(self, error: BaseException) -> None:
        """Grant no more slots: all waiting and later requests get `error`. The first error counts."""
        if self.stopped.done():
            return
        self.stopped.set_exception(error)
        self.stopped.exception()  # marks it as retrieved, so that asyncio does not log it
        while self._waiting:
            slot = self._waiting.popleft()
            if not slot.done():
                slot.set_exception(error)

    def close(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _raise_if_stopped(self) -> None:
        if self.stopped.done():
            self.stopped.result()

    def _may_send(self, now: float) -> bool:
        return now >= self._next and self.window.may_send(now)

    def _count_sent(self, now: float) -> None:
        self.window.sent()
        self._next = max(self._next, now - BURST * SPACING_S) + SPACING_S

    def _grant_slots(self) -> None:
        now = time.monotonic()
        while self._waiting and self._may_send(now):
            slot = self._waiting.popleft()
            if not slot.done():
                self._count_sent(now)
                slot.set_result(None)
        resume_at = max(self.window.paused_until, self._next)
        if self._waiting and now < resume_at and self.window.may_send(resume_at):
            self.close()
            self._timer = asyncio.get_running_loop().call_later(resume_at - now, self._grant_slots)
