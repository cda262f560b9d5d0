"""Preparation of the standard streams before a command writes to them.

A shell can start a process without a standard stream (`>&-`). Python then has None in its place, and the next opened
file gets its number, so that messages would be written into the record. A reader of stderr can close it, and a terminal
can have an encoding without the characters that negwb writes. None of this may end a command.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Final, TextIO, cast

_FLAGS: Final = (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)
"""For stdin, stdout and stderr, in the order of their numbers."""
_UNDELIVERABLE: Final = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EBADF, errno.EFBIG})


class MessageStream(io.TextIOWrapper):
    """A stderr that drops messages which cannot be delivered, so that the command continues."""

    def write(self, text: str) -> int:
        """Write, or drop this and all later text if it cannot be delivered."""
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
    """Open closed standard streams, make stdout and stderr accept all characters, and stderr accept a closed reader."""
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
    """Drop everything that is written to `descriptor` from now on, also by the interpreter's last flush."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)


@contextmanager
def stdout_as_stderr() -> Iterator[None]:
    """Within the block, what is written to stdout goes to stderr, also from C code and child processes."""
    if sys.stdout is None or sys.stderr is None:
        yield
        return
    sys.stdout.flush()
    with redirect_stdout(sys.stderr), _descriptor_as(1, 2):
        yield


@contextmanager
def _descriptor_as(descriptor: int, other: int) -> Iterator[None]:
    try:
        saved = os.dup(descriptor)
    except OSError:  # it is closed
        yield
        return
    try:
        os.dup2(other, descriptor)
        yield
    finally:
        os.dup2(saved, descriptor)
        os.close(saved)


def is_terminal_gone() -> bool:
    """Return whether a standard stream is a closed terminal; its SIGHUP can come later than a failed write."""
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
