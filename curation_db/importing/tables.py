"""Tables on the disk as rows with names: JSONL, JSON arrays and objects of objects, CSV and TSV.

A row that cannot be read is told with its line and passed over. Lines longer than any row of ours are never held.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from curation_db.importing.decoding import error_rule, sniff
from curation_db.importing.faults import told_of
from curation_db.importing.json_stream import Run, read_json
from curation_db.importing.rows import At, Reason, RefusedRow, Reject, reject

LINE_LIMIT: Final = 16 << 20
"""Characters of the longest line that is read."""
CELL_LIMIT: Final = 1 << 20
"""Characters of the longest cell of a CSV file."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table with its place; an Origin of one row."""

    place: str
    said: object
    byte: int | None = None

    def where(self, index: int) -> str:
        """line 17."""
        return self.place

    def offset(self, index: int) -> int | None:
        """The byte where it begins, if that is known."""
        return self.byte

    def value(self, index: int) -> object:
        """The row."""
        return self.said


@dataclass(frozen=True, slots=True)
class Row:
    """A row by column names."""

    cells: dict[str, Any]
    at: At
    done: int
    """About how many bytes of the file were read so far."""


def open_text(path: Path) -> IO[str]:
    """The file's text, undecodable bytes as lone surrogates, line ends as they are."""
    with path.open("rb") as file:
        encoding, mark = sniff(file.read(4))
    named = {"utf-8": "utf-8-sig"}.get(encoding, encoding)
    opened = path.open(encoding=named, errors=error_rule(encoding), newline="")
    if mark and encoding != "utf-8":
        opened.read(1)
    return opened


def read_jsonl(path: Path) -> Iterator[Row | Reject]:
    """The objects of a JSONL file."""
    done = 0
    for number, line in _lines(path):
        done += len(line)
        at = (Line(f"line {number}", line[:400]), 0)
        if len(line) >= LINE_LIMIT:
            yield reject(at, RefusedRow(Reason.TEXT_TOO_LONG, f"a line of {len(line):,} characters and more"))
        elif line.strip():
            yield _json_row(line, number, done)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines; of one that is too long only the beginning."""
    with open_text(path) as file:
        number = 0
        while line := file.readline(LINE_LIMIT):
            number += 1
            yield number, line
            while not line.endswith("\n") and (line := file.readline(LINE_LIMIT)):
                pass


def _json_row(line: str, number: int, done: int) -> Row | Reject:
    at: At = (Line(f"line {number}", line[:400]), 0)
    try:
        cells = json.loads(line, strict=False)
    except RecursionError:
        return reject(at, RefusedRow(Reason.MALFORMED, "nested too deeply"))
    except ValueError as error:
        return reject(at, RefusedRow(Reason.MALFORMED, str(error).partition(";")[0]))
    if not isinstance(cells, dict):
        return reject(at, RefusedRow(Reason.MALFORMED, f"an object is expected, not {type(cells).__name__}"))
    return Row(cells, (Line(f"line {number}", cells), 0), done)


def read_objects(path: Path) -> Iterator[Row | Reject]:
    """The objects of a JSON array, or those that are the members of one object; their name is then their `id`."""
    for event in read_json(path):
        if not isinstance(event, Run):
            yield told_of(event)
            continue
        for index, item in enumerate(event.values):
            if not isinstance(item, dict):
                why = RefusedRow(Reason.MALFORMED, f"an object is expected, not {type(item).__name__}")
                yield reject((event, index), why)
                continue
            named = {"id": event.names[index]} if event.key is None and "id" not in item else {}
            yield Row({**named, **item}, (event, index), event.done)


def read_csv(path: Path, delimiter: str) -> Iterator[Row | Reject]:
    """The rows of a CSV or TSV file under its first line's names."""
    # the module's limit is global; a cell beyond it is refused, and the reader goes on with the next line
    limit = csv.field_size_limit(CELL_LIMIT)
    try:
        with open_text(path) as file:
            yield from _csv_rows(file, delimiter)
    finally:
        csv.field_size_limit(limit)


def _csv_rows(file: IO[str], delimiter: str) -> Iterator[Row | Reject]:
    done = 0

    def counted() -> Iterator[str]:
        nonlocal done
        while line := file.readline(LINE_LIMIT):
            done += len(line)
            yield line

    reader = csv.reader(counted(), delimiter=delimiter)
    columns: list[str] | None = None
    while True:
        begun = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reject((Line(f"line {begun}", ""), 0), RefusedRow(Reason.MALFORMED, str(error)))
            continue
        if not cells:
            continue
        if columns is None:
            columns = [cell.strip() for cell in cells]
            continue
        yield _csv_row(columns, cells, begun, done)


def _csv_row(columns: list[str], cells: list[str], line: int, done: int) -> Row | Reject:
    at: At = (Line(f"line {line}", ",".join(cells)[:400]), 0)
    if len(cells) != len(columns):
        why = RefusedRow(Reason.MALFORMED, f"{len(cells)} cells under {len(columns)} columns")
        return reject(at, why)
    return Row(dict(zip(columns, cells, strict=True)), at, done)
