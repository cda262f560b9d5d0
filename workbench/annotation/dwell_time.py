"""Dwell time: how long the annotator looked at a card, without idle time.

Keys, the mouse wheel and the focus of the terminal are activity. Between two activities at most a minute counts, and
nothing while the terminal is in the background. Thread-safe.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

IDLE_SECONDS = 60.0
"""The most that counts between two activities, so that a break is not counted as work."""


class DwellTimer:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._card: int | None = None
        self._since = clock()
        """The last activity, or the time when the card was shown."""
        self._away = False
        self._spent: dict[int, float] = {}
        """Seconds by card up to the last activity, of the shown card and of those without a decision."""

    def turn_to(self, card: int | None) -> None:
        """Measure the time of this card from now on; None: of no card."""
        with self._lock:
            self._count()
            self._card = card

    def activity(self) -> None:
        with self._lock:
            self._count()
            self._away = False

    def blur(self) -> None:
        """Count nothing until the next activity, since the terminal is in the background."""
        with self._lock:
            self._count()
            self._away = True

    def seconds_on(self, card: int) -> float:
        """Return the dwell time of a card since the last decision about it."""
        with self._lock:
            return self._spent.get(card, 0.0) + (self._since_activity() if card == self._card else 0.0)

    def reset(self, card: int) -> None:
        """Start again at 0, after a decision about the card."""
        with self._lock:
            self._spent.pop(card, None)

    def _count(self) -> None:
        if self._card is not None:
            self._spent[self._card] = self._spent.get(self._card, 0.0) + self._since_activity()
        self._since = self._clock()

    def _since_activity(self) -> float:
        return 0.0 if self._away else min(self._clock() - self._since, IDLE_SECONDS)
