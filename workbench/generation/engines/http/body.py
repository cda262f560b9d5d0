"""Bodies of replies: decompression within a size limit. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final

MAX_BODY_BYTES: Final = 2**22
"""Largest body of a reply. An answer of 1,000 words with log-probabilities has a quarter of that."""
_PIECE_BYTES: Final = 1 << 20
_GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS


class BodyTooLong(ValueError):
    """The decompressed body exceeds `MAX_BODY_BYTES`."""


class BodyEncodingError(ValueError):
    """The body is compressed in another way, or damaged; the message is one line."""


def decompressed(body: bytes, encoding: str) -> bytes:
    """Return the body without the compression that its Content-Encoding names; servers compress without being asked.

    Raises:
        BodyTooLong, BodyEncodingError
    """
    for name in reversed([each.strip().lower() for each in encoding.split(",")]):
        if name in {"gzip", "x-gzip", "deflate"}:
            body = _inflated(body, name)
        elif name not in {"", "identity"}:
            raise BodyEncodingError("the server's answer has an unknown Content-Encoding")
    return _inflated(body, "gzip") if body.startswith(_GZIP_MAGIC) else body


class StreamedBody:
    """Passes on a body chunk by chunk, without the compression that its Content-Encoding names."""

    def __init__(self, encoding: str, write: Callable[[bytes], None], max_bytes: int) -> None:
        """`max_bytes` is the largest size after decompression."""
        names = {each.strip().lower() for each in encoding.split(",")} - {"", "identity"}
        if len(names) > 1 or not names <= {"gzip", "x-gzip", "deflate"}:
            raise BodyEncodingError("the server's answer has an unknown Content-Encoding")
        self._stream = zlib.decompressobj(_GZIP_OR_ZLIB) if names else None
        self._write, self._left = write, max_bytes

    def feed(self, chunk: bytes) -> None:
        """Pass on a chunk.

        Raises:
            BodyTooLong, BodyEncodingError
        """
        while chunk:
            content, chunk = self._decompress(chunk)
            self._left -= len(content)
            if self._left < 0:
                raise BodyTooLong
            if content:
                self._write(content)

    def finish(self) -> None:
        """Check the end of the body; raise BodyEncodingError if it is incomplete."""
        if self._stream is not None and not self._stream.eof:
            raise BodyEncodingError("the server's compressed answer is incomplete")

    def _decompress(self, chunk: bytes) -> tuple[bytes, bytes]:
        if self._stream is None:
            return chunk, b""
        try:
            return self._stream.decompress(chunk, _PIECE_BYTES), self._stream.unconsumed_tail
        except zlib.error:
            raise BodyEncodingError("the server's compressed answer is damaged") from None


def _inflated(body: bytes, name: str) -> bytes:
    if not body:
        return b""
    if name == "deflate" and body[0] & 0x0F != 8:  # some servers send the bare stream without zlib's header
        return _all_members(body, -zlib.MAX_WBITS)
    return _all_members(body, _GZIP_OR_ZLIB)


def _all_members(body: bytes, window_bits: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while body:
        stream = zlib.decompressobj(window_bits)
        try:
            part = stream.decompress(body, MAX_BODY_BYTES + 1 - size)
        except zlib.error:
            if parts and not body.strip(b"\x00"):  # padding after the last member
                break
            raise BodyEncodingError("the server's compressed answer is damaged") from None
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise BodyTooLong
        if not stream.eof:
            raise BodyEncodingError("the server's compressed answer is incomplete")
        parts.append(part)
        body = stream.unused_data
    return b"".join(parts)
