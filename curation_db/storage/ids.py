"""Unique identifiers and time stamps: UUIDv7 for events and sessions, UTC times as text."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime
from uuid import UUID

_lock = threading.Lock()
_last = 0


def uuid7() -> str:
    """Return a UUIDv7 (RFC 9562), strictly increasing within this process even when the clock is set back."""
    global _last  # noqa: PLW0603 -- keeps the order within the process
    with _lock:
        # 48 bits of milliseconds and 12 bits of their fraction: RFC 9562, section 6.2, method 3
        _last = max(_last + 1, time.time_ns() * 4096 // 1_000_000)
        stamp = _last
    random = int.from_bytes(os.urandom(8), "big") & ((1 << 62) - 1)
    return str(UUID(int=(stamp >> 12) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | random))


def utc_now() -> str:
    """Return the present time as UTC, ISO 8601 with milliseconds; the texts sort by time."""
    return utc_text(time.time())


def utc_text(seconds: float) -> str:
    """Return seconds since the epoch as UTC, ISO 8601 with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
