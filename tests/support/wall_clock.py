"""A wall clock that a test moves."""

from __future__ import annotations

from collections.abc import Callable


class WallClock:
    """Clock in seconds since the epoch; it starts in January 2027."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Advance the clock; a negative value sets it back."""
        self.now += seconds

    def ahead(self, seconds: float) -> Callable[[], float]:
        """Return the clock of another machine, which is ahead by `seconds`."""
        return lambda: self.now + seconds
