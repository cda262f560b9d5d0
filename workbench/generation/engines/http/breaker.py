"""Breaker: notices that a server refuses every request for the same reason. Pure."""

from __future__ import annotations

from collections.abc import Hashable


class RefusalBreaker:
    """Counts equal refusals in a row, and remembers whether the server ever answered."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._reason: Hashable = None
        self._count = 0
        self._answered = False

    def count_answer(self) -> None:
        """Count a request that the server answered."""
        self._answered = True
        self._count = 0

    def refuses_all(self, reason: Hashable, *, at_first: int | None = None, later: int | None = None) -> bool:
        """Count a refusal, and return whether the server refuses every request.

        Args:
            reason: What equal refusals have in common, such as the status.
            at_first: Number of equal refusals in a row that decide before the first answer; default: `limit`.
            later: Number of them that decide after the first answer; None: they never do.
        """
        self._count = self._count + 1 if reason == self._reason else 1
        self._reason = reason
        limit = later if self._answered else at_first or self._limit
        return limit is not None and self._count >= limit
