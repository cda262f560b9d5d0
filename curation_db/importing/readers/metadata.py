"""Reader of the tables metadata.jsonl and metadata.csv (Hugging Face ImageFolder), which hold captions of a folder.

A row names its image by `file_name`, relative to the table's folder. The key of an image is its path below the
imported folder. Ids of rows are not used as keys, because another folder's table may use the same ids.
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
from curation_db.importing.tables.row_mapping import ColumnsCallback, read_rows

NAMES: Final = ("metadata.jsonl", "metadata.csv")
_FILE: Final = "file_name"
_IDS: Final = frozenset({*usual_names("image_id"), *usual_names("id")})


def read_metadata(
    path: Path, below: str, naming: Naming, mapping: Mapping[str, str], on_columns: ColumnsCallback
) -> Iterator[RowBatch]:
    """Yield the rows of the table at `path`.

    Args:
        below: Its folder, relative to the imported folder; "": the imported folder.
        mapping: Columns by field, as given with `--map`.
    """
    shown = posixpath.join(below, path.name)
    try:
        yield from read_rows(lambda: _rows(path, below, shown), naming, {"image": _FILE, **mapping}, on_columns)
    except (InputError, OSError) as error:
        message = error.strerror if isinstance(error, OSError) else f"{error.message}; {error.hint}"
        why = RefusedRow(RejectReason.MALFORMED, f"the table cannot be read: {message}")
        yield RowBatch(rejects=[reject((TableLine(shown, ""), 0), why)])


def _rows(path: Path, below: str, shown: str) -> Iterator[TableRow | Reject]:
    """Yield the table's rows; their position includes the table's path."""
    rows = read_jsonl(path) if path.suffix == ".jsonl" else read_csv(path, layout_of(path))
    for row in rows:
        if isinstance(row, Reject):
            yield row._replace(where=f"{shown} {row.where}")
        else:
            origin, index = row.at
            at = (TableLine(f"{shown} {origin.where(index)}", origin.value(index)), 0)
            yield TableRow(_placed(row.cells, below), at, row.done)


def _placed(cells: Mapping[str, Any], below: str) -> dict[str, Any]:
    """Return the row with its image name relative to the imported folder, and with id columns renamed."""
    placed = {f"own {name}" if name.strip().casefold() in _IDS else name: value for name, value in cells.items()}
    name = placed.get(_FILE)
    if isinstance(name, str) and name.strip() and "://" not in name:
        placed[_FILE] = posixpath.join(below, name.strip())
    return placed
