"""Reads tables as rows with column names: JSONL, JSON arrays, JSON objects of objects, CSV and TSV.

A row that cannot be read is refused with its line number. Lines longer than `LINE_LIMIT` are never held in memory.

An unclosed quote would turn all following rows into one cell. A CSV row of several lines is therefore accepted only if
it is well-formed, within the limits, and none of its lines looks like a row; else its first line is refused and the
reader continues with the second line.
"""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from curation_db.foreign_json import JsonError, parse_json
from curation_db.importing.compression import damage, open_bytes
from curation_db.importing.encoding import error_rule, sniff
from curation_db.importing.json_stream import JsonRun, read_json
from curation_db.importing.rows import At, InputError, RefusedRow, Reject, RejectReason, reject
from curation_db.importing.tables.csv_quotes import lenient_cells, restore_needless_quotes
from curation_db.importing.tables.layout import ColumnLayout

LINE_LIMIT: Final = 16 << 20
"""Most characters of a line."""
CELL_LIMIT: Final = 1 << 20
"""Most characters of a CSV cell, and of a CSV row of several lines."""
ROW_LINES: Final = 1_000
"""Most lines of a CSV row."""
_CREDIT = 8 * CELL_LIMIT
_CREDIT_RATE = 4
_FILE_NAME = re.compile(r".+(\.[a-z]\w{1,4})")


_TOO_LONG = f"a line of {LINE_LIMIT:,} or more characters"
_UNREADABLE = "bytes that are not valid in the file's encoding"


@dataclass(frozen=True, slots=True)
class TableLine:
    """Position and content of one table row; a `RowOrigin` of one row."""

    place: str
    content: object
    byte: int | None = None

    def where(self, index: int) -> str:
        """Return the position, for example "line 17"."""
        return self.place

    def offset(self, index: int) -> int | None:
        """Return the byte at which the row begins, or None if unknown."""
        return self.byte

    def value(self, index: int) -> object:
        """Return the row."""
        return self.content


@dataclass(frozen=True, slots=True)
class TableRow:
    """The cells of a row by column name."""

    cells: dict[str, Any]
    at: At
    done: int
    """Approximate number of bytes read so far."""


def open_text(path: Path) -> IO[str]:
    """Open the file as text, with invalid bytes as lone surrogates and line ends unchanged."""
    with open_bytes(path) as file:
        encoding, mark = sniff(file.read(4))
    named = {"utf-8": "utf-8-sig"}.get(encoding, encoding)
    opened = io.TextIOWrapper(open_bytes(path), encoding=named, errors=error_rule(encoding), newline="")
    if mark and encoding != "utf-8":
        opened.read(1)
    return opened


def read_jsonl(path: Path) -> Iterator[TableRow | Reject]:
    """Yield the objects of a JSONL file."""
    done = 0
    with open_text(path) as file:
        for number, line in read_lines(file):
            done += len(line)
            if len(line) >= LINE_LIMIT:
                yield _refused(number, line, _TOO_LONG, RejectReason.TEXT_TOO_LONG)
            elif line.strip():
                yield _json_row(line, number, done)
        yield from truncation_rejects(file)


def read_lines(file: IO[str]) -> Iterator[tuple[int, str]]:
    """Yield the lines with their numbers, from 1; a line that is too long is truncated."""
    number = 0
    while line := file.readline(LINE_LIMIT):
        number += 1
        yield number, line
        while not line.endswith("\n") and (line := file.readline(LINE_LIMIT)):
            pass


def truncation_rejects(file: IO[str]) -> Iterator[Reject]:
    """Yield a reject if a compressed file ends too early."""
    if message := damage(file):
        yield reject((TableLine("the end of the file", ""), 0), RefusedRow(RejectReason.TRUNCATED, message))


def _refused(number: int, line: str, message: str, reason: RejectReason = RejectReason.MALFORMED) -> Reject:
    return reject((TableLine(f"line {number}", line[:400]), 0), RefusedRow(reason, message))


