"""Retry policy: what an HTTP status means for a request, and how long to wait before the next try."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from curation_db.retry_delay import Backoff, retry_after

_RETRY_IN: Final = re.compile(
    r"\b(?:retry|try again)\s+(?:in|after)\s+(?P<number>\d{1,6}(?:\.\d{1,6})?)\s*"
    r"(?:(?P<ms>ms|milliseconds?)|(?P<m>m|min|minutes?)|(?P<s>s|sec|seconds?))\b",
    re.I,
)
_SECONDS: Final[Mapping[str, float]] = {"ms": 0.001, "m": 60.0, "s": 1.0}


class RetryDecision(StrEnum):
    """What to do after a reply."""

    OK = "fine"
    RETRY = "again"
    """A fault of the server; another try may succeed."""
    THROTTLED = "too-many"
    """Too many requests: send fewer."""
    REJECTED = "turned-down"
    """The server rejects this request on every try."""
    FORBIDDEN = "forbidden"
    """The server rejects this request, because of its content, or every request: a few in a row decide."""
    ABORT = "no-entry"
    """The server rejects every request: the key, the account, the model or the address is wrong."""


_DECISIONS: Final[Mapping[int, RetryDecision]] = {
    **dict.fromkeys((401, 402, 404), RetryDecision.ABORT),
    403: RetryDecision.FORBIDDEN,
    **dict.fromkeys((408, 409, 425), RetryDecision.RETRY),
    **dict.fromkeys((501, 505), RetryDecision.REJECTED),
}


def classify_status(status: int, message: str = "", *, has_retry_after: bool = False) -> RetryDecision:
    """Return the decision for an HTTP status, the server's error message, and whether it sent Retry-After."""
    if 200 <= status < 300:
        return RetryDecision.OK
    if status == 429:
        # Servers also answer 429 for an exhausted account, where waiting does not help. Only this code differs.
        return RetryDecision.ABORT if "insufficient_quota" in message else RetryDecision.THROTTLED
    if status == 503 and has_retry_after:
        return RetryDecision.THROTTLED
    if 300 <= status < 400:
        return RetryDecision.ABORT
    return _DECISIONS.get(status, RetryDecision.RETRY if status >= 500 or status < 200 else RetryDecision.REJECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy(Backoff):
    """Waiting times in seconds, and limits of retries."""

    max_retry_after: float = 120.0
    """Cap of the server's Retry-After."""
    max_throttled: int = 40
    """Times that one request may be throttled while others get through; these do not count as tries."""
    unreachable_after: int = 3
    """Consecutive requests without any connection after which the server counts as unreachable."""
    refusals: int = 5
    """Consecutive equal refusals after which the server counts as one that refuses every request."""

    def retry_after(self, headers: Mapping[str, str], message: str = "") -> float | None:
        """Return the seconds of a reply's Retry-After, or of "retry in 2s" in its message, capped; None: neither."""
        seconds = retry_after(headers)
        if seconds is None and (match := _RETRY_IN.search(message)):
            seconds = float(match["number"]) * next(_SECONDS[unit] for unit in _SECONDS if match[unit])
        return None if seconds is None else min(self.max_retry_after, seconds)
