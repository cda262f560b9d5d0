"""Whether a person sits at both ends, and can read the screen: what every command that opens one asks first."""

from __future__ import annotations

import os
import sys

from workbench.errors import UsageError


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


def doubt_about_characters(instead: str) -> str:
    """What to tell the person about the characters of the terminal; empty where it reads UTF-8.

    Args:
        instead: The command that needs no screen.

    Raises:
        UsageError: a screen would be unreadable, since the terminal or stderr has another encoding.
    """
    from workbench.console.utf8_check import is_utf8, locale_in_words, reads_utf8  # noqa: PLC0415

    if in_a_browser():
        return ""
    hint = f"without a screen: {instead}; or in a terminal of UTF-8, with a locale such as LC_ALL=C.UTF-8"
    encoding = getattr(sys.__stderr__, "encoding", None)
    if not is_utf8(encoding):
        raise UsageError(f"the screens are drawn in UTF-8, and output is in {encoding}", hint=hint)
    known = reads_utf8(os.environ)
    if known is False:
        raise UsageError("the screens are drawn in UTF-8, which this terminal does not read", hint=hint)
    if known:
        return ""
    return f"{locale_in_words(os.environ)} does not say UTF-8: if the screen is garbled, leave and use {instead}"
