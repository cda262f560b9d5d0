"""A real pseudo-terminal with a program in it: keys go in as bytes, the screen comes out as bytes.

It answers position requests as terminals do: when it has taken in all that was sent before. `bytes_per_second` puts a
slow line between the two; what is still on the line has not been shown, and is not in `output`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

_CONTROL = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")
"""Colours and movements: what is repainted in parts is one text all the same."""
_POSITION_REQUEST = re.compile(rb"\x1b\[(\d+);(\d+)H\x1b\[6n")
_LONGEST_REQUEST = 20
SEEN_SECONDS = 0.3
"""More than a new card must be on the screen before a key decides about it."""
_SIZE_BY_NAME = {"COLUMNS", "LINES"}
"""Set by some test runners; a program believes them more than the window."""


class Terminal:
    """Runs `command` at `columns` x `rows` until it is left; everything it wrote is in `output`."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        columns: int = 120,
        rows: int = 36,
        answers: bool = True,
        bytes_per_second: int | None = None,
        **environment: str,
    ) -> None:
        self._answers = answers
        self.bytes_per_second = bytes_per_second
        self._on_the_line = bytearray()
        self._answered_to = 0
        """So much of the output was looked through for requests."""
        self._answered_at = 0.0
        self._terminal, end = pty.openpty()
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        mine = {name: value for name, value in os.environ.items() if name not in _SIZE_BY_NAME}
        variables = {**mine, "TERM": "xterm-256color", "COLORTERM": "truecolor", **environment}
        self.process = subprocess.Popen(
            [str(word) for word in command], stdin=end, stdout=end, stderr=end, env=variables, start_new_session=True
        )
        os.close(end)
        self.output = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        last = time.monotonic()
        while True:
            try:
                if select.select([self._terminal], [], [], 0.02 if self._on_the_line else 0.1)[0]:
                    self._on_the_line += os.read(self._terminal, 65536)
                elif self.process.poll() is not None:
                    self._show(len(self._on_the_line))
                    return
            except OSError:
                self._show(len(self._on_the_line))
                return
            now = time.monotonic()
            rate = self.bytes_per_second
            self._show(len(self._on_the_line) if rate is None else int((now - last) * rate) + 1)
            last = now

    def _show(self, count: int) -> None:
        """So many bytes leave the line for the screen, and the terminal answers what is asked in them."""
        self.output += self._on_the_line[:count]
        del self._on_the_line[:count]
        if not self._answers:
            return
        for request in _POSITION_REQUEST.finditer(bytes(self.output), self._answered_to):
            self._answered_to = request.end()
            with contextlib.suppress(OSError):
                os.write(self._terminal, b"\x1b[%b;%bR" % request.groups())
            self._answered_at = time.monotonic()
        self._answered_to = max(self._answered_to, len(self.output) - _LONGEST_REQUEST)

    def send(self, keys: str) -> None:
        """Send keys, or anything else, at once."""
        os.write(self._terminal, keys.encode())

    def press(self, keys: str) -> None:
        """Send keys as a person does: not before a card that has just come can have been seen."""
        while (left := self._answered_at + SEEN_SECONDS - time.monotonic()) > 0:
            time.sleep(left)
        self.send(keys)

    def resize(self, columns: int, rows: int) -> None:
        """Change the window's size, as a terminal does: the program gets SIGWINCH.

        From us: the system sends it to programs whose controlling terminal this is, and to this one it is not.
        """
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGWINCH)

    def press_until(self, keys: str, happened: Callable[[], bool], *, seconds: float = 30) -> None:
        """Press keys, and again every second: the app may have no card yet, and then they decide nothing.

        Raises:
            TimeoutError: it never happened; the end of the output is in the message.
        """
        deadline = time.monotonic() + seconds
        while not happened():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise TimeoutError(f"pressed {keys!r}; the screen ended with {bytes(self.output[-2000:])!r}")
            self.press(keys)
            again = time.monotonic() + 1
            while not happened() and time.monotonic() < again:
                time.sleep(0.01)

    def shows(self, words: bytes) -> bool:
        """Whether these words have been written to the screen, in whatever colours."""
        return words in self.output or words in _CONTROL.sub(b"", bytes(self.output))

    def wait_for(self, found: Callable[[], bool] | bytes, *, seconds: float = 30) -> None:
        """Wait until `found` is true, or has been written to the screen.

        Raises:
            TimeoutError: it never was; the end of the output is in the message.
        """
        deadline = time.monotonic() + seconds
        while not (self.shows(found) if isinstance(found, bytes) else found()):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise TimeoutError(f"waited for {found!r}; the screen ended with {bytes(self.output[-2000:])!r}")
            time.sleep(0.02)

    def end(self, *, seconds: float = 20) -> int:
        """Wait for the program to end by itself; returns its exit code."""
        code = self.process.wait(seconds)
        self._reader.join(5)
        return code

    def hang_up(self) -> None:
        """Close our end of the terminal, so that reading from it and writing to it fail."""
        gone = os.open(os.devnull, os.O_RDWR)
        os.dup2(gone, self._terminal)
        os.close(gone)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Kill the program and wait until it is gone."""
        self.process.send_signal(how)
        self.process.wait(20)
        self._reader.join(5)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
        self._reader.join(5)
        os.close(self._terminal)
