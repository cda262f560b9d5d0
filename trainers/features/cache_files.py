"""Append-only files of a cache that several processes share: lines of JSON, one writer at a time."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from curation_db.foreign_json import JsonError, parse_json

Progress = Callable[[int, int], None]
"""Callback with the number done and the total, or with (0, 0) while waiting for another process.

An exception from it ends the pass; finished work is kept.
"""
_POLL_S = 0.05
_ID = re.compile("[0-9a-f]{64}")


def ignore_progress(done: int, of: int) -> None:
    """A `Progress` that does nothing."""


def is_sha256(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def append(path: Path, data: bytes) -> None:
    """Append to a file and wait until the data is on the disk."""
    with path.open("ab") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def read_json_lines(path: Path) -> Iterator[tuple[bytes, Any]]:
    """Yield the complete lines of a file with their values; None for an invalid line."""
    data = path.read_bytes() if path.is_file() else b""
    for line in data[: data.rfind(b"\n") + 1].split(b"\n")[:-1]:
        try:
            parsed = parse_json(line)
        except JsonError:
            parsed = None
        yield line + b"\n", parsed


def end_partial_line(path: Path) -> None:
    """End the partial line of a killed process, so that the next line is valid."""
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            ended = file.read(1) == b"\n"
        if not ended:
            append(path, b"\n")


@contextmanager
def locked(path: Path, progress: Progress = ignore_progress) -> Iterator[None]:
    """Hold an exclusive lock, which the system releases when the process ends."""
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                progress(0, 0)  # may raise, so that a long wait can be interrupted
                time.sleep(_POLL_S)
        yield
