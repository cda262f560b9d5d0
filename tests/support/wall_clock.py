"""A wall clock that a test moves."""

from __future__ import annotations

from collections.abc import Callable


class WallClock:
    """Seconds since the epoch, at first some moment of 2027."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass at once, or with less than 0 set the clock back."""
        self.now += seconds

    def ahead(self, seconds: float) -> Callable[[], float]:
        """The clock of another machine, which differs by so much."""
        return lambda: self.now + seconds
