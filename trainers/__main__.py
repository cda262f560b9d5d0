"""`python -m trainers RUN_FOLDER`: the child process that trains or resumes one run; its files show the progress.

With --cost, it measures what the training would cost, writes cost.json, and trains nothing (`cost_probe`).

Exit codes: 0 done, 2 wrong arguments or another process trains this run, 6 failed (failed.json has the reason),
130 interrupted with the state saved (SIGINT, SIGTERM). A second signal ends the process at once.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType

from trainers.errors import RunRefused, TrainerError
from trainers.interrupts import Interrupted, Stop
from trainers.run_files import DONE, FAILED, FAILURE, RunWriter, take_lock
from trainers.tracking.process import start_tracking

DONE_CODE, USAGE, FAILED_CODE, INTERRUPTED = 0, 2, 6, 130


class _StopSignal:
    """Flag that SIGINT or SIGTERM sets."""

    def __init__(self) -> None:
        self.stop = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._request_stop)

    def _request_stop(self, number: int, frame: FrameType | None) -> None:
        self.stop = True
        signal.signal(number, signal.SIG_DFL)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m trainers", description="Train or resume one run.")
    parser.add_argument("folder", type=Path, help="with a config.json")
    parser.add_argument("--cost", action="store_true", help="measure 3 steps, and train nothing")
    parsed = parser.parse_args(arguments)
    folder: Path = parsed.folder
    if not (folder / "config.json").is_file():
        return _refuse(f"{folder} is not a run folder: it has no config.json")
    lock = take_lock(folder)
    if lock is None:
        return _refuse(f"{folder}: another process trains this run")
    with lock:
        if parsed.cost:
            return _run(folder, _probe, _StopSignal())
        if (folder / DONE).is_file():
            return DONE_CODE
        signals = _StopSignal()
        tracking = start_tracking(folder)
        try:
            return _run(folder, _train, signals)
        finally:
            if tracking is not None:
                lock.close()  # the run has ended; only its reports have not
                tracking.finish()


def _refuse(line: str) -> int:
    sys.stderr.write(line + "\n")
    return USAGE


def _train(folder: Path, stop: Stop) -> None:
    from trainers.loop.finetune import run_training  # noqa: PLC0415  # see _run

    run_training(folder, stop=stop)


def _probe(folder: Path, stop: Stop) -> None:
    from trainers.cost_probe import probe_cost  # noqa: PLC0415

    probe_cost(folder, stop=stop)


def _run(folder: Path, work: Callable[[Path, Stop], None], signals: _StopSignal) -> int:
    writer = RunWriter(folder)
    try:
        # Importing torch takes 4 s: `work` imports it, so that wrong arguments fail at once and early signals are
        # caught.
        work(folder, lambda: signals.stop)
    except Interrupted:
        writer.log("interrupted; the state is saved")
        return INTERRUPTED
    except TrainerError as error:
        return _failed(writer, error.message, error.hint, refused=isinstance(error, RunRefused))
    except Exception as error:
        _failed(writer, f"unexpected: {error!r}", "")
        raise
    writer.log("done")
    return DONE_CODE


def _failed(writer: RunWriter, message: str, hint: str, *, refused: bool = False) -> int:
    with suppress(OSError):  # a full disk may be the reason; stderr gets the message in any case
        writer.end(FAILED, {"message": message, "hint": hint, "refused": refused})
        writer.log(f"{FAILURE}{message}")
    sys.stderr.write(f"{message}\n{hint}\n" if hint else f"{message}\n")
    return FAILED_CODE


if __name__ == "__main__":
    sys.exit(main())
