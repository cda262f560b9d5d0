"""Builds the rest of a demo in a child process while the annotator decides the first cards.

A process, since drawing in a thread would delay the screen. The child runs this module: `python -m
workbench.demo.background_build FOLDER PICTURES`. It prints its progress to a pipe, so it ends with the process that
started it, and the next `negwb demo` finishes the demo.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from workbench.demo.build import STORING, DemoSize, StepProgress, finish_demo
from workbench.jobs.process import end_all

_EVERY_S: Final = 0.25
"""Between two reports of a step."""
_LOW_PRIORITY: Final = 10


class BackgroundBuild:
    """The child process and its progress; a context manager that ends the process."""

    def __init__(
        self,
        folder: Path,
        pictures: int,
        *,
        on_progress: Callable[[], None] = lambda: None,
        on_candidates: Callable[[], None] = lambda: None,
    ) -> None:
        """Start the process.

        Args:
            pictures: Images to curate.
            on_progress: Called in a thread for each report.
            on_candidates: Called in a thread when the queue has new candidates.
        """
        self.on_progress, self.on_candidates = on_progress, on_candidates
        self.step: tuple[str, int, int] | None = None
        """Name of the current step, number done, total; None: there is none."""
        self.failed = False
        """Whether the process ended with an error."""
        command = [sys.executable, "-P", "-m", __name__, str(folder), str(pictures)]
        # fmt: off
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )
        # fmt: on
        self._thread = threading.Thread(target=self._read, name="demo-build", daemon=True)
        self._thread.start()

    def __enter__(self) -> BackgroundBuild:
        return self

    def __exit__(self, *_: object) -> None:
        end_all([self._process])
        self._thread.join()

    @property
    def line(self) -> str:
        """The progress in one line; empty when the demo is finished."""
        if self.failed:
            return "the rest of the demo could not be drawn"
        if self.step is None:
            return ""
        name, done, total = self.step
        return f"{name}: {done:,} of {total:,}"

    def wait(self, progress: StepProgress) -> bool:
        """Wait for the end of the process and report its progress; return whether the demo is finished."""
        while self._thread.is_alive():
            if self.step is not None:
                progress(*self.step)
            self._thread.join(_EVERY_S)
        return not self.failed

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                name, done, total = json.loads(line)
                if name == STORING:
                    self.on_candidates()
                else:
                    self.step = name, done, total
                self.on_progress()
        self.failed, self.step = self._process.wait() != 0, None
        self.on_progress()


def _print_throttled() -> StepProgress:
    """Return a function that prints new candidates at once, and other steps four times a second."""
    last_name, last_time = "", 0.0

    def report(name: str, done: int, total: int) -> None:
        nonlocal last_name, last_time
        if name != STORING:
            now = time.monotonic()
            if name == last_name and done < total and now - last_time < _EVERY_S:
                return
            last_name, last_time = name, now
        print(json.dumps([name, done, total]), flush=True)  # noqa: T201

    return report


def main(folder: str, pictures: str) -> int:
    """Finish the demo in this process; return the exit code."""
    os.nice(_LOW_PRIORITY)
    try:
        finish_demo(Path(folder), size=DemoSize(pictures=int(pictures)), progress=_print_throttled())
    except (KeyboardInterrupt, BrokenPipeError):  # the annotator has quit
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
