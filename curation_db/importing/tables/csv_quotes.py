"""Splits lines of a table whose quotes do not follow the rules of CSV, and treats such quotes as text.

By the rules, a cell that begins with a quote ends with a quote, and each quote inside is doubled. Programs that write
TSV files often quote nothing.
"""

from __future__ import annotations

import re
from functools import cache


@cache
def _quoted(delimiter: str) -> re.Pattern[str]:
    """Return the pattern of a correctly quoted cell; possessive, so that matching takes linear time."""
    return re.compile(rf' *"((?:[^"]|"")*+)" *(?={re.escape(delimiter)}|\Z)')


def lenient_cells(line: str, delimiter: str) -> list[str] | None:
    """Return the cells of a single line; None: a cell has an opening quote without a closing one."""
    line = line.rstrip("\r\n")
    quoted, cells, start = _quoted(delimiter), [], 0
    while True:
        if match := quoted.match(line, start):
            end = match.end()
            cells.append(match[1].replace('""', '"'))
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


def restore_needless_quotes(line: str, cells: list[str]) -> list[str]:
    """Return the cells of a TSV line; quotes around a cell that needs no quoting are restored as part of its text."""
    stated = line.rstrip("\r\n").split("\t")
    if len(stated) != len(cells):
        return cells
    return [
        whole if whole == f'"{cell}"' and not any(mark in cell for mark in '\t",') else cell
        for whole, cell in zip(stated, cells, strict=True)
    ]
