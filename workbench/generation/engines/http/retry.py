"""What a reply's status means, and how long to wait before the next try."""

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
    """It went wrong on the server's side; asked again it may go well."""
    THROTTLED = "too-many"
    """The server asks for fewer requests."""
    REJECTED = "turned-down"
    """This request, whenever it is sent."""
    ABORT = "no-entry"
    """Every request: the key, the account, the model or the address is wrong."""


def classify_status(status: int, words: str = "", *, says_when: bool = False) -> RetryDecision:
    """What a status means; `words`: what the server said, `says_when`: whether it has a Retry-After."""
    if 200 <= status < 300:
        return RetryDecision.OK
    if status == 429:
        # Servers answer 429 for an empty account too, and only their text differs. Waiting does not help there.
        spent = "insufficient_quota" in words or "billing" in words
        return RetryDecision.ABORT if spent else RetryDecision.THROTTLED
    if status == 503 and says_when:
        return RetryDecision.THROTTLED
    if status in _ABORT or 300 <= status < 400:
        return RetryDecision.ABORT
    if status in _RETRY or (status >= 500 and status not in _NOT_IMPLEMENTED) or status < 200:
        return RetryDecision.RETRY
    return RetryDecision.REJECTED


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy(Backoff):
    """How long to wait, in seconds, and how often to ask."""

    longest_asked: float = 120.0
    """A server that asks for a longer wait gets the next request after this time."""
    rejections: int = 40
    """Times that one question may be refused for "too many" while others get through; no tries of its own."""
    dead_after: int = 3
    """Questions in a row for which every connection failed, until the server counts as gone."""

    def asked_for(self, headers: Mapping[str, str]) -> float | None:
        """Seconds that a reply's Retry-After asks for, capped; None: none."""
        seconds = retry_after(headers)
        return None if seconds is None else min(self.longest_asked, seconds)
