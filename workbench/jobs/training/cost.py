"""Measurement of the cost of a training in a child process, before the training exists.

The child works in a temporary folder, so nothing appears in runs/. The features of the measured images stay in the
workspace's cache.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from trainers.cost import TrainingCost, read_cost
from trainers.errors import TrainerError
from trainers.run_files import LOG, TrainingStatus, read_run
from trainers.settings import RunConfig, write_config
from workbench.errors import NegwbError
from workbench.jobs.process import ChildProcess, start_detached, tail

_OUTPUT: Final = "output.txt"
_POLL_S: Final = 0.1


class CostCancelled(NegwbError):
    """`CostProbe.cancel` ended the measurement."""

    def __init__(self) -> None:
        super().__init__("the measurement was cancelled")


class CostProbe:
    """One measurement. `run` blocks in one thread; `cancel` ends it from another."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._child: ChildProcess | None = None
        self._folder: Path | None = None
        self._cancelled = False

    def run(self, on_line: Callable[[str], None] = lambda line: None) -> TrainingCost:
        """Measure; `on_line` gets the newest line of the child's log whenever there is another one.

        Raises:
            CostCancelled: `cancel` was called.
            NegwbError: the training would be refused, or the child ended in another way; the message has the reason.
        """
        try:
            child, folder = self._start()
            self._wait(child, folder, on_line)
            return read_cost(folder)
        except TrainerError as error:
            raise self._failure(error) from error
        finally:
            self._remove()

    def cancel(self) -> None:
        """End the child at once, and remove its folder; without effect after the end."""
        with self._lock:
            self._cancelled = True
            if self._child is not None:
                self._child.kill()
        self._remove()

    def _start(self) -> tuple[ChildProcess, Path]:
        with self._lock:
            if self._cancelled:
                raise CostCancelled
            self._folder = folder = Path(tempfile.mkdtemp(prefix="negwb-cost-"))
            write_config(folder, self._config)
            with (folder / _OUTPUT).open("wb") as output:
                self._child = start_detached("trainers", ["--cost", str(folder)], output)
            return self._child, folder

    def _wait(self, child: ChildProcess, folder: Path, on_line: Callable[[str], None]) -> None:
        shown = ""
        while child.poll() is None:
            lines = [line for line in tail(folder / LOG, 2) if line]
            if lines and lines[-1] != shown:
                shown = lines[-1]
                on_line(shown)
            time.sleep(_POLL_S)
        if self._cancelled:
            raise CostCancelled

    def _failure(self, error: TrainerError) -> NegwbError:
        """Return the reason in the child's files, or else its last output."""
        if self._cancelled or self._folder is None:
            return CostCancelled()
        state = read_run(self._folder)
        if state.status is TrainingStatus.FAILED:
            return NegwbError(str(state.result.get("message", "")), hint=str(state.result.get("hint", "")))
        last = next((line for line in reversed(tail(self._folder / _OUTPUT, 20)) if line.strip()), "")
        return NegwbError(error.message, hint=last)

    def _remove(self) -> None:
        with self._lock:
            if self._child is not None:
                self._child.wait()  # it has ended or was killed
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
