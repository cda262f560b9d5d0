"""Names for things that must never collide: UUIDv7 for events and sessions, and the clock they share."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime
from uuid import UUID

_lock = threading.Lock()
_last = 0


def uuid7() -> str:
    """A UUIDv7 (RFC 9562), strictly increasing within this process even when the clock is set back."""
    global _last  # noqa: PLW0603 -- the order within the process is the point
    with _lock:
        # 48 bits of milliseconds and 12 bits of their fraction, as section 6.2 method 3 of the RFC allows
        _last = max(_last + 1, time.time_ns() * 4096 // 1_000_000)
        stamp = _last
    random = int.from_bytes(os.urandom(8), "big") & ((1 << 62) - 1)
    return str(UUID(int=(stamp >> 12) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | random))


def utc_now() -> str:
    """The time now, UTC, ISO 8601 with milliseconds: sorts as text."""
    return utc_text(time.time())


def utc_text(seconds: float) -> str:
    """Seconds since the epoch as UTC, ISO 8601 with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
