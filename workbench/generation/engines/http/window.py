"""Adaptive window: how many requests may be in flight, learned from the answers. Pure; the caller passes the time.

The window stays at a server's unknown capacity C. Up to the first refusal it grows by one with each answer, so it
doubles in the time of one answer. Each refusal shrinks it by one: a server that refuses requests beyond C has refused
exactly the excess, so the window lands on C. From there it grows by one after one or two windows of answers. One slot
too many costs a refusal now and then (less than 1 %) and makes up for the requests that are in transit.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

_START: Final = 32
_PROBE_INTERVAL: Final = 1
"""Initial number of windows of answers between two probes."""
_MAX_PROBE_INTERVAL: Final = 2
_MEMORY: Final = 32
"""Number of recent outcomes."""
_OVERLOAD_SHARE: Final = 0.5
"""Share of failures among them above which failures count as overload and not as chance (a cut connection, a 500)."""
_PAUSE_AFTER: Final = 3
"""Consecutive failures, with nothing else in flight, after which sending pauses."""


class LoadSignal(StrEnum):
    """What the outcome of a request says about the server's load."""

    GOOD = "good"
    """The server answered; rejecting a request for its content is an answer too."""
    REFUSED = "refused"
    """Too many requests: 429, or 503 with Retry-After."""
    TROUBLE = "trouble"
    """503, a cut or refused connection, a timeout: overload or chance."""
    NONE = "none"
    """No information: the request was not sent, or was cancelled."""


@dataclass(slots=True)
class AdaptiveConcurrency:
    """Concurrency limit of one server."""

    max_limit: int
    """Upper bound of `limit`."""
    first_pause: float = 1.0
    """Seconds of the first pause when nothing gets through; each further pause is twice as long."""
    longest_pause: float = 60.0
    limit: int = field(init=False)
    in_flight: int = field(default=0, init=False)
    consecutive_failures: int = field(default=0, init=False)
    """Failures since the last answer."""
    pauses: int = field(default=0, init=False)
    """Pauses since the last answer."""
    paused_until: float = field(default=float("-inf"), init=False)
    _slow_start: bool = field(default=True, init=False)
    _probing: bool = field(default=False, init=False)
    _answers: int = field(default=0, init=False)
    _probe_interval: int = field(default=_PROBE_INTERVAL, init=False)
    _outcomes: deque[bool] = field(default_factory=lambda: deque(maxlen=_MEMORY), init=False)

    def __post_init__(self) -> None:
        self.max_limit = max(1, self.max_limit)
        self.limit = min(self.max_limit, _START)

    def may_send(self, now: float) -> bool:
        """Whether another request may be sent at `now` (seconds of a monotonic clock)."""
        return self.in_flight < self.limit and now >= self.paused_until

    def sent(self) -> None:
        """Count a request that was sent."""
        self.in_flight += 1

    def ended(self, signal: LoadSignal, now: float, wait: float = 0.0, *, wanted: bool = False) -> None:
        """Count the end of a request.

        Args:
            signal: Outcome.
            now: Time on the clock of `may_send`.
            wait: Retry-After in seconds.
            wanted: Whether requests wait for a slot, so that the window is fully used.
        """
        full = wanted or self.in_flight >= self.limit
        self.in_flight -= 1
        if signal is LoadSignal.GOOD:
            self._on_answer(full)
        elif signal is not LoadSignal.NONE:
            self._on_failure(signal, now, wait)

    def _on_answer(self, full: bool) -> None:
        self.consecutive_failures = self.pauses = 0
        self._outcomes.append(True)
        if not full or self.limit >= self.max_limit:  # an unused window proves nothing
            return
        self._answers += 1
        if self._slow_start or self._answers >= self._probe_interval * self.limit:
            if self._probing:  # a window of answers without refusal: there is more capacity
                self._probe_interval = 1
            self._probing = not self._slow_start
            self._answers = 0
            self.limit += 1

    def _on_failure(self, signal: LoadSignal, now: float, wait: float) -> None:
        self.consecutive_failures += 1
        self._outcomes.append(False)
        if signal is LoadSignal.REFUSED or self._is_overloaded():
            if self._probing:
                self._probe_interval = min(_MAX_PROBE_INTERVAL, max(_PROBE_INTERVAL, self._probe_interval * 2))
            self._slow_start = self._probing = False
            self._answers = 0
            self.limit = max(1, self.limit - 1)
        if self.consecutive_failures >= _PAUSE_AFTER and self.in_flight == 0:
            self._pause(now, wait)

    def _is_overloaded(self) -> bool:
        return len(self._outcomes) >= _MEMORY // 2 and self._outcomes.count(False) > _OVERLOAD_SHARE * len(
            self._outcomes
        )

    def _pause(self, now: float, wait: float) -> None:
        pause = min(self.longest_pause, self.first_pause * 2.0**self.pauses)
        self.pauses += 1
        self.paused_until = now + max(pause, wait)
        self.limit, self._slow_start = 1, True  # one request tests the server
