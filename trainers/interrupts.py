"""Progress and interruption of the work before the first step: lines in log.txt, and a check between two batches."""

from __future__ import annotations

import time
from collections.abc import Callable

from trainers.run_files import RunWriter, Work, work_line

Stop = Callable[[], bool]
"""Returns whether the training must stop."""

_MIN_INTERVAL_S = 1.0
_SHARE = 0.02
"""Minimum interval as a share of the elapsed time: an hour of work writes about 200 lines, none of them late."""


class Interrupted(Exception):
    """The training stopped on request; its state is saved."""


class ImageProgress:
    """A `cache_files.Progress` that logs the number of images done, about once a second.

    Raises:
        Interrupted: `stop` returned True during a call.
    """

    def __init__(
        self, work: Work, writer: RunWriter, stop: Stop, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._work, self._writer, self._stop, self._clock = work, writer, stop, clock
        self._began = self._last_line = clock()
        self._waiting = False

    def __call__(self, done: int, of: int) -> None:
        if self._stop():
            raise Interrupted
        if not of:
            self._log_waiting()
            return
        now = self._clock()
        ended = done == of and self._last_line > self._began  # write a last line where there was one before
        if ended or now - self._last_line >= max(_MIN_INTERVAL_S, _SHARE * (now - self._began)):
            self._last_line = now
            self._writer.log(work_line(self._work, done, of))

    def _log_waiting(self) -> None:
        if not self._waiting:
            self._waiting = True
            self._writer.log(f"waiting: another process is {self._work}")
