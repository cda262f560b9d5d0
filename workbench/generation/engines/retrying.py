"""What a reply's status means, and how long to wait before the next try. Pure, but for the dice."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

_GONE: Final = frozenset({401, 402, 403, 404})
_COME_BACK: Final = frozenset({408, 409, 425})
_NEVER_THERE: Final = frozenset({501, 505})


class Meaning(StrEnum):
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


def meaning(status: int, words: str = "", *, retry_after: bool = False) -> Meaning:
    """What a status means; `words`: what the server said, `retry_after`: whether it said when to come back."""
    if 200 <= status < 300:
        return Meaning.FINE
    if status == 429:
        spent = "insufficient_quota" in words or "billing" in words  # no waiting helps against that
        return Meaning.NO_ENTRY if spent else Meaning.TOO_MANY
    if status == 503 and retry_after:
        return Meaning.TOO_MANY
    if status in _GONE or 300 <= status < 400:
        return Meaning.NO_ENTRY
    if status in _COME_BACK or (status >= 500 and status not in _NEVER_THERE) or status < 200:
        return Meaning.READ_AGAIN
    return Meaning.TURNED_DOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait, in seconds."""

    base: float = 0.5
    """Before the second try at most; twice as long before each further one."""
    longest: float = 30.0
    longest_asked: float = 120.0
    """A server that asks for more is asked again after so long."""
    rejections: int = 40
    """Times that one question may be refused for "too many" while others get through; no tries of its own."""
    dead_after: int = 3
    """Questions in a row for which every connection failed, until the server counts as gone."""

    def delay(self, tries: int, asked: float | None) -> float:
        """Seconds before the next try after `tries`: what the server asked for, else full jitter.

        Full jitter (Brooker, "Exponential backoff and jitter", AWS 2015): uniform in [0, min(longest, base 2^tries)].
        """
        if asked is not None:
            return asked + random.uniform(0, self.base)
        return random.uniform(0, min(self.longest, self.base * 2.0 ** min(tries, 30)))

    def asked_for(self, headers: Mapping[str, str], now: datetime | None = None) -> float | None:
        """Seconds that a reply's Retry-After asks for (RFC 9110 10.2.3: seconds or a date), capped; None: none.

        A date is held against the reply's own Date, so that a wrong clock here or there does not matter.
        """
        told = headers.get("retry-after", "").strip()
        if not told:
            return None
        seconds = _seconds(told)
        if seconds is None:
            until = _date(told)
            if until is None:
                return None
            seconds = (until - (_date(headers.get("date", "")) or now or datetime.now(UTC))).total_seconds()
        return min(self.longest_asked, max(0.0, seconds))


def _seconds(told: str) -> float | None:
    try:
        seconds = float(told)
    except ValueError:
        return None
    return seconds if seconds == seconds else None  # noqa: PLR0124 -- "nan" is no number of seconds


def _date(told: str) -> datetime | None:
    try:
        read = parsedate_to_datetime(told)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)
