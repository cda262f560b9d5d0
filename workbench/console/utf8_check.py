"""Whether the terminal reads UTF-8, in which the screens are drawn. Asked before the app starts.

Python writes UTF-8 under the locale C, too (PEP 538, PEP 540), so its own encoding tells nothing there. A terminal
tells by itself: two bytes that are one character in UTF-8 move its cursor by one column.
"""

from __future__ import annotations

import codecs
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import Final

from workbench.console.terminal_env import detect_terminal
from workbench.console.terminal_query import read_answer

_PATIENCE: Final = 0.25
_QUESTION: Final = "\r\u00e9\x1b[6n\r\x1b[K"
"""One character of two bytes, the request for the cursor's position, and the line as it was."""
_POSITION: Final = re.compile(rb"\x1b\[[0-9]+;([0-9]+)R")
_COLUMN: Final = 2
"""Where the cursor stands behind one character."""
_COERCED: Final = frozenset({"c.utf-8", "c.utf8", "utf-8"})
"""What Python itself puts into LC_CTYPE where the locale is C (PEP 538)."""


def is_utf8(encoding: str | None) -> bool:
    """Whether a stream has this encoding by one of its names."""
    try:
        return codecs.lookup(encoding or "").name == "utf-8"
    except LookupError:
        return False


def reads_utf8(environ: Mapping[str, str], ask: Callable[[], int | None] | None = None) -> bool | None:
    """Whether the terminal reads UTF-8; None: that is not known.

    Args:
        environ: The variables of the locale, and what lies between the app and the terminal.
        ask: Writes the question to the terminal; returns the column of the cursor, None without an answer.
    """
    if _promised(environ):
        return True
    if detect_terminal(environ, lambda _: "").multiplexer:
        return None  # it answers for itself, and may draw for a terminal that does not
    column = (ask or ask_column)()
    return None if column is None else column == _COLUMN


def locale_in_words(environ: Mapping[str, str]) -> str:
    """The variable that decides about the characters of the locale, with its value; "no locale" without one."""
    return next((f"{name}={environ[name]}" for name in _variables(environ)), "no locale")


def _promised(environ: Mapping[str, str]) -> bool:
    """Whether the locale is one of UTF-8, by the environment that the process was started with."""
    name = next(iter(_variables(environ)), "")
    return "utf" in environ.get(name, "").lower()


def _variables(environ: Mapping[str, str]) -> list[str]:
    """Those that are set, the one that decides first; without what Python has set itself."""
    names = ["LC_ALL", "LC_CTYPE", "LANG"]
    if not environ.get("LC_ALL") and environ.get("LC_CTYPE", "").lower() in _COERCED:
        names.remove("LC_CTYPE")
    return [name for name in names if environ.get(name)]


def ask_column() -> int | None:
    """The terminal's cursor behind a character of two bytes; None: no answer. Keys pressed meanwhile are lost."""
    try:
        return _ask_column()
    except Exception:  # termios.error, a closed stream, Windows: nothing is known then
        return None


def _ask_column() -> int | None:
    import termios  # noqa: PLC0415  # not on Windows
    import tty  # noqa: PLC0415

    assert sys.__stdin__ is not None
    assert sys.__stdout__ is not None
    fd = sys.__stdin__.fileno()
    before = termios.tcgetattr(fd)
    tty.setcbreak(fd, termios.TCSANOW)
    try:
        sys.__stdout__.flush()
        os.write(sys.__stdout__.fileno(), _QUESTION.encode())
        answer = _POSITION.search(read_answer(fd, _POSITION, time.monotonic() + _PATIENCE))
    finally:
        termios.tcsetattr(fd, termios.TCSAFLUSH, before)
    return int(answer[1]) if answer else None
