"""Sanitise external text for storage (`clean`) and for display (`display_text`).

Captions and model answers are hostile input. `clean` runs once, when text enters the record; `display_text` runs each
time text is shown. No other code strips or escapes text.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import lru_cache

# C0 and C1 controls except tab and newline, DEL, lone surrogates, bidi embeddings, overrides and isolates,
# and the two invisible separators that terminals treat as line ends. ZWJ and ZWNJ stay: emoji and scripts need them.
_REMOVED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff\ud800-\udfff]"
)
_BLANKS = re.compile(r"\s+")
_NO_LETTERS = re.compile(r"[\W_]+")
_LINE_ENDS = re.compile("\r\n?|\u2028|\u2029")


def clean(raw: str) -> str:
    """Return `raw` in NFC without control, bidi-override and surrogate characters; line ends become newlines.

    Nothing else changes. Leading and trailing blanks stay, so that an imported set exports unchanged.
    """
    if raw.isascii() and raw.isprintable():  # nine captions in ten
        return raw
    text = _LINE_ENDS.sub("\n", raw)
    return unicodedata.normalize("NFC", _REMOVED.sub("", text))


def raw_hash(raw: str) -> bytes:
    """Return SHA-256 (32 bytes) of the raw text in UTF-8; a lone surrogate is encoded as three bytes."""
    return hashlib.sha256(raw.encode("utf-8", "surrogatepass")).digest()


def display_text(text: str, *, limit: int = 2_000) -> str:
    """Return `text` on one line, safe for a terminal, cut to `limit` characters with an ellipsis.

    The result contains no control characters, but may contain markup: show it as plain text, never parse it.
    """
    cut = text if len(text) <= limit * 4 else text[: limit * 4]
    line = _BLANKS.sub(" ", clean(cut)).strip()
    if len(line) > limit or len(cut) < len(text):
        return line[: limit - 1] + "…"
    return line


def first_line(error: BaseException, *, limit: int = 200) -> str:
    """Return the first non-empty line of the message of a library's exception, or the class name; safe to show."""
    return _line_of(error, 0, limit)


def last_line(error: BaseException, *, limit: int = 200) -> str:
    """Return the last non-empty line of the message of a library's exception, or the class name; safe to show."""
    return _line_of(error, -1, limit)


def _line_of(error: BaseException, index: int, limit: int) -> str:
    lines = [line for line in map(display_text, str(error).splitlines()) if line]
    return display_text(lines[index], limit=limit) if lines else type(error).__name__


def counted(count: int, noun: str) -> str:
    """Return a count with its noun in the right number: "1 image", "2,000 images"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


@lru_cache(maxsize=4_096)
def normalised(text: str) -> str:
    """Return `text` for duplicate detection: without case, punctuation and differences in blanks."""
    return _NO_LETTERS.sub(" ", clean(text).casefold()).strip()
