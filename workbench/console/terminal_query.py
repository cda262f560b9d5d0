"""Reads answers of a terminal to control sequences. Standard library only."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_MAX_BYTES = 4096
"""No answer is longer."""


@contextmanager
def unbuffered_input() -> Iterator[int]:
    """Yield the file descriptor of the terminal's input, which then needs no Enter; drop what was typed meanwhile."""
    import termios  # noqa: PLC0415  # not on Windows
    import tty  # noqa: PLC0415

    assert sys.__stdin__ is not None
    fd = sys.__stdin__.fileno()
    before = termios.tcgetattr(fd)
    tty.setcbreak(fd, termios.TCSANOW)
    try:
        yield fd
    finally:
        termios.tcsetattr(fd, termios.TCSAFLUSH, before)


@contextmanager
def kept_modes() -> Iterator[None]:
    """Restore the modes of the terminal's input after the block (see `silence_echo`)."""
    try:
        import termios  # noqa: PLC0415  # not on Windows

        fd = sys.__stdin__.fileno() if sys.__stdin__ is not None else -1
        before = termios.tcgetattr(fd)
    except Exception:  # no terminal
        yield
        return
    try:
        yield
    finally:
        with suppress(termios.error):  # the terminal was closed
            termios.tcsetattr(fd, termios.TCSADRAIN, before)


def silence_echo() -> None:
    """Show no typed characters from now on; call it within `kept_modes`."""
    import termios  # noqa: PLC0415

    assert sys.__stdin__ is not None
    fd = sys.__stdin__.fileno()
    modes = termios.tcgetattr(fd)
    modes[3] &= ~termios.ECHO
    termios.tcsetattr(fd, termios.TCSANOW, modes)


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
