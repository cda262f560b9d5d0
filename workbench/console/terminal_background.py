"""Finds out whether the terminal has a light background, before the app starts.

The terminal is asked for its background colour (OSC 11) and, behind it, for its device attributes, which nearly all
terminals answer: a terminal that does not know the first question costs no waiting. Without an answer the variable
COLORFGBG decides, which some terminals set and which may be stale.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import Final

from workbench.console.terminal_check import in_a_browser
from workbench.console.terminal_query import read_answer, silence_echo, unbuffered_input

_PATIENCE_S: Final = 0.1
_QUESTION: Final = b"\x1b]11;?\x1b\\\x1b[c"
_COLOUR: Final = re.compile(rb"\x1b\]11;rgba?:([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})")
_ATTRIBUTES: Final = re.compile(rb"\x1b\[\?[0-9;]*c")
_LIGHT_COLOURS: Final = frozenset({"7", "15"})
"""White among the 16 colours of COLORFGBG."""
_DARK_COLOURS: Final = frozenset({*map(str, range(7)), "8"})
_SILENT: Final = frozenset({"", "dumb"})
"""Values of TERM of terminals that answer nothing."""


def is_light(environ: Mapping[str, str], ask: Callable[[], float | None] | None = None) -> bool | None:
    """Return whether the background of the terminal is light; None: unknown.

    Args:
        ask: Returns the luminance of the background from 0 to 1; None: no answer.
    """
    luminance = (ask or ask_luminance)()
    if luminance is not None:
        return luminance > 0.5
    background = environ.get("COLORFGBG", "").rpartition(";")[2]
    if background in _LIGHT_COLOURS:
        return True
    return False if background in _DARK_COLOURS else None


def ask_luminance() -> float | None:
    """Ask the terminal for the luminance of its background. Keys pressed meanwhile are lost."""
    try:
        return _ask() if _can_answer() else None
    except Exception:  # termios.error, a closed stream, Windows
        return None


def luminance_in(answer: bytes) -> float | None:
    """Return the luminance (ITU-R BT.709, of the encoded values) that an answer to OSC 11 states."""
    colour = _COLOUR.search(answer)
    if colour is None:
        return None
    red, green, blue = (int(digits, 16) / (16.0 ** len(digits) - 1) for digits in colour.groups())
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _can_answer() -> bool:
    streams = (sys.__stdin__, sys.__stdout__)
    is_terminal = all(stream is not None and stream.isatty() for stream in streams)
    return is_terminal and not in_a_browser() and os.environ.get("TERM", "") not in _SILENT


def _ask() -> float | None:
    assert sys.__stdout__ is not None
    with unbuffered_input() as fd:
        sys.__stdout__.flush()
        os.write(sys.__stdout__.fileno(), _QUESTION)
        answer = read_answer(fd, _ATTRIBUTES, time.monotonic() + _PATIENCE_S)
    if _ATTRIBUTES.search(answer) is None:
        silence_echo()  # a later answer would show on the screen until the app starts; the app drops it
    return luminance_in(answer)
