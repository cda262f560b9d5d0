"""`python -m trainers.tracking RUN_FOLDER PARENT`: report a run until stdin is closed or process PARENT has ended."""

from __future__ import annotations

import argparse
import os
import select
import sys
import traceback
from pathlib import Path

from trainers.run_files import WARNING, RunWriter
from trainers.settings import read_config
from trainers.tracking.report import report

_NICE = 10
"""Less CPU time than the training where both need it."""


def main() -> int:
    """Report the run of the command line and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m trainers.tracking", description="Report a run to its trackers.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("parent", type=int)
    arguments = parser.parse_args()

    def is_training(wait_s: float) -> bool:
        ready, _, _ = select.select([sys.stdin], [], [], wait_s)
        return not ready and os.getppid() == arguments.parent  # kill -9 of the parent leaves its pipe to its children

    os.nice(_NICE)
    try:
        report(arguments.folder, read_config(arguments.folder), is_training)
    except Exception as error:
        RunWriter(arguments.folder).log(f"{WARNING}metrics are not reported to trackers: {error!r}")
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # a thread of a tracker that blocks must not keep the process alive
