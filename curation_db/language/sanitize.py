"""Text from outside: the one sanitiser, and the one way to show what it kept.

Captions and model answers are hostile input. `clean` runs once, when text enters the record; `display_text` runs
every time text goes to a screen. Both are pure; nothing else in the house may strip or escape text.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import lru_cache

# C0 and C1 controls except tab and newline, DEL, lone surrogates, bidi embeddings, overrides and isolates,
# and the two invisible separators that terminals treat as line ends. ZWJ and ZWNJ stay: emoji and scripts need them.
_UNWANTED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff\ud800-\udfff]"
)
_BLANKS = re.compile(r"\s+")
_NO_LETTERS = re.compile(r"[\W_]+")
_LINE_ENDS = re.compile("\r\n?|\u2028|\u2029")


def clean(raw: str) -> str:
    """`raw` in NFC without control, bidi-override and surrogate characters; line ends become newlines.

    Nothing else changes: blanks at the ends stay, so a set that is imported and exported stays equal.
    """
    if raw.isascii() and raw.isprintable():  # nine captions in ten
        return raw
    text = _LINE_ENDS.sub("\n", raw)
    return unicodedata.normalize("NFC", _UNWANTED.sub("", text))


def raw_hash(raw: str) -> bytes:
    """SHA-256 (32 bytes) of the raw text in UTF-8; a lone surrogate counts as its three bytes."""
    return hashlib.sha256(raw.encode("utf-8", "surrogatepass")).digest()


def display_text(text: str, *, limit: int = 2_000) -> str:
    """`text` on one line, safe to hand to a terminal, at most `limit` characters (an ellipsis tells of a cut).

    The result holds no control character at all, so it must still be shown *as text*: never parsed as markup.
    """
    cut = text if len(text) <= limit * 4 else text[: limit * 4]
    line = _BLANKS.sub(" ", clean(cut)).strip()
    if len(line) > limit or len(cut) < len(text):
        return line[: limit - 1] + "…"
    return line


def first_line(error: BaseException, *, limit: int = 200) -> str:
    """The first line of the message of an exception of another library, safe to show; without one its class.

    A library may raise an exception without a message, or with one that begins with an empty line.
    """
    return _line_of(error, 0, limit)


def last_line(error: BaseException, *, limit: int = 200) -> str:
    """The last line of the message of an exception of another library, safe to show; without one its class."""
    return _line_of(error, -1, limit)


def _line_of(error: BaseException, place: int, limit: int) -> str:
    lines = [line for line in map(display_text, str(error).splitlines()) if line]
    return display_text(lines[place], limit=limit) if lines else type(error).__name__


def counted(count: int, noun: str) -> str:
    """A count with its noun, as a person would say it: 1 picture, 2,000 pictures."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


@lru_cache(maxsize=4_096)
def normalised(text: str) -> str:
    """`text` as duplicates are told by: case, punctuation and blanks do not count."""
    return _NO_LETTERS.sub(" ", clean(text).casefold()).strip()
