"""How many requests may be in flight: what a server's answers say about how much it takes. Pure; the clock is told.

The aim is to stay at a server's ceiling without knowing it. Up to the first refusal the window grows by one with each
answer (it doubles in the time of one answer). Each refusal takes one place away: a server that refuses beyond C has
refused exactly as often as there were requests too many, so the window lands on C. From there it grows by one place
after one or two windows of answers: a place too many costs a refusal now and then, less than one in a hundred, and
makes good for the places that are on their way between here and the server.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

_START: Final = 32
_PROBE_AFTER: Final = 1
"""Windows of answers between two probes, at first."""
_RAREST_PROBE: Final = 2
_MEMORY: Final = 32
"""Outcomes that are looked back on."""
_UNWELL: Final = 0.5
"""Share of them that may go wrong by chance (a cut connection, a 500) before it is taken for too much load."""
_BARREN: Final = 3
"""Failures in a row, with nothing else in flight, after which nothing is sent for a while."""


class LoadSignal(StrEnum):
    """What the end of a request says about the server."""

    GOOD = "good"
    """It answered; that it turned a request down for what was in it is an answer too."""
    REFUSED = "refused"
    """Too many: 429, or 503 with the time to come back."""
    TROUBLE = "trouble"
    """503, a cut or refused connection, a timeout: load, or chance."""
    NONE = "none"
    """It says nothing: the request was not sent, or was called off."""


@dataclass(slots=True)
class AdaptiveConcurrency:
    """The state of one server."""

    most: int
    """Never more than so many."""
    first_pause: float = 1.0
    """Seconds that nothing is sent for when nothing gets through; twice as long each time."""
    longest_pause: float = 60.0
    limit: int = field(init=False)
    in_flight: int = field(default=0, init=False)
    consecutive_failures: int = field(default=0, init=False)
    """Failures since anything was answered."""
    pauses: int = field(default=0, init=False)
    """Pauses since anything was answered."""
    paused_until: float = field(default=float("-inf"), init=False)
    _fast: bool = field(default=True, init=False)
    _probing: bool = field(default=False, init=False)
    _answers: int = field(default=0, init=False)
    _patience: int = field(default=_PROBE_AFTER, init=False)
    _seen: deque[bool] = field(default_factory=lambda: deque(maxlen=_MEMORY), init=False)

    def __post_init__(self) -> None:
        self.most = max(1, self.most)
        self.limit = min(self.most, _START)

    def may_send(self, now: float) -> bool:
        """Whether one more may be sent at `now` (seconds of a clock that never goes back)."""
        return self.in_flight < self.limit and now >= self.paused_until

    def sent(self) -> None:
        """One more is in flight."""
        self.in_flight += 1

    def ended(self, signal: LoadSignal, now: float, wait: float = 0.0, *, wanted: bool = False) -> None:
        """One that was in flight has ended.

        Args:
            signal: How.
            now: On the clock of `may_send`.
            wait: Seconds for which the server asked not to come back.
            wanted: Whether others wait for a place, so that the window is in use as far as it goes.
        """
        full = wanted or self.in_flight >= self.limit
        self.in_flight -= 1
        if signal is LoadSignal.GOOD:
            self._answered(full)
        elif signal is not LoadSignal.NONE:
            self._failed(signal, now, wait)

    def _answered(self, full: bool) -> None:
        self.consecutive_failures = self.pauses = 0
        self._seen.append(True)
        if not full or self.limit >= self.most:  # what was never tried proves nothing
            return
        self._answers += 1
        if self._fast or self._answers >= self._patience * self.limit:
            if self._probing:  # a window of answers beyond the last one: there is more to be had
                self._patience = 1
            self._probing = not self._fast
            self._answers = 0
            self.limit += 1

    def _failed(self, signal: LoadSignal, now: float, wait: float) -> None:
        self.consecutive_failures += 1
        self._seen.append(False)
        if signal is LoadSignal.REFUSED or self._is_overloaded():
            if self._probing:
                self._patience = min(_RAREST_PROBE, max(_PROBE_AFTER, self._patience * 2))
            self._fast = self._probing = False
            self._answers = 0
            self.limit = max(1, self.limit - 1)
        if self.consecutive_failures >= _BARREN and self.in_flight == 0:
            self._pause(now, wait)

    def _is_overloaded(self) -> bool:
        return len(self._seen) >= _MEMORY // 2 and self._seen.count(False) > _UNWELL * len(self._seen)

    def _pause(self, now: float, wait: float) -> None:
        pause = min(self.longest_pause, self.first_pause * 2.0**self.pauses)
        self.pauses += 1
        self.paused_until = now + max(pause, wait)
        self.limit, self._fast = 1, True  # one goes ahead and looks
