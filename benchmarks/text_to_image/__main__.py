"""`python -m benchmarks.text_to_image JOB`: the child process that generates pictures.

It writes one JSON object per line to stdout: {"progress": [stage, done, total]}, {"warning": text}, at the end
{"pictures": PictureSet} or {"error": message, "hint": hint}. Everything else goes to stderr.

Exit codes: 0 done, 6 failed, 130 interrupted (SIGINT, SIGTERM); the pictures so far are stored.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.errors import BenchError
from benchmarks.text_to_image.job import read_job
from trainers.errors import TrainerError

DONE, FAILED, INTERRUPTED = 0, 6, 130


def main(path: str) -> int:
    """Generate the pictures of the job in the file at `path` and return the exit code."""
    import msgspec  # noqa: PLC0415

    output = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what libraries print must not come between the lines

    def emit(line: dict[str, Any]) -> None:
        output.write(msgspec.json.encode(line) + b"\n")

    try:
        signal.signal(signal.SIGTERM, _interrupt)
        job = read_job(Path(path))
        # importing torch and diffusers takes seconds, so a signal before is caught, too
        from benchmarks.text_to_image.generate import generate  # noqa: PLC0415

        pictures = generate(
            job,
            progress=lambda stage, done, total: emit({"progress": [stage, done, total]}),
            warn=lambda line: emit({"warning": line}),
        )
        emit({"pictures": pictures})
    except (BenchError, TrainerError) as error:
        emit({"error": error.message, "hint": error.hint})
        return FAILED
    except OSError as error:
        emit({"error": f"cannot write {error.filename or 'a picture'}: {error.strerror or error}", "hint": ""})
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return DONE


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
