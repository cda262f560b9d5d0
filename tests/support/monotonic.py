"""A monotonic clock that a test moves."""

from __future__ import annotations


class MonotonicClock:
    """Seconds since some moment."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass at once."""
        self.now += seconds
