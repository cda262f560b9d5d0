"""Start and end of the process that reports a run; nothing here raises, because a training goes on without it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from trainers.errors import TrainerError
from trainers.run_files import WARNING, RunWriter
from trainers.settings import read_config
from trainers.tracking.report import END_S

OUTPUT = "tracking.txt"
"""File in the run folder with the output of the trackers."""
_MARGIN_S = 10.0
"""Seconds that the process has beyond the time of its trackers."""


class TrackingProcess:
    """The process `python -m trainers.tracking RUN_FOLDER`; it ends when its stdin is closed or this process ends."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self._folder, self._process = folder, process

    def finish(self, wait_s: float = END_S + _MARGIN_S) -> None:
        """Let the process report the last rows; end it where it needs longer than `wait_s`."""
        process = self._process
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        try:
            process.wait(wait_s)
        except subprocess.TimeoutExpired:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)  # with the processes that a tracker started
            process.wait()
            _log(self._folder, "the report to the trackers did not end; its newest metrics may be missing")


def start_tracking(folder: Path) -> TrackingProcess | None:
    """Start the process for a run with `report_to`; return None for other runs, and where it cannot be started."""
    try:
        if not read_config(folder).report_to:
            return None
    except TrainerError:  # the training reports it
        return None
    command = [sys.executable, "-P", "-m", "trainers.tracking", str(folder), str(os.getpid())]
    try:
        with (folder / OUTPUT).open("ab") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
    except OSError as error:
        _log(folder, f"metrics are not reported to trackers: {error.strerror or error}")
        return None
    return TrackingProcess(folder, process)


def _log(folder: Path, line: str) -> None:
    with suppress(OSError):
        RunWriter(folder).log(f"{WARNING}{line}")
