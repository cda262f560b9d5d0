"""Detects the layout of a CSV or TSV file: delimiter, header, padding of cells.

The content decides, not the file name. Only the beginning of the file is read.
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
"""Characters that are read for the detection."""
DELIMITERS: Final = (",", "\t", ";", "|")
_LOOK: Final = 50
"""Lines that are used for the detection."""
_SEPARATOR: Final = re.compile(r'"?sep=([^\w\s"]|\t)"?[\r\n]*', re.IGNORECASE)
"""The line with the delimiter that Excel writes before the first row."""
_IMAGE: Final = re.compile(r"(?i)[a-z][a-z0-9+.-]+://\S+|.*\.(?:jpe?g|png|webp|gif|bmp|tiff?|mp4)")
_NUMBER: Final = re.compile(r"[+-]?\d+(?:\.\d+)?")
_SENTENCE: Final = 4
"""Number of words from which a cell is text instead of a column name."""


@dataclass(frozen=True, slots=True)
class ColumnLayout:
    delimiter: str
    skipped: int = 0
    """Lines before the first row or the header."""
    header: bool = True
    """Whether the first line names the columns; without a header the names are numbers, from 1."""
    width: int = 0
    """Most frequent number of cells in a row."""
    padded: bool = False
    """Whether blanks around cells are removed."""
    sample: tuple[tuple[str, ...], ...] = ()
    """The first lines as rows, the header included."""

    def seems_headless(self) -> bool:
        """Return whether the first line looks like a row although it should be the header."""
        return self.header and any(map(_is_data, self.sample[0] if self.sample else ()))

    def suggestion(self) -> str:
        """Return the options that import a table without a header, guessed from the content of its columns."""
        columns = list(zip(*(row for row in self.sample if len(row) == self.width), strict=True))
        images = [number for number, cells in enumerate(columns, 1) if _share(cells, _IMAGE) > 0.5]
        ids = [number for number, cells in enumerate(columns, 1) if _share(cells, _NUMBER) > 0.5]
        texts = [number for number, cells in enumerate(columns, 1) if number not in {*images[:1], *ids}]
        texts.sort(key=lambda number: -sum(len(cell.split()) for cell in columns[number - 1]))
        fields: list[tuple[str, int | str]] = [("caption", min(texts[:2], default="N"))]
        if len(texts) > 1 and _is_text(columns[max(texts[:2]) - 1]):
            fields.append(("candidate", max(texts[:2])))
        fields.append(("image_id", ids[0]) if ids and not images else ("image", images[0] if images else "N"))
        fields.sort(key=lambda pair: str(pair[1]).zfill(9))
        return " ".join(["--no-header", *(f"--map {field}={number}" for field, number in fields)])


def layout_of(path: Path, *, usual: str = ",", header: bool = True, names: Iterable[str] = ()) -> ColumnLayout:
    """Return the layout of the table at `path`.

    Args:
        usual: The delimiter of the format or the file name, used if the content does not decide.
        header: Whether the first line names the columns.
        names: Columns that are stated with `--map`.

    Raises:
        OSError: The file cannot be read.
    """
    with TextBlocks(path) as source:
        head = source.read(HEAD)
    return layout_in(head, usual=usual, header=header, names=names)


def layout_in(head: str, *, usual: str = ",", header: bool = True, names: Iterable[str] = ()) -> ColumnLayout:
    """Return the layout of a table that begins with `head`."""
    lines = list(io.StringIO(head, newline=""))
    if len(head) >= HEAD and len(lines) > 1:
        lines.pop()  # incomplete
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
    """Split each line as a separate row, so that an unclosed quote affects one line only."""
    rows = []
    for line in lines:
        try:
            rows.append(tuple(next(csv.reader([line], delimiter=delimiter), [])))
        except csv.Error:  # a cell is too long
            continue
    return tuple(rows)


def _score(rows: Sequence[Sequence[str]], wanted: set[str], *, header: bool) -> tuple[bool, int, float, int]:
    """Return how well a delimiter fits: known column names count first, then the share of rows of one width."""
    if not rows:
        return False, 0, 0.0, 0
    widths = Counter(map(len, rows))
    width = len(rows[0]) if header else widths.most_common(1)[0][0]
    names = [cell.strip().casefold() for cell in rows[0]] if header else []
    known = sum(name in wanted or is_usual(name) for name in names)
    return width > 1, known, widths[width] / len(rows), 0 if known else width


def _is_data(cell: str) -> bool:
    text = cell.strip()
    match = _IMAGE.fullmatch(text) or _NUMBER.fullmatch(text)
    return bool(match) or len(text.split()) >= _SENTENCE


def _share(cells: Sequence[str], pattern: re.Pattern[str]) -> float:
    values = [cell.strip() for cell in cells if not is_empty(cell)]
    return sum(pattern.fullmatch(cell) is not None for cell in values) / len(values) if values else 0.0


def _is_text(cells: Sequence[str]) -> bool:
    """Return whether these cells are sentences rather than labels."""
    return sum(len(cell.split()) for cell in cells) >= _SENTENCE * len(cells)
