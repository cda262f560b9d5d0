"""Decompression of bodies within the size limit."""

from __future__ import annotations

import gzip
import zlib

import pytest

from workbench.generation.engines.http.body import MAX_BODY_BYTES, BodyEncodingError, BodyTooLong, decompressed

TEXT = b'{"choices": []}' * 20
RAW_DEFLATE = zlib.compressobj(wbits=-zlib.MAX_WBITS)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (TEXT, ""),
        (TEXT, "identity"),
        (gzip.compress(TEXT), "gzip"),
        (gzip.compress(TEXT), " X-GZip "),
        (gzip.compress(TEXT), ""),  # without the header
        (gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:]), "gzip"),
        (gzip.compress(TEXT) + b"\x00" * 20, "gzip"),
        (zlib.compress(TEXT), "deflate"),
        (RAW_DEFLATE.compress(TEXT) + RAW_DEFLATE.flush(), "deflate"),
        (gzip.compress(zlib.compress(TEXT)), "deflate, gzip"),
    ],
)
def test_compressed_bodies_are_read(body: bytes, encoding: str) -> None:
    assert decompressed(body, encoding) == TEXT


def test_an_empty_body_is_not_compressed() -> None:
    assert decompressed(b"", "gzip") == b""


@pytest.mark.parametrize(
    ("body", "encoding", "message"),
    [
        (gzip.compress(TEXT)[:-9], "gzip", "incomplete"),
        (gzip.compress(TEXT)[:20] + b"\xff" * 30, "gzip", "damaged|incomplete"),
        (b"plain", "gzip", "damaged"),
        (TEXT, "br", "unknown Content-Encoding"),
    ],
)
def test_damaged_bodies_are_refused(body: bytes, encoding: str, message: str) -> None:
    with pytest.raises(BodyEncodingError, match=message):
        decompressed(body, encoding)


@pytest.mark.parametrize("members", [1, 3])
def test_a_bomb_is_refused(members: int) -> None:
    size = MAX_BODY_BYTES // members + 1
    with pytest.raises(BodyTooLong):
        decompressed(gzip.compress(bytes(size)) * members, "gzip")
    with pytest.raises(BodyTooLong):
        decompressed(gzip.compress(gzip.compress(bytes(MAX_BODY_BYTES + 1))), "gzip, gzip")
