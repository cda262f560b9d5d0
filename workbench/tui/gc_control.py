"""Collection of Python's cyclic garbage while no key is pressed.

With automatic collection, about every tenth key waits 0.1 s or more, because the collector traverses all objects of the
screens (measured on a card: 80 to 170 ms of a key's 200). While an app runs, automatic collection is off, the objects
that exist at the start are frozen, and the app calls `IdleGC.tick` every second.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

QUIET_SECONDS = 1.0
"""Seconds without input before a collection."""
_MIN_OBJECTS = 5_000
"""New objects since the last collection; fewer are not worth a collection."""
_MAX_OBJECTS = 400_000
"""Collect regardless of input above this many new objects (about 100 MB)."""


@contextmanager
def manual_gc() -> Iterator[None]:
    """Turn automatic collection off while the context lasts."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


class IdleGC:
    """Collector for idle time: call `activity` on every input and `tick` regularly."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()

    def activity(self) -> None:
        self._last = self._clock()

    def tick(self) -> bool:
        """Collect if the user is idle and enough objects are new, and return whether it did.

        No-op with automatic collection.
        """
        if gc.isenabled():
            return False
        new_objects = gc.get_count()[0]
        quiet = self._clock() - self._last >= QUIET_SECONDS
        if new_objects < _MIN_OBJECTS or not (quiet or new_objects >= _MAX_OBJECTS):
            return False
        gc.collect()
        return True
