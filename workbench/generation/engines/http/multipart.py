"""Bodies of the type multipart/form-data (RFC 7578), whose file is read while it is sent."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from workbench.errors import NegwbError

PIECE_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class MultipartFile:
    """Text fields and one file named "file". Field names and values are plain ASCII without quotes."""

    path: Path
    name: str
    """File name for the server."""
    fields: Mapping[str, str] = field(default_factory=dict)
    boundary: str = field(default_factory=lambda: f"negwb-{secrets.token_hex(16)}")

    @property
    def content_type(self) -> str:
        """Value of the Content-Type header."""
        return f"multipart/form-data; boundary={self.boundary}"

    def pieces(self) -> tuple[int, Iterator[bytes]]:
        """Return the length of the body, and its pieces of at most 64 KiB.

        Raises:
            NegwbError: the file cannot be read; the pieces raise it, too.
        """
        head, tail = self._head(), f"\r\n--{self.boundary}--\r\n".encode()
        try:
            size = self.path.stat().st_size
        except OSError as error:
            raise self._unreadable(error) from error
        return len(head) + size + len(tail), self._read(head, tail)

    def _head(self) -> bytes:
        parts = [
            f'--{self.boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in self.fields.items()
        ]
        parts.append(
            f'--{self.boundary}\r\nContent-Disposition: form-data; name="file"; filename="{self.name}"\r\n'
            "Content-Type: application/jsonl\r\n\r\n"
        )
        return "".join(parts).encode("ascii")

    def _read(self, head: bytes, tail: bytes) -> Iterator[bytes]:
        yield head
        try:
            with self.path.open("rb") as file:
                while piece := file.read(PIECE_BYTES):
                    yield piece
        except OSError as error:  # as an OSError it would count as a failure of the connection
            raise self._unreadable(error) from error
        yield tail

    def _unreadable(self, error: OSError) -> NegwbError:
        return NegwbError(f"cannot read {self.path}: {os.strerror(error.errno) if error.errno else error}")
