"""Bytes of unknown encoding as text, block by block, so that no file is ever held whole.

Byte order marks and the zero bytes of UTF-16 and UTF-32 are honoured; everything else is read as UTF-8. A byte that
is none becomes a lone surrogate, so that the row that holds it can be refused and its neighbours kept.
"""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from types import TracebackType

from curation_db.importing.compression import damage, open_bytes

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def sniff(head: bytes) -> tuple[str, int]:
    """The encoding that a file's first bytes tell of, and the length of its byte order mark."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name, len(mark)
    return json.detect_encoding(head), 0


_LONE = "negwb-lone-surrogate"


def _as_lone_surrogate(error: UnicodeError) -> tuple[str, int]:
    """A codec error handler: one lone surrogate for what is no character, and on behind it.

    One for each, so that in UTF-16 and UTF-32 the text takes as many bytes as the file's did.
    """
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\udcff", error.end


codecs.register_error(_LONE, _as_lone_surrogate)


def error_rule(encoding: str) -> str:
    """The codec error handler for decoding that puts lone surrogates for undecodable bytes."""
    return "surrogateescape" if encoding == "utf-8" else _LONE


class TextBlocks:
    """A file's text, a block at a time; knows how many bytes a piece of it took."""

    def __init__(self, path: Path) -> None:
        self.size = path.stat().st_size
        self._file = open_bytes(path)
        self._head = self._file.read(4)
        self.encoding, self.start = sniff(self._head)
        self._head = self._head[self.start :]
        self._decoder = codecs.getincrementaldecoder(self.encoding)(error_rule(self.encoding))
        self.ended = False

    def read(self, size: int) -> str:
        """About `size` more characters; "" at the end of the file, and only there."""
        while not self.ended:
            block, self._head = self._head + self._file.read(size), b""
            self.ended = not block
            if text := self._decoder.decode(block, final=not block):
                return text
        return ""

    @property
    def damage(self) -> str:
        """Why the file ended too early; "": it did not."""
        return damage(self._file)

    def width(self, text: str) -> int:
        """How many bytes of the file `text` took."""
        if self.encoding == "utf-8" and text.isascii():
            return len(text)
        return len(text.encode(self.encoding, "surrogateescape" if self.encoding == "utf-8" else "surrogatepass"))

    def __enter__(self) -> TextBlocks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
