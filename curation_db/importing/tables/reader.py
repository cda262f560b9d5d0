"""Tables on the disk as rows with names: JSONL, JSON arrays and objects of objects, CSV and TSV.

A row that cannot be read is told with its line and passed over. Lines longer than any row of ours are never held.

A quote that is never closed would make one cell of all the rows behind it. A CSV row of several lines is therefore
believed only if it is well-formed, of sensible length, and none of its lines looks like a row itself; else its first
line is refused and the reader goes on with the second.
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
from curation_db.importing.tables.csv_quotes import lenient_cells, needless
from curation_db.importing.tables.layout import ColumnLayout

LINE_LIMIT: Final = 16 << 20
"""Characters of the longest line that is read."""
CELL_LIMIT: Final = 1 << 20
"""Characters of the longest cell of a CSV file, and of a row of several lines."""
ROW_LINES: Final = 1_000
"""Lines of the longest row of a CSV file."""
_CREDIT = 8 * CELL_LIMIT
_CREDIT_RATE = 4
_FILE_NAME = re.compile(r".+(\.[a-z]\w{1,4})")


_TOO_LONG = f"a line of {LINE_LIMIT:,} characters and more"
_UNREADABLE = "bytes that are not in the file's encoding"


@dataclass(frozen=True, slots=True)
class TableLine:
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
class TableRow:
    """A row by column names."""

    cells: dict[str, Any]
    at: At
    done: int
    """About how many bytes of the file were read so far."""


def open_text(path: Path) -> IO[str]:
    """The file's text, undecodable bytes as lone surrogates, line ends as they are."""
    with open_bytes(path) as file:
        encoding, mark = sniff(file.read(4))
    named = {"utf-8": "utf-8-sig"}.get(encoding, encoding)
    opened = io.TextIOWrapper(open_bytes(path), encoding=named, errors=error_rule(encoding), newline="")
    if mark and encoding != "utf-8":
        opened.read(1)
    return opened


def read_jsonl(path: Path) -> Iterator[TableRow | Reject]:
    """The objects of a JSONL file."""
    done = 0
    with open_text(path) as file:
        for number, line in read_lines(file):
            done += len(line)
            if len(line) >= LINE_LIMIT:
                yield _refused(number, line, _TOO_LONG, RejectReason.TEXT_TOO_LONG)
            elif line.strip():
                yield _json_row(line, number, done)
        yield from cut_off(file)


def read_lines(file: IO[str]) -> Iterator[tuple[int, str]]:
    """Numbered lines; of one that is too long only the beginning."""
    number = 0
    while line := file.readline(LINE_LIMIT):
        number += 1
        yield number, line
        while not line.endswith("\n") and (line := file.readline(LINE_LIMIT)):
            pass


def cut_off(file: IO[str]) -> Iterator[Reject]:
    """The refusal where a compressed file ends too early."""
    if message := damage(file):
        yield reject((TableLine("the end of the file", ""), 0), RefusedRow(RejectReason.TRUNCATED, message))


def _refused(number: int, line: str, message: str, reason: RejectReason = RejectReason.MALFORMED) -> Reject:
    return reject((TableLine(f"line {number}", line[:400]), 0), RefusedRow(reason, message))


def _readable(text: str) -> bool:
    """Whether all of it was in the file's encoding."""
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
        return _refused(number, line, f"an object is expected, not {type(cells).__name__}")
    if not _readable(line):
        return _refused(number, line, _UNREADABLE, RejectReason.ENCODING)
    return TableRow(cells, (TableLine(f"line {number}", cells), 0), done)


def read_objects(path: Path) -> Iterator[TableRow | Reject]:
    """The objects of a JSON array, or those that are the members of one object; their name is then their `id`."""
    for event in read_json(path):
        if not isinstance(event, JsonRun):
            yield event.as_reject()
            continue
        for index, item in enumerate(event.values):
            if not isinstance(item, dict):
                why = RefusedRow(RejectReason.MALFORMED, f"an object is expected, not {type(item).__name__}")
                yield reject((event, index), why)
                continue
            named = {"id": event.names[index]} if event.key is None and "id" not in item else {}
            yield TableRow({**named, **item}, (event, index), event.done)


