"""Whether a person sits at both ends: what every command that opens a screen asks first."""

from __future__ import annotations

import os
import sys


def in_a_browser() -> bool:
    """Whether `negwb serve` has started us: then Textual speaks to a page, through our streams."""
    return os.environ.get("TEXTUAL_DRIVER", "").startswith("textual.drivers.web_driver")


def at_a_terminal() -> bool:
    """Whether all streams are a terminal: Textual reads stdin and draws on stderr; stdout is asked what it can draw.

    A stream that was closed (`2>&-`) is none. A page in a browser will do as well.
    """
    if in_a_browser():
        return True
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
