"""Whether a person sits at both ends: what every command that opens a screen asks first."""

from __future__ import annotations

import sys


def at_a_terminal() -> bool:
    """Whether all streams are a terminal: Textual reads stdin and draws on stderr; stdout is asked what it can draw.

    A stream that was closed (`2>&-`) is none.
    """
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
