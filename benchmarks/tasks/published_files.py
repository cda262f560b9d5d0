"""Checks that the files of published benchmarks have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from benchmarks.errors import BenchError


def rows_by_id(content: object, path: Path) -> list[tuple[str, object]]:
    """Return the ids and rows of a file that is an object of rows by id, in its order.

    Raises:
        BenchError: The file has another form.
    """
    if not isinstance(content, Mapping) or not content:
        raise BenchError(f"{path}: expected an object of items by id")
    return list(content.items())


def check_count(count: int, published: int, path: Path) -> None:
    """Check that a file has as many items as the published one.

    Raises:
        BenchError: It has more or fewer: it was cut off or changed, and its scores are not comparable.
    """
    if count != published:
        raise BenchError(
            f"{path} has {count:,} items, the published file has {published:,}",
            hint="get the published file again; a selection of your own is a task file, see: negwb bench run --help",
        )


def hash_of_files(hashes: Mapping[str, str]) -> str:
    """Return one SHA-256 for several files, of the lines `sha256  name`."""
    return hashlib.sha256("".join(f"{sha}  {name}\n" for name, sha in hashes.items()).encode()).hexdigest()
