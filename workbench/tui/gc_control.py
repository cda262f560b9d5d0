"""Python's cyclic garbage, collected while nobody presses a key.

Left to itself the collector stops every tenth key or so for a tenth of a second and more: it looks through all that
the screens keep (measured on a card: 80 to 170 ms of a key's 200). So it is turned off while an app runs, what is
there at the start is never looked at again, and the app calls `IdleGC.tick` every second.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

QUIET_SECONDS = 1.0
"""So long without a key, and nobody minds."""
_WORTH_IT = 5_000
"""Objects made since the last time: below that there is nothing to gain."""
_AT_MOST = 400_000
"""Some 100 MB: then it is done whoever presses what."""


@contextmanager
def manual_gc() -> Iterator[None]:
    """While this lasts nothing is collected but by a `IdleGC`."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


class IdleGC:
    """Tell it of every key, and call `tick` now and then."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()

    def hear(self) -> None:
        """A key, or the mouse."""
        self._last = self._clock()

    def tick(self) -> bool:
        """Collect, if it is quiet and worth it; whether it did. Nothing is to do where Python collects by itself."""
        if gc.isenabled():
            return False
        made = gc.get_count()[0]
        quiet = self._clock() - self._last >= QUIET_SECONDS
        if made < _WORTH_IT or not (quiet or made >= _AT_MOST):
            return False
        gc.collect()
        return True