def _is_decodable(text: str) -> bool:
    """Return whether all bytes of the text were valid in the file's encoding."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _json_row(line: str, number: int, done: int) -> TableRow | Reject:
    try:
        cells = parse_json(line, strict=False)
    except JsonError as error:
        return _refused(number, line, str(error))
    if not isinstance(cells, dict):
        return _refused(number, line, f"expected an object, got {type(cells).__name__}")
    if not _is_decodable(line):
        return _refused(number, line, _UNREADABLE, RejectReason.ENCODING)
    return TableRow(cells, (TableLine(f"line {number}", cells), 0), done)


def read_objects(path: Path) -> Iterator[TableRow | Reject]:
    """Yield the objects of a JSON array, or the members of an object, whose names are used as `id`."""
    for event in read_json(path):
        if not isinstance(event, JsonRun):
            yield event.as_reject()
            continue
        for index, item in enumerate(event.values):
            if not isinstance(item, dict):
                why = RefusedRow(RejectReason.MALFORMED, f"expected an object, got {type(item).__name__}")
                yield reject((event, index), why)
                continue
            named = {"id": event.names[index]} if event.key is None and "id" not in item else {}
            yield TableRow({**named, **item}, (event, index), event.done)


def read_csv(path: Path, layout: ColumnLayout) -> Iterator[TableRow | Reject]:
    """Yield the rows of a CSV or TSV file; column names are those of the header, or numbers.

    Raises:
        InputError: The header cannot be read, or two columns have the same name.
    """
    # the limit of the csv module is global
    limit = csv.field_size_limit(CELL_LIMIT)
    try:
        with open_text(path) as file:
            yield from _CsvRows(file, layout).read()
            yield from truncation_rejects(file)
    finally:
        csv.field_size_limit(limit)


def columns_of(path: Path, layout: ColumnLayout) -> list[str]:
    """Return the columns of a CSV or TSV file; empty if the file has no line.

    Raises:
        InputError: The header cannot be read, or two columns have the same name.
    """
    with open_text(path) as file:
        rows = _CsvRows(file, layout)
        if layout.header:
            next(rows.read(), None)
        return rows.columns


class _UnclosedQuote(Exception):
    """A row has a quote that is not closed within the limits."""


class _Lines:
    """Lines of a file for the CSV reader; lines of a rejected multi-line row can be read again.

    Reading lines again costs credit, which grows with the characters that were read from the file. So a file of
    unclosed quotes takes linear time.
    """

    def __init__(self, file: IO[str], skipped: int) -> None:
        self._file = file
        self._again: deque[str] = deque()
        self._credit = _CREDIT
        self._length = 0
        self.held: list[str] = []
        """Lines of the current row."""
        self.number = skipped
        """Number of the last line that was returned."""
        self.done = 0
        for _ in range(skipped):
            self._read()

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if self.held and (len(self.held) >= ROW_LINES or self._length > min(CELL_LIMIT, self._credit)):
            raise _UnclosedQuote("a quote is not closed in the following lines")
        line = self._again.popleft() if self._again else self._read()
        if not line:
            if self.held:
                raise _UnclosedQuote("a quote is not closed before the end of the file")
            raise StopIteration
        self.held.append(line)
        self.number += 1
        self._length += len(line)
        return line

    def _read(self) -> str:
        line = self._file.readline(LINE_LIMIT)
        self.done += len(line)
        self._credit += len(line) * _CREDIT_RATE
        rest = line
        while len(rest) == LINE_LIMIT and not rest.endswith(("\n", "\r")):
            rest = self._file.readline(LINE_LIMIT)
        return line

    def is_long(self) -> bool:
        """Return whether a cell of the row may exceed the limit."""
        return self._length > CELL_LIMIT

    def begin(self) -> int:
        """Begin a new row; return the number of its first line."""
        self.held.clear()
        self._length = 0
        return self.number + 1

    def give_back(self) -> None:
        """Queue the row's lines after the first to be read again."""
        self._credit = max(self._credit - self._length, 0)
        self._again.extendleft(reversed(self.held[1:]))
        self.number -= len(self.held) - 1


