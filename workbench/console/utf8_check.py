"""Check whether the terminal reads UTF-8, in which the screens are drawn. Runs before the app starts.

Under the locale C, Python writes UTF-8 too (PEP 538, PEP 540), so its own encoding is no evidence. The cursor is: the
two bytes of one UTF-8 character move it by one column only in a terminal that reads UTF-8.
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
from workbench.console.terminal_query import read_answer, unbuffered_input

_PATIENCE: Final = 0.25
_QUESTION: Final = "\r\u00e9\x1b[6n\r\x1b[K"
"""One character of two bytes, a request for the cursor's position, and the removal of the character."""
_POSITION: Final = re.compile(rb"\x1b\[[0-9]+;([0-9]+)R")
_COLUMN: Final = 2
"""Column of the cursor after one character."""
_COERCED: Final = frozenset({"c.utf-8", "c.utf8", "utf-8"})
"""Values of LC_CTYPE that Python sets under the locale C (PEP 538)."""


def is_utf8(encoding: str | None) -> bool:
    """Return whether an encoding is UTF-8 by one of its names."""
    try:
        return codecs.lookup(encoding or "").name == "utf-8"
    except LookupError:
        return False


def reads_utf8(environ: Mapping[str, str], ask: Callable[[], int | None] | None = None) -> bool | None:
    """Return whether the terminal reads UTF-8; None: unknown.

    Args:
        ask: Writes the character to the terminal and returns the column of the cursor; None: no answer.
    """
    if _promised(environ):
        return True
    if detect_terminal(environ, lambda _: "").multiplexer:
        return None  # the multiplexer answers, and the terminal around it may have another encoding
    column = (ask or ask_column)()
    return None if column is None else column == _COLUMN


def locale_in_words(environ: Mapping[str, str]) -> str:
    """Return the variable that sets the encoding, with its value; "no locale" without one."""
    return next((f"{name}={environ[name]}" for name in _variables(environ)), "no locale")


def _promised(environ: Mapping[str, str]) -> bool:
    """Return whether the locale of the environment has UTF-8."""
    name = next(iter(_variables(environ)), "")
    return "utf" in environ.get(name, "").lower()


def _variables(environ: Mapping[str, str]) -> list[str]:
    """Return the set variables, the most important first, without one that Python has set."""
    names = ["LC_ALL", "LC_CTYPE", "LANG"]
    if not environ.get("LC_ALL") and environ.get("LC_CTYPE", "").lower() in _COERCED:
        names.remove("LC_CTYPE")
    return [name for name in names if environ.get(name)]


def ask_column() -> int | None:
    """Return the column of the cursor after the character; None: no answer. Keys pressed meanwhile are lost."""
    try:
        return _ask_column()
    except Exception:  # termios.error, a closed stream, Windows
        return None


def _ask_column() -> int | None:
    assert sys.__stdout__ is not None
    with unbuffered_input() as fd:
        sys.__stdout__.flush()
        os.write(sys.__stdout__.fileno(), _QUESTION.encode())
        answer = _POSITION.search(read_answer(fd, _POSITION, time.monotonic() + _PATIENCE))
    return int(answer[1]) if answer else None
