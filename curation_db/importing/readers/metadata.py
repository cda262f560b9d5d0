"""Captions of a folder's pictures in a table beside them: metadata.jsonl or metadata.csv, as Hugging Face has them.

A row names its picture by `file_name`, below the folder that the table is in. Pictures are known by their path, as
those without a table are, and texts by their picture: ids of a row may be the same in another folder's table.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from curation_db.importing.image_names import Naming
from curation_db.importing.rows import InputError, RefusedRow, Reject, RejectReason, RowBatch, reject
from curation_db.importing.tables.columns import usual_names
from curation_db.importing.tables.layout import layout_of
from curation_db.importing.tables.reader import TableLine, TableRow, read_csv, read_jsonl
from curation_db.importing.tables.row_mapping import RowMapping, read_rows

NAMES: Final = ("metadata.jsonl", "metadata.csv")
_FILE: Final = "file_name"
_IDS: Final = frozenset({*usual_names("image_id"), *usual_names("id")})


def read_metadata(
    path: Path, below: str, naming: Naming, mapping: Mapping[str, str], tell: RowMapping
) -> Iterator[RowBatch]:
    """The rows of the table at `path`.

    Args:
        path: the table.
        below: its folder, as pictures' names begin; "": the imported folder itself.
        naming: what pictures' names become.
        mapping: the columns that were stated.
        tell: hears what each column was taken for.
    """
    shown = posixpath.join(below, path.name)
    try:
        yield from read_rows(lambda: _rows(path, below, shown), naming, {"image": _FILE, **mapping}, tell)
    except (InputError, OSError) as error:
        told = error.strerror if isinstance(error, OSError) else f"{error.message}; {error.hint}"
        why = RefusedRow(RejectReason.MALFORMED, f"the table cannot be read: {told}")
        yield RowBatch(rejects=[reject((TableLine(shown, ""), 0), why)])


def _rows(path: Path, below: str, shown: str) -> Iterator[TableRow | Reject]:
    """The table's rows, each with the table in its place."""
    rows = read_jsonl(path) if path.suffix == ".jsonl" else read_csv(path, layout_of(path))
    for row in rows:
        if isinstance(row, Reject):
            yield row._replace(where=f"{shown} {row.where}")
        else:
            origin, index = row.at
            at = (TableLine(f"{shown} {origin.where(index)}", origin.value(index)), 0)
            yield TableRow(_placed(row.cells, below), at, row.done)


def _placed(cells: Mapping[str, Any], below: str) -> dict[str, Any]:
    """The row with its picture's name below the imported folder, and without ids by their usual names."""
    placed = {f"own {name}" if name.strip().casefold() in _IDS else name: value for name, value in cells.items()}
    name = placed.get(_FILE)
    if isinstance(name, str) and name.strip() and "://" not in name:
        placed[_FILE] = posixpath.join(below, name.strip())
    return placed
