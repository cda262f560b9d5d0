"""A pseudo-terminal that runs a program: keys go in as bytes, the screen comes out as bytes.

The terminal answers cursor position requests after it has processed everything sent before. `bytes_per_second`
simulates a slow connection: bytes still on the connection are not shown and not in `output`.
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

from support.screen import ScreenReader

_CONTROL = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")
"""Colours and cursor movements, which may divide a text on the screen."""
_POSITION_REQUEST = re.compile(rb"\x1b\[(\d+);(\d+)H\x1b\[6n")
_BACKGROUND_REQUEST = b"\x1b]11;?\x1b\\\x1b[c"
_LONGEST_REQUEST = 20
_PIECE = 500
"""Bytes between two looks at the screen: less than a frame."""
MIN_CARD_SECONDS = 0.3
"""Longer than a new card must be on the screen before a key decides it."""
LONGEST_WAIT_S = 60.0
"""For what a program should do at once: far more than a slow machine needs."""
IGNORED_KEY_TEXT = b"key ignored"
BURST_SECONDS = 0.6
"""Longer than the app ignores keys after an ignored one."""
_SIZE_BY_NAME = {"COLUMNS", "LINES"}
"""Set by some test runners; they take precedence over the size of the window."""


class Terminal:
    """Runs `command` in a terminal of `columns` x `rows`; `output` has everything that was written."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        columns: int = 120,
        rows: int = 36,
        answers: bool = True,
        bytes_per_second: int | None = None,
        background: bytes = b"",
        cell: tuple[int, int] = (0, 0),
        before_exec: Callable[[], None] | None = None,
        **environment: str,
    ) -> None:
        """Start the program.

        Args:
            background: Colour in the answer to a request for it, as in rgb:ffff/ffff/ffff; empty: no answer.
            cell: Width and height of a cell in pixels; 0: the size of the window has no pixels.
        """
        self._answers = answers
        self._background = background
        self.bytes_per_second = bytes_per_second
        self._pending = bytearray()
        self._searched_to = 0
        """Length of the output that was searched for requests."""
        self._answered_at = 0.0
        self._terminal, end = pty.openpty()
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, columns * cell[0], rows * cell[1]))
        inherited = {name: value for name, value in os.environ.items() if name not in _SIZE_BY_NAME}
        variables = {**inherited, "TERM": "xterm-256color", "COLORTERM": "truecolor", **environment}
        self.process = subprocess.Popen(
            [str(argument) for argument in command],
            stdin=end,
            stdout=end,
            stderr=end,
            env=variables,
            start_new_session=True,
            preexec_fn=before_exec,  # noqa: PLW1509 -- only drops capabilities
        )
        os.close(end)
        self.output = bytearray()
        self._screen, self._drawn_to = ScreenReader(columns, rows), 0
        self._screens: list[str] = []
        """What has been on the screen, after pieces of the output."""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        last = time.monotonic()
        while True:
            try:
                if select.select([self._terminal], [], [], 0.02 if self._pending else 0.1)[0]:
                    if not (read := os.read(self._terminal, 65536)):
                        return  # `hang_up`
                    self._pending += read
                elif self.process.poll() is not None:
                    self._show(len(self._pending))
                    return
            except OSError:
                self._show(len(self._pending))
                return
            now = time.monotonic()
            rate = self.bytes_per_second
            self._show(len(self._pending) if rate is None else int((now - last) * rate) + 1)
            last = now

    def _show(self, count: int) -> None:
        """Move `count` pending bytes to the screen and answer the requests in them."""
        self.output += self._pending[:count]
        del self._pending[:count]
        if not self._answers:
            return
        if self._background and _BACKGROUND_REQUEST in self.output:
            with contextlib.suppress(OSError):
                os.write(self._terminal, b"\x1b]11;%b\x1b\\\x1b[?62;22c" % self._background)
            self._background = b""
        for request in _POSITION_REQUEST.finditer(bytes(self.output), self._searched_to):
            self._searched_to = request.end()
            with contextlib.suppress(OSError):
                os.write(self._terminal, b"\x1b[%b;%bR" % request.groups())
            self._answered_at = time.monotonic()
        self._searched_to = max(self._searched_to, len(self.output) - _LONGEST_REQUEST)

    def send(self, keys: str) -> None:
        """Send text immediately."""
        os.write(self._terminal, keys.encode())

    def press(self, keys: str) -> None:
        """Send keys when a card that has just been painted accepts a decision."""
        while (left := self._answered_at + MIN_CARD_SECONDS - time.monotonic()) > 0:
            time.sleep(left)
        self.send(keys)

    def resize(self, columns: int, rows: int, cell: tuple[int, int] = (0, 0)) -> None:
        """Change the size of the window and send SIGWINCH.

        The system sends SIGWINCH only to programs whose controlling terminal this is, which is not the case here.
        """
        size = struct.pack("HHHH", rows, columns, columns * cell[0], rows * cell[1])
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)
        self._screen.resize(columns, rows)
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGWINCH)

    def press_until(self, keys: str, happened: Callable[[], bool], *, seconds: float = LONGEST_WAIT_S) -> None:
        """Press keys every second until `happened`: without a card the app ignores them.

        Raises:
            TimeoutError: the message has the end of the output.
        """
        deadline = time.monotonic() + seconds
        while not happened():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise TimeoutError(f"pressed {keys!r}; the screen ended with {bytes(self.output[-2000:])!r}")
            self.press(keys)
            again = time.monotonic() + 1
            while not happened() and time.monotonic() < again:
                time.sleep(0.01)

    def press_for(self, keys: str, effect: Callable[[], bool] | bytes, *, seconds: float = LONGEST_WAIT_S) -> None:
        """Press keys, and again where the app ignored them, until `effect` is true or on the screen.

        The next card of a busy machine may not be on the screen yet; without it the app ignores most keys.

        Raises:
            TimeoutError: the message has the end of the output.
        """

        def happened() -> bool:
            return self.shows(effect) if isinstance(effect, bytes) else effect()

        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            start = len(self.output)
            self.press(keys)
            with contextlib.suppress(TimeoutError):
                self.wait_for(lambda start=start: happened() or IGNORED_KEY_TEXT in self.output[start:], seconds=4)
            if happened():
                return
            time.sleep(BURST_SECONDS)
        raise TimeoutError(f"pressed {keys!r}; the screen ended with {bytes(self.output[-2000:])!r}")

    def shows(self, text: bytes) -> bool:
        """Return whether the text has been on the screen or in the output, in any colours.

        The app sends only the cells that change, so a text may reach the screen in parts.
        """
        output = bytes(self.output)
        if text in output or text in _CONTROL.sub(b"", output):
            return True
        for start in range(self._drawn_to, len(output), _PIECE):
            self._screen.feed(output[start : start + _PIECE])
            self._drawn_to = min(start + _PIECE, len(output))
            if (screen := self._screen.text) != (self._screens[-1] if self._screens else ""):
                self._screens.append(screen)
        wanted = text.decode()
        return any(wanted in screen for screen in self._screens)

    def wait_for(self, condition: Callable[[], bool] | bytes, *, seconds: float = LONGEST_WAIT_S) -> None:
        """Wait until `condition` is true or has been written to the screen.

        Raises:
            TimeoutError: the message has the end of the output.
        """
        deadline = time.monotonic() + seconds
        while not (self.shows(condition) if isinstance(condition, bytes) else condition()):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise TimeoutError(f"waited for {condition!r}; the screen ended with {bytes(self.output[-2000:])!r}")
            time.sleep(0.02)

    def end(self, *, seconds: float = LONGEST_WAIT_S) -> int:
        """Wait for the program to end; return its exit code."""
        code = self.process.wait(seconds)
        self._reader.join(20)
        return code

    def hang_up(self) -> None:
        """Close our end of the terminal, so that the program can neither read nor write."""
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, self._terminal)
        os.close(null)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the program and wait for its end."""
        self.process.send_signal(how)
        self.process.wait(LONGEST_WAIT_S)
        self._reader.join(20)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
        self._reader.join(20)
        os.close(self._terminal)
