"""Opens a data file for reading and decompresses gzip, xz, bzip2 and Zstandard.

The first bytes decide, not the name. Only a window of the expanded content is in memory. Damaged or truncated data
ends with a byte that is invalid in every text encoding, so that the incomplete row is refused; `damage` returns the
reason.
"""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, Protocol, cast

from curation_db.importing.rows import InputError

_BLOCK: Final = 1 << 16
_SMALL_BLOCK: Final = 1 << 8
"""Input bytes per step for Zstandard without an output limit: they expand to 8 MiB at most."""
_BUFFER: Final = 1 << 20
_MEMORY_LIMIT: Final = 256 << 20
"""Largest window of xz and Zstandard, in bytes."""
_WINDOW_LOG: Final = 27
_SUFFIXES: Final = frozenset({".gz", ".xz", ".bz2", ".zst"})


def plain_name(path: Path) -> Path:
    """Return the path without the compression suffix: captions.json for captions.json.gz."""
    return path.with_suffix("") if path.suffix.lower() in _SUFFIXES else path


def is_compressed(path: Path) -> bool:
    """Return whether the content is compressed in a supported way."""
    with path.open("rb") as file:
        return _opener(file.read(6)) is not None


def open_bytes(path: Path) -> BinaryIO:
    """Open the file's expanded content.

    Raises:
        InputError: The file is compressed, and the package that decompresses it is not installed.
        OSError: The file cannot be read.
    """
    file = path.open("rb")
    try:
        opener = _opener(file.read(6))
        file.seek(0)
        if opener is None:
            return file
        kind, make = opener
        return cast(BinaryIO, io.BufferedReader(_Expanded(file, kind, make(file)), _BUFFER))
    except BaseException:
        file.close()
        raise


def damage(file: IO[Any]) -> str:
    """Return why a file from `open_bytes` ended too early; "": it is complete."""
    raw = getattr(getattr(file, "buffer", file), "raw", None)
    return raw.damage if isinstance(raw, _Expanded) else ""


def packed_position(file: IO[Any]) -> int | None:
    """Return how many bytes of a compressed file were read, for the progress; None: the file is not compressed."""
    raw = getattr(getattr(file, "buffer", file), "raw", None)
    return raw.packed_position if isinstance(raw, _Expanded) else None


_Read = Callable[[int], bytes]
"""Returns at most the given number of bytes; none at the end."""
_Opener = Callable[[BinaryIO], _Read]


class _Expanded(io.RawIOBase):
    """The expanded content of a compressed file."""

    def __init__(self, file: BinaryIO, kind: str, read: _Read) -> None:
        self._file = file
        self._kind = kind
        self._read = read
        self.damage = ""

    @property
    def packed_position(self) -> int:
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if self.damage:
            return 0
        try:
            data = self._read(len(buffer))
        except (EOFError, OSError, zlib.error, lzma.LZMAError, _zstd_error()) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # an error of the disk, not of the data
            self.damage = f"the {self._kind} data is damaged or cut off: {' '.join(str(error).split())[:100]}"
            data = b"\xff"
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Decoder(Protocol):
    """Common interface of the decompressors of bz2, lzma and compression.zstd."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Frames:
    """Concatenated compressed streams, as `cat` and parallel compressors write them."""

    def __init__(self, file: BinaryIO, make: Callable[[], _Decoder], block: int = _BLOCK) -> None:
        self._file = file
        self._make = make
        self._block = block
        self._decoder = make()

    def read(self, size: int) -> bytes:
        while True:
            data = b""
            if self._decoder.eof:
                data = self._decoder.unused_data.lstrip(b"\0") or self._file.read(self._block).lstrip(b"\0")
                if not data:
                    return b""
                self._decoder = self._make()
            elif self._decoder.needs_input and not (data := self._file.read(self._block)):
                raise EOFError("it ends too early")
            if expanded := self._decoder.decompress(data, size):
                return expanded


class _ZstandardDecoder:
    """Adapts the decompressor of `zstandard` to `_Decoder`; buffers output beyond `max_length`."""

    def __init__(self, decompressor: Any) -> None:
        self._decompressor = decompressor
        self._left = memoryview(b"")

    @property
    def eof(self) -> bool:
        return bool(self._decompressor.eof) and not self._left

    @property
    def needs_input(self) -> bool:
        return not self._left

    @property
    def unused_data(self) -> bytes:
        return bytes(self._decompressor.unused_data)

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        if data:
            self._left = memoryview(self._decompressor.decompress(data))
        expanded, self._left = bytes(self._left[:max_length]), self._left[max_length:]
        return expanded


def _open_xz(file: BinaryIO) -> _Read:
    return _Frames(file, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY_LIMIT)).read


def _open_zstandard(file: BinaryIO) -> _Read:
    if (own := _module("compression.zstd")) is not None:
        options = {own.DecompressionParameter.window_log_max: _WINDOW_LOG}
        return _Frames(file, lambda: own.ZstdDecompressor(options=options)).read
    if (other := _module("zstandard")) is None:
        hint = "pip install zstandard, or decompress it first: zstd -d FILE"
        raise InputError("the file is compressed with Zstandard, which this Python cannot read", hint=hint)
    decompressor = other.ZstdDecompressor(max_window_size=1 << _WINDOW_LOG)
    return _Frames(file, lambda: _ZstandardDecoder(decompressor.decompressobj()), _SMALL_BLOCK).read


def _zstd_error() -> type[Exception]:
    module = _module("compression.zstd") or _module("zstandard")
    return EOFError if module is None else cast("type[Exception]", module.ZstdError)


def _module(name: str) -> Any:
    """Return a module that some Python installations lack, or None."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_OPENERS: Final[tuple[tuple[bytes, str, _Opener], ...]] = (
    (b"\x1f\x8b", "gzip", lambda file: gzip.GzipFile(fileobj=file).read1),
    (b"\xfd7zXZ\0", "xz", _open_xz),
    (b"BZh", "bzip2", lambda file: _Frames(file, bz2.BZ2Decompressor).read),
    (b"\x28\xb5\x2f\xfd", "Zstandard", _open_zstandard),
)


def _opener(head: bytes) -> tuple[str, _Opener] | None:
    return next(((kind, make) for mark, kind, make in _OPENERS if head.startswith(mark)), None)
