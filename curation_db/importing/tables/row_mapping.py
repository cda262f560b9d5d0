"""Converts table rows with one image each into images, captions and candidates, by the columns of each row.

Unknown columns are stored with the row's candidates. The id of a row becomes the key of its caption and candidates;
without an id the writer derives keys from image and text. Rows that have an image id but no image name are read in a
second pass: by then it is known whether the id means exactly one image.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Protocol

from curation_db.importing.image_names import ImageName, Naming
from curation_db.importing.rows import (
    At,
    CandidateRow,
    CaptionRow,
    ImageRow,
    InputError,
    RefusedRow,
    Reject,
    RejectReason,
    RowBatch,
    key_of,
    reject,
)
from curation_db.importing.tables.columns import (
    choose_columns,
    is_empty,
    match_columns,
    resolve_stated,
    texts_in_cell,
    unused_columns,
)
from curation_db.importing.tables.layout import ColumnLayout
from curation_db.importing.tables.reader import TableRow, columns_of
from curation_db.queue.gold import KnownAnswer

_BATCH = 5_000
_LOOK = 20
"""Rows that are checked for their columns before the import begins."""
_KINDS = 1_000
"""Most sets of row keys that are cached."""


class ColumnsCallback(Protocol):
    def __call__(self, chosen: Mapping[str, str], unused: Mapping[str, str]) -> None:
        """Receive field to column, and unused column to the field that it could fill."""


def read_rows(
    rows_of: Callable[[], Iterable[TableRow | Reject]],
    naming: Naming,
    mapping: Mapping[str, str],
    on_columns: ColumnsCallback,
) -> Iterator[RowBatch]:
    """Yield the rows of a table in batches.

    Args:
        rows_of: Opens the table; called again for the second pass.
        mapping: Columns by field, as given with `--map`.
        on_columns: Called with the columns of each kind of row.

    Raises:
        InputError: No column holds an image, or none holds a text.
    """
    rows = iter(rows_of())
    batch, reader = RowBatch(), None
    while first := list(islice(rows, _LOOK)):
        if columns := _columns(first, mapping):
            reader = _RowReader(naming, columns, mapping, on_columns)
            rows = chain(first, rows)
            break
        yield RowBatch(rejects=[row for row in first if isinstance(row, Reject)])
    for row in rows:
        if isinstance(row, Reject):
            batch.rejects.append(row)
        elif reader is not None:
            batch.done = row.done
            reader.add(row, batch)
        if len(batch.images) + len(batch.rejects) >= _BATCH:
            yield batch
            batch = RowBatch(done=batch.done)
    yield batch
    if reader is not None and reader.needs_second_pass:
        yield from _read_rows_without_name(rows_of(), reader, batch.done)


def _read_rows_without_name(rows: Iterable[TableRow | Reject], reader: _RowReader, done: int) -> Iterator[RowBatch]:
    """Yield the rows without an image name, in a second pass."""
    batch = RowBatch(done=done)
    for row in rows:
        if isinstance(row, TableRow) and reader.lacks_name(row):
            reader.add(row, batch, second_pass=True)
        if len(batch.images) + len(batch.rejects) >= _BATCH:
            yield batch
            batch = RowBatch(done=done)
    yield batch


def check_columns(rows: Iterable[TableRow | Reject], mapping: Mapping[str, str]) -> None:
    """Check the columns of the first rows, before anything is written.

    Raises:
        InputError: No column holds an image, or none holds a text.
    """
    rows = iter(rows)
    while first := list(islice(rows, _LOOK)):
        if _columns(first, mapping):
            return


def ids_without_names(rows: Iterable[TableRow | Reject], mapping: Mapping[str, str], most: int) -> list[str]:
    """Return the image ids in the first `most` rows; empty if the table has a column of image names, or no ids."""
    first = [row for row in islice(rows, most) if isinstance(row, TableRow)]
    columns = _columns([*first[:_LOOK]], mapping)
    if "image" in columns or "image_id" not in columns:
        return []
    ids: dict[str, None] = {}
    for row in first:
        if not is_empty(cell := row.cells.get(columns["image_id"])):
            with suppress(RefusedRow):
                ids[key_of(cell)] = None
    return list(ids)


def resolve_columns(path: Path, layout: ColumnLayout, mapping: Mapping[str, str]) -> dict[str, str]:
    """Return the stated columns of a CSV or TSV file by name, before anything is written.

    Raises:
        InputError: No column holds an image or a text, or the file seems to have no header.
    """
    columns = columns_of(path, layout)
    if not columns:
        return dict(mapping)
    by_number = bool(mapping) and all(column.isdecimal() for column in mapping.values())
    try:
        if by_number and layout.seems_headless():
            raise InputError("the columns are given by number")
        match_columns(columns, mapping, numbered=True)
    except InputError as error:
        if layout.seems_headless():
            message = f"{path.name} seems to have no header: its first line looks like a row"
            raise InputError(message, hint=layout.suggestion()) from error
        if layout.header or mapping:
            raise
        raise InputError("a table without a header needs --map", hint=layout.suggestion()) from error
    return resolve_stated(columns, mapping, numbered=True)


def _columns(rows: list[TableRow | Reject], mapping: Mapping[str, str]) -> dict[str, str]:
    """Return field to column for the columns of all these rows; empty if no row could be read."""
    seen = dict.fromkeys(chain.from_iterable(row.cells for row in rows if isinstance(row, TableRow)))
    return match_columns(list(seen), mapping) if seen else {}


class _RowReader:
    """Converts rows, each by its own columns: in JSON they may differ from row to row."""

    def __init__(
        self, naming: Naming, columns: Mapping[str, str], mapping: Mapping[str, str], on_columns: ColumnsCallback
    ) -> None:
        self._naming = naming
        self._stated = {name: columns[name] for name in mapping}
        self._on_columns = on_columns
        self._chosen: dict[tuple[str, ...], dict[str, str]] = {}
        """Field to column, by the keys of a row."""
        self._columns: dict[str, str] = {}
        """Field to column of the current row."""
        self._by_id = {"image", "image_id"} <= columns.keys()
        self.needs_second_pass = False

    def _choose_columns(self, row: TableRow) -> None:
        """Set the columns of the current row."""
        keys = tuple(row.cells)
        chosen = self._chosen.get(keys)
        if chosen is None:
            if len(self._chosen) >= _KINDS:
                self._chosen.clear()
            stated = {name: column for name, column in self._stated.items() if column in row.cells}
            free = [key for key in keys if key not in self._stated.values()]
            others = {name: column for name, column in choose_columns(free, {}).items() if name not in self._stated}
            chosen = self._chosen[keys] = {**others, **stated}
            self._on_columns(chosen, unused_columns(keys, chosen))
        self._columns = chosen

    def lacks_name(self, row: TableRow) -> bool:
        """Return whether the row has an image id but no image name, which other rows may have."""
        if not self._by_id:
            return False
        self._choose_columns(row)
        return self._cell(row, "image") is None and self._cell(row, "image_id") is not None

    def add(self, row: TableRow, batch: RowBatch, *, second_pass: bool = False) -> None:
        """Add a row's image and texts to `batch`; in the first pass, skip a row without an image name."""
        if not second_pass and self.lacks_name(row):
            self.needs_second_pass = True
            return
        key = None
        self._choose_columns(row)
        try:
            key = self._key(row)
            image = self._image(row, key, self._name(row))
            identity = self._identity(row)
            captions, candidates = self._texts(row, "caption"), self._texts(row, "candidate")
            if not captions and not candidates:
                raise RefusedRow(RejectReason.EMPTY_TEXT, "the row holds no text")
            extra, concept, gold = self._extra(row), self._concept(row), self._gold(row)
        except RefusedRow as why:
            batch.rejects.append(reject(row.at, why))
            if key is not None:  # rows with this id and no name may mean another image
                batch.refused.add(key)
            return
        if not candidates and (column := self._columns.get("candidate")) is not None:
            missing = RefusedRow(RejectReason.EMPTY_TEXT, f"column {column} has no candidate; the caption was stored")
            batch.rejects.append(reject(row.at, missing))
        batch.images.append(image)
        # with several captions, none is the original of the candidates
        original = len(batch.captions) if len(captions) == 1 else None
        for key, text in _keyed(identity, captions):
            batch.captions.append(CaptionRow(key, image.key, text, row.at))
        for key, text in _keyed(identity, candidates):
            batch.candidates.append(CandidateRow(key, image.key, original, text, concept, extra, row.at, gold))

    def _cell(self, row: TableRow, name: str) -> object:
        value = row.cells.get(self._columns[name]) if name in self._columns else None
        return None if is_empty(value) else value

    def _key(self, row: TableRow) -> str | None:
        """Return the key from the row's image id; None: it has none."""
        image, number = self._cell(row, "image"), self._cell(row, "image_id")
        if number is None and isinstance(image, int | float):
            number = image
        return None if number is None else key_of(number)

    def _name(self, row: TableRow) -> ImageName | None:
        image = self._cell(row, "image")
        if image is None or (isinstance(image, int | float) and self._cell(row, "image_id") is None):
            return None
        return self._naming.name(image)

    def _image(self, row: TableRow, key: str | None, name: ImageName | None) -> ImageRow:
        if name is None:
            if key is None:
                raise RefusedRow(RejectReason.NO_PICTURE, "the row names no image")
            return ImageRow(key, None, None, None, None, row.at)
        key = self._naming.key(name) if key is None else key
        return ImageRow(key, name.file_name, None, None, None, row.at, None, name.url, name.unstripped)

    def _identity(self, row: TableRow) -> str | None:
        cell = self._cell(row, "id")
        return None if cell is None else key_of(cell)

    def _texts(self, row: TableRow, name: str) -> list[object]:
        return texts_in_cell(self._cell(row, name))

    def _concept(self, row: TableRow) -> str | None:
        concepts = texts_in_cell(self._cell(row, "concept"))
        return concepts[0] if len(concepts) == 1 and isinstance(concepts[0], str) else None

    def _gold(self, row: TableRow) -> KnownAnswer | None:
        cell = self._cell(row, "gold")
        try:
            return None if cell is None else KnownAnswer.parse(cell)
        except ValueError as error:
            raise RefusedRow(RejectReason.BAD_VALUE, str(error)) from None

    def _extra(self, row: TableRow) -> str | None:
        known = self._columns.values()
        rest = {name: value for name, value in row.cells.items() if name not in known}
        if not rest:
            return None
        try:
            return json.dumps(rest, separators=(",", ":"))
        except RecursionError:
            raise RefusedRow(RejectReason.MALFORMED, "nested too deeply") from None


def _keyed(identity: str | None, texts: list[object]) -> Iterator[tuple[str | None, At | object]]:
    """Yield a row's texts with their keys: the row's id, followed by a number if there are several texts."""
    for number, text in enumerate(texts):
        if identity is None:
            yield None, text
        else:
            yield (identity if len(texts) == 1 else f"{identity}/{number}"), text