def read_csv(path: Path, layout: ColumnLayout) -> Iterator[TableRow | Reject]:
    """The rows of a CSV or TSV file under its first line's names, or under the numbers of the columns.

    Raises:
        InputError: the line of the names cannot be read, or two columns have one name.
    """
    # the module's limit is global
    limit = csv.field_size_limit(CELL_LIMIT)
    try:
        with open_text(path) as file:
            yield from _CsvRows(file, layout).read()
            yield from cut_off(file)
    finally:
        csv.field_size_limit(limit)


def columns_of(path: Path, layout: ColumnLayout) -> list[str]:
    """The columns of a CSV or TSV file; []: it holds no line.

    Raises:
        InputError: the line of the names cannot be read, or two columns have one name.
    """
    with open_text(path) as file:
        rows = _CsvRows(file, layout)
        if layout.header:
            next(rows.read(), None)
        return rows.columns


class _NoEnd(Exception):
    """A row whose quote is not closed within what we read for it."""


class _Lines:
    """A file's lines for the CSV reader; those of a row that was none can be given out again.

    What is read in vain is paid for from a credit that grows with the file, so that no file of open quotes takes
    more than linear time.
    """

    def __init__(self, file: IO[str], skipped: int) -> None:
        self._file = file
        self._again: deque[str] = deque()
        self._credit = _CREDIT
        self._length = 0
        self.held: list[str] = []
        """The lines of the row that is being read."""
        self.number = skipped
        """Of the last line that was given out."""
        self.done = 0
        for _ in range(skipped):
            self._read()

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if self.held and (len(self.held) >= ROW_LINES or self._length > min(CELL_LIMIT, self._credit)):
            raise _NoEnd("a quote that is not closed in the lines that follow")
        line = self._again.popleft() if self._again else self._read()
        if not line:
            if self.held:
                raise _NoEnd("a quote that is not closed before the file ends")
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
        """Whether a cell of the row may be longer than is read."""
        return self._length > CELL_LIMIT

    def begin(self) -> int:
        """Forget the row before; returns the number of the next one's first line."""
        self.held.clear()
        self._length = 0
        return self.number + 1

    def give_back(self) -> None:
        """Let the row's lines come again, but the first."""
        self._credit = max(self._credit - self._length, 0)
        self._again.extendleft(reversed(self.held[1:]))
        self.number -= len(self.held) - 1


