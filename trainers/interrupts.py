"""How work before the first step is told and ended: through lines of log.txt, and by a question between two batches."""

from __future__ import annotations

import time
from collections.abc import Callable

from trainers.run_files import RunWriter, Work, work_line

Stop = Callable[[], bool]
"""Whether somebody asked the training to end."""

_LEAST_S = 1.0
_SHARE = 0.02
"""Of the time so far: an hour of work makes some 200 lines, none of which comes late."""


class Interrupted(Exception):
    """The training was asked to stop, and what it has is saved."""


class PictureWatch:
    """A `feature_store.Progress`: says in log.txt how many pictures are done, about once a second.

    Raises:
        Interrupted: from a call, when `stop` says so.
    """

    def __init__(
        self, doing: Work, writer: RunWriter, stop: Stop, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._doing, self._writer, self._stop, self._clock = doing, writer, stop, clock
        self._began = self._said = clock()
        self._waits = False

    def __call__(self, done: int, of: int) -> None:
        if self._stop():
            raise Interrupted
        if not of:
            self._say_waiting()
            return
        now = self._clock()
        ended = done == of and self._said > self._began  # the last line, where there was one before
        if ended or now - self._said >= max(_LEAST_S, _SHARE * (now - self._began)):
            self._said = now
            self._writer.say(work_line(self._doing, done, of))

    def _say_waiting(self) -> None:
        if not self._waits:
            self._waits = True
            self._writer.say(f"waiting: another process is {self._doing}")
