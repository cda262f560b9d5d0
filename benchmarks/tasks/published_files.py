"""Checks that the files of published benchmarks have in common."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.errors import BenchError


def read_csv(path: Path, columns: Sequence[str]) -> tuple[list[dict[str, str]], str]:
    """Return the rows of a CSV file with a header, and its SHA-256.

    Args:
        columns: Names that the header must have; other columns are kept.

    Raises:
        BenchError: The file is missing or not UTF-8, lacks a column, or a row has more or fewer cells than the header.
    """
    try:
        content = path.read_bytes()
        table = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        header = next(table, [])
        if missing := [name for name in columns if name not in header]:
            raise BenchError(f"{path}: the column {missing[0]} is missing")
        rows = []
        for cells in table:
            if len(cells) != len(header):
                raise BenchError(f"{path}, line {table.line_num}: {len(cells)} cells, the header has {len(header)}")
            rows.append(dict(zip(header, cells, strict=True)))
    except FileNotFoundError as error:
        raise BenchError(f"no such file: {path}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BenchError(f"{path} cannot be read as CSV: {error}") from error
    return rows, hashlib.sha256(content).hexdigest()


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
