"""What a reply's status means, and how long to wait before the next try."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from curation_db.retry_delay import Backoff, retry_after

_GONE: Final = frozenset({401, 402, 403, 404})
_COME_BACK: Final = frozenset({408, 409, 425})
_NEVER_THERE: Final = frozenset({501, 505})


class RetryDecision(StrEnum):
    """What to do after a reply."""

    FINE = "fine"
    READ_AGAIN = "again"
    """It went wrong on the server's side; asked again it may go well."""
    TOO_MANY = "too-many"
    """The server asks for fewer requests."""
    TURNED_DOWN = "turned-down"
    """This request, whenever it is sent."""
    NO_ENTRY = "no-entry"
    """Every request: the key, the account, the model or the address is wrong."""


def meaning(status: int, words: str = "", *, says_when: bool = False) -> RetryDecision:
    """What a status means; `words`: what the server said, `says_when`: whether it has a Retry-After."""
    if 200 <= status < 300:
        return RetryDecision.FINE
    if status == 429:
        # Servers answer 429 for an empty account too, and only their text differs. Waiting does not help there.
        spent = "insufficient_quota" in words or "billing" in words
        return RetryDecision.NO_ENTRY if spent else RetryDecision.TOO_MANY
    if status == 503 and says_when:
        return RetryDecision.TOO_MANY
    if status in _GONE or 300 <= status < 400:
        return RetryDecision.NO_ENTRY
    if status in _COME_BACK or (status >= 500 and status not in _NEVER_THERE) or status < 200:
        return RetryDecision.READ_AGAIN
    return RetryDecision.TURNED_DOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience(Backoff):
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
