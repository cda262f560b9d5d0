"""The standard streams of the process, made safe before the first command writes to them.

A shell can start a process without a standard stream (`>&-`). Python then has None in its place, and the next file
that is opened gets its number: text for the person would be written into the record. A reader of stderr can leave,
and a terminal can have an encoding without the characters that negwb writes. None of that may end a command.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Final, TextIO, cast

_FLAGS: Final = (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)
"""For stdin, stdout and stderr, in the order of their numbers."""
_UNDELIVERABLE: Final = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EBADF, errno.EFBIG})


class MessageStream(io.TextIOWrapper):
    """A stderr for messages: a command goes on when they can no longer be delivered."""

    def write(self, text: str) -> int:
        """Write; what cannot be delivered is dropped, with all that follows."""
        try:
            return super().write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        """Flush; see `write`."""
        try:
            super().flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        if error.errno not in _UNDELIVERABLE:
            raise error
        silence(self.fileno())


def prepare() -> None:
    """Open the standard streams that are closed, and make stdout and stderr accept every text and its loss."""
    _open_closed()
    if sys.stdin is None:
        sys.stdin = _text_stream(0, "r")
    if sys.stdout is None:
        sys.stdout = _text_stream(1, "w")
    if sys.stderr is None:
        sys.stderr = _text_stream(2, "w")
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
    if sys.stderr is sys.__stderr__ and type(sys.stderr) is io.TextIOWrapper:
        sys.stderr = MessageStream(
            sys.stderr.buffer, encoding=sys.stderr.encoding, errors="backslashreplace", line_buffering=True
        )


def silence(descriptor: int) -> None:
    """From now on drop what is written to `descriptor`, to the very end of the process."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def is_terminal_gone() -> bool:
    """Whether a standard stream is a terminal that has hung up; its signal may come later than the failed write."""
    try:
        import termios  # noqa: PLC0415 -- not on Windows
    except ImportError:
        return False
    for number in range(len(_FLAGS)):
        try:
            termios.tcgetattr(number)
        except termios.error as error:
            if error.args[0] == errno.EIO:
                return True
    return False


def _open_closed() -> None:
    for number, flags in enumerate(_FLAGS):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, flags)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)  # as the standard streams are


def _text_stream(number: int, mode: str) -> TextIO:
    return cast(TextIO, open(number, mode, encoding="utf-8", errors="replace", closefd=False))