class _CsvRows:
    def __init__(self, file: IO[str], layout: ColumnLayout) -> None:
        self._lines = _Lines(file, layout.skipped)
        self._layout = layout
        self._delimiter = layout.delimiter
        self._all_quoted: bool | None = None
        """Whether the file puts cells into quotes that need none."""
        self.columns: list[str] = [] if layout.header else [str(number) for number in range(1, layout.width + 1)]

    def read(self) -> Iterator[TableRow | Reject]:
        """The rows below the line of the columns.

        Raises:
            InputError: that line cannot be read, or two columns have one name.
        """
        lines = self._lines
        # strict: a quote that closes before other text was not meant to close anything
        reader = csv.reader(lines, delimiter=self._delimiter, strict=True, skipinitialspace=self._layout.padded)
        while True:
            begun = lines.begin()
            try:
                cells = next(reader)
                if len(lines.held) > 1:
                    self._check(cells)
            except StopIteration:
                return
            except (_NoEnd, csv.Error) as error:
                found = self._lenient()
                if found is None:
                    yield self._open(begun, self._fault(error))
                    continue
                cells = found
            if cells and self._all_quoted is None:
                self._all_quoted = all(cell[:1] == '"' for cell in lines.held[0].split(self._delimiter))
            if self.columns and cells:
                yield self._row(cells, begun)
            elif cells:
                self.columns = _names(cells)

    def _fault(self, error: Exception) -> str:
        """What is wrong with the row that is being read."""
        if isinstance(error, _NoEnd) or self._lines.is_long():
            return str(error)
        if lenient_cells(self._lines.held[0], self._delimiter) is None:
            return "a quote that is not closed in its cell"
        return "text behind the quote that closes a cell"

    def _lenient(self) -> list[str] | None:
        """The cells of a row of one line whose quotes are a part of the text; None: it is no such row."""
        held = self._lines.held
        if len(held) != 1 or len(held[0]) > CELL_LIMIT:
            return None
        cells = lenient_cells(held[0], self._delimiter)
        return cells if cells is not None and len(cells) == (len(self.columns) or self._layout.width) else None

    def _open(self, begun: int, message: str) -> Reject:
        """What is told of a row's first line; the others come again."""
        if not self.columns:
            raise InputError(f"line {begun}, which names the columns, cannot be read: {message}")
        told = _refused(begun, self._lines.held[0], message)
        self._lines.give_back()
        return told

    def _row(self, cells: list[str], begun: int) -> TableRow | Reject:
        held = self._lines.held
        if len(held) == 1 and '"' in held[0]:
            if len(cells) != len(self.columns):
                cells = self._lenient() or cells
            if self._delimiter == "\t" and not self._all_quoted:
                cells = needless(held[0], cells)
        told = self._delimiter.join(cells)
        if len(held[0]) >= LINE_LIMIT:
            return _refused(begun, held[0], _TOO_LONG, RejectReason.TEXT_TOO_LONG)
        if len(cells) != len(self.columns):
            return _refused(begun, told, f"{len(cells)} cells under {len(self.columns)} columns")
        if not _readable(told):
            return _refused(begun, told, _UNREADABLE, RejectReason.ENCODING)
        at: At = (TableLine(f"line {begun}", told[:400]), 0)
        if self._layout.padded:
            cells = [cell.strip() for cell in cells]
        return TableRow(dict(zip(self.columns, cells, strict=True)), at, self._lines.done)

    # -- rows of several lines

    def _check(self, cells: list[str]) -> None:
        """Find out whether the lines are one row.

        Raises:
            _NoEnd: one of them looks like a row itself.
        """
        held = self._lines.held
        kinds = [_kind(cell) for cell in cells]
        for line in held[1:]:
            alone = next(csv.reader([line], delimiter=self._delimiter), [])
            if len(alone) == len(self.columns) and _alike(kinds, alone):
                raise _NoEnd("a quote that is not closed in its line, and rows behind it")


def _names(cells: list[str]) -> list[str]:
    """The names of the columns; nameless ones after the first have a number, as pandas writes them.

    Raises:
        InputError: two have one name.
    """
    names: list[str] = []
    for number, cell in enumerate(cells):
        name = cell.strip().removeprefix("\ufeff").strip()
        if name and name in names:
            raise InputError(f"two columns are named {name}", hint="rename one of them in the first line of the file")
        names.append(name if name not in names else f"Unnamed: {number}")
    return names


def _alike(kinds: list[str], cells: list[str]) -> bool:
    """Whether a line's cells are such as the row's are: a row of another number of cells tells nothing."""
    if len(kinds) != len(cells):
        return True
    return any(kind and kind == _kind(cell) for kind, cell in zip(kinds, cells, strict=True))


def _kind(cell: str) -> str:
    """What cells that name something have in common: a file's suffix, or all but the digits; "" for other text."""
    cell = cell.strip().lower()
    if found := _FILE_NAME.fullmatch(cell):
        return found[1]
    shape = re.sub(r"\d+", "0", cell)
    return shape if shape != cell and len(cell.split()) == 1 else ""
