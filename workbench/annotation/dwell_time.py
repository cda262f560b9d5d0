"""Time on a card, without that in which nobody was there.

A person gives signs of life: keys, the wheel, the terminal coming to the front. Between two of them a card counts as
looked at for a minute at most, and not at all while the terminal is known to be in the background. Safe to call from
several threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

IDLE_SECONDS = 60.0
"""Without a sign of life for longer nobody is there: a coffee is no work on a card."""


class DwellTimer:
    """How long which card has been looked at."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._card: int | None = None
        self._seen = clock()
        """The last sign of life, or when the card came."""
        self._away = False
        self._spent: dict[int, float] = {}
        """Seconds by card, up to the last sign of life: of the one that lies here, and of those that were put aside."""

    def turn_to(self, card: int | None) -> None:
        """From now on this card is looked at; None: none is."""
        with self._lock:
            self._count()
            self._card = card

    def activity(self) -> None:
        """A sign of life."""
        with self._lock:
            self._count()
            self._away = False

    def blur(self) -> None:
        """The terminal is in the background now, until the next sign of life."""
        with self._lock:
            self._count()
            self._away = True

    def on(self, card: int) -> float:
        """Seconds that this card was looked at so far, since it was last decided about."""
        with self._lock:
            return self._spent.get(card, 0.0) + (self._stretch() if card == self._card else 0.0)

    def forget(self, card: int) -> None:
        """It was decided about: what comes now is another look."""
        with self._lock:
            self._spent.pop(card, None)

    def _count(self) -> None:
        if self._card is not None:
            self._spent[self._card] = self._spent.get(self._card, 0.0) + self._stretch()
        self._seen = self._clock()

    def _stretch(self) -> float:
        return 0.0 if self._away else min(self._clock() - self._seen, IDLE_SECONDS)
