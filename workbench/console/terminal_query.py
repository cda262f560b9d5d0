"""Reads the answer of a terminal to a control sequence. Standard library only."""

from __future__ import annotations

import os
import re
import time

_MAX_BYTES = 4096
"""No answer is longer."""


def read_answer(fd: int, ends: re.Pattern[bytes], deadline: float) -> bytes:
    """Read from the terminal `fd` until `ends` matches; at `deadline` (monotonic seconds) return what has arrived."""
    import select  # noqa: PLC0415 -- not for files on Windows

    answer = b""
    while not ends.search(answer) and len(answer) < _MAX_BYTES:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0]:
            break
        piece = os.read(fd, 1024)
        if not piece:
            break
        answer += piece
    return answer
