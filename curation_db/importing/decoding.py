"""Bytes of unknown encoding as text, block by block, so that no file is ever held whole.

Byte order marks and the zero bytes of UTF-16 and UTF-32 are honoured; everything else is read as UTF-8. A byte that
is none becomes a lone surrogate, so that the row that holds it can be refused and its neighbours kept.
"""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from types import TracebackType

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


def error_rule(encoding: str) -> str:
    """The codec error handler that keeps undecodable bytes as lone surrogates."""
    return "surrogateescape" if encoding == "utf-8" else "surrogatepass"


class TextBlocks:
    """A file's text, a block at a time; knows how many bytes a piece of it took."""

    def __init__(self, path: Path) -> None:
        self.size = path.stat().st_size
        self._file = path.open("rb")
        self.encoding, self.start = sniff(self._file.read(4))
        self._file.seek(self.start)
        self._errors = error_rule(self.encoding)
        self._decoder = codecs.getincrementaldecoder(self.encoding)(self._errors)
        self.ended = False

    def read(self, size: int) -> str:
        """About `size` more characters; "" at the end of the file, and only there."""
        while not self.ended:
            block = self._file.read(size)
            self.ended = not block
            if text := self._decode(block):
                return text
        return ""

    def _decode(self, block: bytes) -> str:
        try:
            return self._decoder.decode(block, final=not block)
        except UnicodeDecodeError:
            # UTF-16 or UTF-32 that stops in the middle of a character, or is none: the text ends here
            self.ended = True
            return ""

    def width(self, text: str) -> int:
        """How many bytes of the file `text` took."""
        if self.encoding == "utf-8" and text.isascii():
            return len(text)
        return len(text.encode(self.encoding, self._errors))

    def __enter__(self) -> TextBlocks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
