"""Decodes files of unknown encoding block by block, so that no file is in memory as a whole.

UTF-16 and UTF-32 are recognized by byte order mark or zero bytes; everything else is read as UTF-8. An invalid byte
becomes a lone surrogate, so that only the row that holds it is refused.
"""

from __future__ import annotations

import codecs
import json
from pathlib import Path

from curation_db.importing.compression import damage, open_bytes

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def sniff(head: bytes) -> tuple[str, int]:
    """Return the encoding that a file's first bytes indicate, and the length of its byte order mark in bytes."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name, len(mark)
    return json.detect_encoding(head), 0


_LONE = "negwb-lone-surrogate"


def _as_lone_surrogate(error: UnicodeError) -> tuple[str, int]:
    """Codec error handler: replace each invalid unit by one lone surrogate.

    With one surrogate per unit, the text has as many bytes in UTF-16 and UTF-32 as the file.
    """
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\udcff", error.end


codecs.register_error(_LONE, _as_lone_surrogate)


def error_rule(encoding: str) -> str:
    """Return the name of the codec error handler that decodes invalid bytes as lone surrogates."""
    return "surrogateescape" if encoding == "utf-8" else _LONE


class TextBlocks:
    """The text of a file, block by block; computes how many bytes of the file a piece of text occupies."""

    def __init__(self, path: Path) -> None:
        self.size = path.stat().st_size
        self._file = open_bytes(path)
        self._head = self._file.read(4)
        self.encoding, self.start = sniff(self._head)
        self._head = self._head[self.start :]
        self._decoder = codecs.getincrementaldecoder(self.encoding)(error_rule(self.encoding))
        self.ended = False

    def read(self, size: int) -> str:
        """Return about `size` more characters; "" only at the end of the file."""
        while not self.ended:
            block, self._head = self._head + self._file.read(size), b""
            self.ended = not block
            if text := self._decoder.decode(block, final=not block):
                return text
        return ""

    @property
    def damage(self) -> str:
        """Why the file ended too early; "": it is complete."""
        return damage(self._file)

    def width(self, text: str) -> int:
        """Return how many bytes of the file `text` occupies."""
        if self.encoding == "utf-8" and text.isascii():
            return len(text)
        return len(text.encode(self.encoding, "surrogateescape" if self.encoding == "utf-8" else "surrogatepass"))

    def __enter__(self) -> TextBlocks:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
