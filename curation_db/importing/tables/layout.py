"""How the text of a table is laid out: its delimiter, the line that names the columns, blanks around its cells.

The content decides, whatever the file's name ends in. Only the beginning of the file is read.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from curation_db.importing.encoding import TextBlocks
from curation_db.importing.tables.columns import is_empty, is_usual

HEAD: Final = 1 << 18
"""Characters that are looked at."""
DELIMITERS: Final = (",", "\t", ";", "|")
_LOOK: Final = 50
"""Lines that are looked at."""
_SEPARATOR: Final = re.compile(r'"?sep=([^\w\s"]|\t)"?[\r\n]*', re.IGNORECASE)
"""The line that Excel writes and reads before the first row."""
_PICTURE: Final = re.compile(r"(?i)[a-z][a-z0-9+.-]+://\S+|.*\.(?:jpe?g|png|webp|gif|bmp|tiff?|mp4)")
_NUMBER: Final = re.compile(r"[+-]?\d+(?:\.\d+)?")
_SENTENCE: Final = 4
"""Words from which on a cell is no column's name."""


@dataclass(frozen=True, slots=True)
class ColumnLayout:
    """The layout of a table."""

    delimiter: str
    skipped: int = 0
    """Lines before the first row or the header."""
    header: bool = True
    """Whether the first line names the columns; without it they are named by their numbers, from 1."""
    width: int = 0
    """Cells of most rows."""
    padded: bool = False
    """Whether blanks around a cell are no part of it."""
    sample: tuple[tuple[str, ...], ...] = ()
    """The first lines as rows, the header included."""

    def seems_headless(self) -> bool:
        """Whether the first line looks like a row although it should name the columns."""
        return self.header and any(map(_is_data, self.sample[0] if self.sample else ()))

    def suggestion(self) -> str:
        """The options with which a table without a header can be imported, by what its columns hold."""
        columns = list(zip(*(row for row in self.sample if len(row) == self.width), strict=True))
        pictures = [number for number, cells in enumerate(columns, 1) if _share(cells, _PICTURE) > 0.5]
        ids = [number for number, cells in enumerate(columns, 1) if _share(cells, _NUMBER) > 0.5]
        texts = [number for number, cells in enumerate(columns, 1) if number not in {*pictures[:1], *ids}]
        texts.sort(key=lambda number: -sum(len(cell.split()) for cell in columns[number - 1]))
        found: list[tuple[str, int | str]] = [("caption", min(texts[:2], default="N"))]
        if len(texts) > 1 and _is_text(columns[max(texts[:2]) - 1]):
            found.append(("candidate", max(texts[:2])))
        found.append(("image_id", ids[0]) if ids and not pictures else ("image", pictures[0] if pictures else "N"))
        found.sort(key=lambda pair: str(pair[1]).zfill(9))
        return " ".join(["--no-header", *(f"--map {field}={number}" for field, number in found)])


def layout_of(path: Path, *, usual: str = ",", header: bool = True, names: Iterable[str] = ()) -> ColumnLayout:
    """The layout of the table at `path`.

    Args:
        path: the file.
        usual: the delimiter that the file's name or format tells; it counts where the content does not decide.
        header: whether the first line names the columns.
        names: columns that a person stated.

    Raises:
        OSError: the file cannot be read.
    """
    with TextBlocks(path) as source:
        head = source.read(HEAD)
    return layout_in(head, usual=usual, header=header, names=names)


def layout_in(head: str, *, usual: str = ",", header: bool = True, names: Iterable[str] = ()) -> ColumnLayout:
    """The layout of a table that begins with `head`."""
    lines = list(io.StringIO(head, newline=""))
    if len(head) >= HEAD and len(lines) > 1:
        lines.pop()  # it is cut off
    stated = _SEPARATOR.fullmatch(lines[0]) if lines else None
    lines = [line for line in lines[1 if stated else 0 :] if line.strip()][:_LOOK]
    wanted = {name.strip().casefold() for name in names}
    ordered = sorted(DELIMITERS, key=lambda each: each != usual)
    samples = {each: _rows(lines, each) for each in ([stated[1]] if stated else ordered)}
    delimiter = max(samples, key=lambda each: _score(samples[each], wanted, header=header))
    sample = samples[delimiter]
    widths = Counter(map(len, sample))
    first = sample[0] if sample else ()
    return ColumnLayout(
        delimiter=delimiter,
        skipped=1 if stated else 0,
        header=header,
        width=widths.most_common(1)[0][0] if widths else 0,
        padded=header and len(first) > 1 and all(cell[:1] == " " for cell in first[1:]),
        sample=sample,
    )


def _rows(lines: Sequence[str], delimiter: str) -> tuple[tuple[str, ...], ...]:
    """Each line as a row of its own, so that a quote that is not closed spoils one line."""
    rows = []
    for line in lines:
        try:
            rows.append(tuple(next(csv.reader([line], delimiter=delimiter), [])))
        except csv.Error:  # a cell is too long
            continue
    return tuple(rows)


def _score(rows: Sequence[Sequence[str]], wanted: set[str], *, header: bool) -> tuple[bool, int, float, int]:
    """How well a delimiter fits: known column names count first, then rows of one number of cells."""
    if not rows:
        return False, 0, 0.0, 0
    widths = Counter(map(len, rows))
    width = len(rows[0]) if header else widths.most_common(1)[0][0]
    names = [cell.strip().casefold() for cell in rows[0]] if header else []
    known = sum(name in wanted or is_usual(name) for name in names)
    return width > 1, known, widths[width] / len(rows), 0 if known else width


def _is_data(cell: str) -> bool:
    told = cell.strip()
    named = _PICTURE.fullmatch(told) or _NUMBER.fullmatch(told)
    return bool(named) or len(told.split()) >= _SENTENCE


def _share(cells: Sequence[str], pattern: re.Pattern[str]) -> float:
    told = [cell.strip() for cell in cells if not is_empty(cell)]
    return sum(pattern.fullmatch(cell) is not None for cell in told) / len(told) if told else 0.0


def _is_text(cells: Sequence[str]) -> bool:
    """Whether these cells are sentences rather than labels."""
    return sum(len(cell.split()) for cell in cells) >= _SENTENCE * len(cells)