class _CsvRows:
    def __init__(self, file: IO[str], layout: ColumnLayout) -> None:
        self._lines = _Lines(file, layout.skipped)
        self._layout = layout
        self._delimiter = layout.delimiter
        self._all_quoted: bool | None = None
        """Whether the file quotes cells that need no quotes; None: not yet known."""
        self.columns: list[str] = [] if layout.header else [str(number) for number in range(1, layout.width + 1)]

    def read(self) -> Iterator[TableRow | Reject]:
        """Yield the rows after the header.

        Raises:
            InputError: The header cannot be read, or two columns have the same name.
        """
        lines = self._lines
        # strict: report text after a closing quote, because such a quote was meant as text
        reader = csv.reader(lines, delimiter=self._delimiter, strict=True, skipinitialspace=self._layout.padded)
        while True:
            begun = lines.begin()
            try:
                cells = next(reader)
                if len(lines.held) > 1:
                    self._check(cells)
            except StopIteration:
                return
            except (_UnclosedQuote, csv.Error) as error:
                lenient = self._lenient()
                if lenient is None:
                    yield self._refuse_first_line(begun, self._fault(error))
                    continue
                cells = lenient
            if cells and self._all_quoted is None:
                self._all_quoted = all(cell[:1] == '"' for cell in lines.held[0].split(self._delimiter))
            if self.columns and cells:
                yield self._row(cells, begun)
            elif cells:
                self.columns = _names(cells)

    def _fault(self, error: Exception) -> str:
        """Return what is wrong with the current row."""
        if isinstance(error, _UnclosedQuote) or self._lines.is_long():
            return str(error)
        if lenient_cells(self._lines.held[0], self._delimiter) is None:
            return "a quote is not closed in its cell"
        return "text after the closing quote of a cell"

    def _lenient(self) -> list[str] | None:
        """Return the cells of a one-line row with its quotes as text; None: the number of cells is wrong."""
        held = self._lines.held
        if len(held) != 1 or len(held[0]) > CELL_LIMIT:
            return None
        cells = lenient_cells(held[0], self._delimiter)
        return cells if cells is not None and len(cells) == (len(self.columns) or self._layout.width) else None

    def _refuse_first_line(self, begun: int, message: str) -> Reject:
        """Refuse the row's first line; its other lines are read again."""
        if not self.columns:
            raise InputError(f"line {begun}, which names the columns, cannot be read: {message}")
        refused = _refused(begun, self._lines.held[0], message)
        self._lines.give_back()
        return refused

    def _row(self, cells: list[str], begun: int) -> TableRow | Reject:
        held = self._lines.held
        if len(held) == 1 and '"' in held[0]:
            if len(cells) != len(self.columns):
                cells = self._lenient() or cells
            if self._delimiter == "\t" and not self._all_quoted:
                cells = restore_needless_quotes(held[0], cells)
        joined = self._delimiter.join(cells)
        if len(held[0]) >= LINE_LIMIT:
            return _refused(begun, held[0], _TOO_LONG, RejectReason.TEXT_TOO_LONG)
        if len(cells) != len(self.columns):
            return _refused(begun, joined, f"{len(cells)} cells in a table of {len(self.columns)} columns")
        if not _is_decodable(joined):
            return _refused(begun, joined, _UNREADABLE, RejectReason.ENCODING)
        at: At = (TableLine(f"line {begun}", joined[:400]), 0)
        if self._layout.padded:
            cells = [cell.strip() for cell in cells]
        return TableRow(dict(zip(self.columns, cells, strict=True)), at, self._lines.done)

    # -- rows of several lines

    def _check(self, cells: list[str]) -> None:
        """Check that the lines are one row.

        Raises:
            _UnclosedQuote: A line after the first looks like a row.
        """
        held = self._lines.held
        kinds = [_cell_shape(cell) for cell in cells]
        for line in held[1:]:
            alone = next(csv.reader([line], delimiter=self._delimiter), [])
            if len(alone) == len(self.columns) and _cells_look_alike(kinds, alone):
                raise _UnclosedQuote("a quote is not closed in its line, and rows follow it")


def _names(cells: list[str]) -> list[str]:
    """Return the column names; unnamed columns after the first are numbered as in pandas.

    Raises:
        InputError: Two columns have the same name.
    """
    names: list[str] = []
    for number, cell in enumerate(cells):
        name = cell.strip().removeprefix("\ufeff").strip()
        if name and name in names:
            raise InputError(f"two columns are named {name}", hint="rename one of them in the first line of the file")
        names.append(name if name not in names else f"Unnamed: {number}")
    return names


def _cells_look_alike(kinds: list[str], cells: list[str]) -> bool:
    """Return whether a line has cells like those of the row; True if the numbers of cells differ."""
    if len(kinds) != len(cells):
        return True
    return any(kind and kind == _cell_shape(cell) for kind, cell in zip(kinds, cells, strict=True))


def _cell_shape(cell: str) -> str:
    """Return what cells of one kind share: a file suffix, or the text with its digits replaced; "" for other text."""
    cell = cell.strip().lower()
    if match := _FILE_NAME.fullmatch(cell):
        return match[1]
    shape = re.sub(r"\d+", "0", cell)
    return shape if shape != cell and len(cell.split()) == 1 else ""
