"""Lines of a table whose quotes do not follow the rules of CSV: there a quote is a part of the text.

By those rules a cell that begins with a quote ends with one, and each quote within is doubled. Tools that write TSV
files often quote nothing at all.
"""

from __future__ import annotations

import re
from functools import cache


@cache
def _quoted(delimiter: str) -> re.Pattern[str]:
    """A cell that is quoted by the rules; possessive, so that no line takes more than linear time."""
    return re.compile(rf' *"((?:[^"]|"")*+)" *(?={re.escape(delimiter)}|\Z)')


def lenient_cells(line: str, delimiter: str) -> list[str] | None:
    """The cells of a line of its own; None: a cell opens a quote that nothing closes."""
    line = line.rstrip("\r\n")
    quoted, cells, start = _quoted(delimiter), [], 0
    while True:
        if found := quoted.match(line, start):
            end = found.end()
            cells.append(found[1].replace('""', '"'))
        else:
            end = line.find(delimiter, start)
            end = len(line) if end < 0 else end
            cell = line[start:end]
            if cell.lstrip().startswith('"') and cell.replace('""', "").count('"') == 1:
                return None
            cells.append(cell)
        if end >= len(line):
            return cells
        start = end + 1


def needless(line: str, cells: list[str]) -> list[str]:
    """The cells of a TSV line with the quotes that enclose a cell for no reason: they are a part of its text."""
    stated = line.rstrip("\r\n").split("\t")
    if len(stated) != len(cells):
        return cells
    return [
        whole if whole == f'"{cell}"' and not any(mark in cell for mark in '\t",') else cell
        for whole, cell in zip(stated, cells, strict=True)
    ]
