"""Retry policy: what an HTTP status means for a request, and how long to wait before the next try."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from curation_db.retry_delay import Backoff, retry_after

_ABORT: Final = frozenset({401, 402, 403, 404})
_RETRY: Final = frozenset({408, 409, 425})
_NOT_IMPLEMENTED: Final = frozenset({501, 505})


class RetryDecision(StrEnum):
    """What to do after a reply."""

    OK = "fine"
    RETRY = "again"
    """A fault of the server; another try may succeed."""
    THROTTLED = "too-many"
    """Too many requests: send fewer."""
    REJECTED = "turned-down"
    """The server rejects this request on every try."""
    ABORT = "no-entry"
    """The server rejects every request: the key, the account, the model or the address is wrong."""


def classify_status(status: int, message: str = "", *, has_retry_after: bool = False) -> RetryDecision:
    """Return the decision for an HTTP status, the server's error message, and whether it sent Retry-After."""
    if 200 <= status < 300:
        return RetryDecision.OK
    if status == 429:
        # Servers also answer 429 for an exhausted account, where waiting does not help. Only the text differs.
        account_exhausted = "insufficient_quota" in message or "billing" in message
        return RetryDecision.ABORT if account_exhausted else RetryDecision.THROTTLED
    if status == 503 and has_retry_after:
        return RetryDecision.THROTTLED
    if status in _ABORT or 300 <= status < 400:
        return RetryDecision.ABORT
    if status in _RETRY or (status >= 500 and status not in _NOT_IMPLEMENTED) or status < 200:
        return RetryDecision.RETRY
    return RetryDecision.REJECTED


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy(Backoff):
    """Waiting times in seconds, and limits of retries."""

    max_retry_after: float = 120.0
    """Cap of the server's Retry-After."""
    max_throttled: int = 40
    """Times that one request may be throttled while others get through; these do not count as tries."""
    unreachable_after: int = 3
    """Consecutive requests without any connection after which the server counts as unreachable."""

    def retry_after(self, headers: Mapping[str, str]) -> float | None:
        """Return the seconds of a reply's Retry-After, capped; None: the reply has none."""
        seconds = retry_after(headers)
        return None if seconds is None else min(self.max_retry_after, seconds)
