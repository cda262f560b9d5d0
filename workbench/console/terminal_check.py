"""Checks before a command opens a screen: are the streams a terminal, and does it read UTF-8?"""

from __future__ import annotations

import os
import sys

from workbench.errors import UsageError


def in_a_browser() -> bool:
    """Return whether `negwb serve` started this process, so that Textual draws into a page."""
    return os.environ.get("TEXTUAL_DRIVER", "").startswith("textual.drivers.web_driver")


def at_a_terminal() -> bool:
    """Return whether all standard streams are a terminal, or the app runs in a browser.

    Textual reads stdin and draws on stderr, and stdout is used to query the terminal.
    """
    if in_a_browser():
        return True
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))


def doubt_about_characters(instead: str) -> str:
    """Return a warning about the encoding of the terminal; "" if it reads UTF-8.

    Args:
        instead: The command that needs no screen.

    Raises:
        UsageError: The terminal or stderr has another encoding, so a screen would be unreadable.
    """
    from workbench.console.utf8_check import is_utf8, locale_in_words, reads_utf8  # noqa: PLC0415

    if in_a_browser():
        return ""
    hint = f"without a screen: {instead}; or in a terminal of UTF-8, with a locale such as LC_ALL=C.UTF-8"
    encoding = getattr(sys.__stderr__, "encoding", None)
    if not is_utf8(encoding):
        raise UsageError(f"the screens are drawn in UTF-8, and output is in {encoding}", hint=hint)
    is_utf8_terminal = reads_utf8(os.environ)
    if is_utf8_terminal is False:
        raise UsageError("the screens are drawn in UTF-8, which this terminal does not read", hint=hint)
    if is_utf8_terminal:
        return ""
    return f"{locale_in_words(os.environ)} does not name UTF-8: if the screen is garbled, quit and use {instead}"
