"""Delay before an HTTP request is sent again. Standard library only, because benchmarks and engines use it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential backoff with full jitter, in seconds."""

    base: float = 0.5
    """Upper bound before the second try; doubled for each further one."""
    longest: float = 30.0
    """Upper bound of every delay that the server did not request."""

    def delay(
        self,
        tries: int,
        requested: float | None = None,
        *,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> float:
        """Return the seconds to wait after `tries` failed tries beyond the first.

        Full jitter (Brooker, "Exponential backoff and jitter", AWS 2015): uniform in [0, min(longest, base 2^tries)].
        If the server requested a delay, the result is that delay plus up to `base`, so that the clients do not all
        return at the same time.
        """
        if requested is not None:
            return requested + uniform(0, self.base)
        return uniform(0, min(self.longest, self.base * 2.0 ** min(tries, 30)))


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds in a response's Retry-After header (RFC 9110 10.2.3: seconds or a date); None without one.

    A date is compared with the response's own Date, so that a wrong clock on either side does not matter; without a
    Date, with `now` (default: this machine's clock). The names in `headers` are lower case or matched without case.
    """
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        until = _date(value)
        if until is None:
            return None
        seconds = (until - (_date(headers.get("date", "")) or now or datetime.now(UTC))).total_seconds()
    return None if math.isnan(seconds) else max(0.0, seconds)


def _date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
