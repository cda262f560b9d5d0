"""Tables with a row per picture: captions and candidates in named columns (`columns`), read by `tables`.

Each row is read by its own columns. Columns that mean nothing to us are kept with the row's candidates. A row's id
names its caption and its candidates; a row without one is known by its picture and its text. Rows that have only the
id of a picture that other rows name are read last: by then it is known whether the id means one picture.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Protocol

from curation_db.importing.image_names import Naming, PictureName
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
from curation_db.importing.tables.columns import choose, is_empty, settle, stated_in, texts, unused
from curation_db.importing.tables.layout import ColumnLayout
from curation_db.importing.tables.reader import TableRow, columns_of
from curation_db.queue.gold import KnownAnswer

_BATCH = 5_000
_LOOK = 20
"""Rows that tell whether the file can be imported."""
_KINDS = 1_000
"""Sets of keys that are remembered."""


class RowMapping(Protocol):
    """Hears what the columns of rows were taken for."""

    def __call__(self, chosen: Mapping[str, str], unused: Mapping[str, str]) -> None:
        """Hear of fields with their columns, and of columns that are not used with the fields that they could be."""


def read_rows(
    rows_of: Callable[[], Iterable[TableRow | Reject]], naming: Naming, mapping: Mapping[str, str], tell: RowMapping
) -> Iterator[RowBatch]:
    """The rows of a table in batches; `tell` hears what each column was taken for.

    Args:
        rows_of: begins to read the table; called a second time where rows are put off.
        naming: what pictures' names become.
        mapping: the columns that were stated.
        tell: hears what each column was taken for.

    Raises:
        InputError: the columns do not tell of pictures and texts.
    """
    rows = iter(rows_of())
    batch, reader = RowBatch(), None
    while first := list(islice(rows, _LOOK)):
        if columns := _columns(first, mapping):
            reader = _Reader(naming, columns, mapping, tell)
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
    if reader is not None and reader.put_off:
        yield from _put_off(rows_of(), reader, batch.done)


def _put_off(rows: Iterable[TableRow | Reject], reader: _Reader, done: int) -> Iterator[RowBatch]:
    """The rows without a picture's name, from a second reading."""
    batch = RowBatch(done=done)
    for row in rows:
        if isinstance(row, TableRow) and reader.lacks_name(row):
            reader.add(row, batch, late=True)
        if len(batch.images) + len(batch.rejects) >= _BATCH:
            yield batch
            batch = RowBatch(done=done)
    yield batch


def check_columns(rows: Iterable[TableRow | Reject], mapping: Mapping[str, str]) -> None:
    """Find out whether `read_rows` would know the columns, before anything is written.

    Raises:
        InputError: the columns do not tell of pictures and texts.
    """
    rows = iter(rows)
    while first := list(islice(rows, _LOOK)):
        if _columns(first, mapping):
            return


def ids_without_names(rows: Iterable[TableRow | Reject], mapping: Mapping[str, str], most: int) -> list[str]:
    """The pictures' ids in the first `most` rows of a table that has no column with names of pictures; else none."""
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


def settled_columns(path: Path, layout: ColumnLayout, mapping: Mapping[str, str]) -> dict[str, str]:
    """The stated columns of a CSV or TSV file by their names, before anything is written.

    Raises:
        InputError: the columns do not tell of pictures and texts, or the file seems to have no header.
    """
    columns = columns_of(path, layout)
    if not columns:
        return dict(mapping)
    by_number = bool(mapping) and all(column.isdecimal() for column in mapping.values())
    try:
        if by_number and layout.seems_headless():
            raise InputError("the columns are stated by their numbers")
        settle(columns, mapping, numbered=True)
    except InputError as error:
        if layout.seems_headless():
            message = f"{path.name} seems to have no header: its first line looks like a row"
            raise InputError(message, hint=layout.suggestion()) from error
        if layout.header or mapping:
            raise
        raise InputError("which column is what?", hint=layout.suggestion()) from error
    return stated_in(columns, mapping, numbered=True)


def _columns(rows: list[TableRow | Reject], mapping: Mapping[str, str]) -> dict[str, str]:
    """What the columns of these rows are, taken together; {}: none of them can be read."""
    seen = dict.fromkeys(chain.from_iterable(row.cells for row in rows if isinstance(row, TableRow)))
    return settle(list(seen), mapping) if seen else {}


class _Reader:
    """Reads rows, each by its own columns: in JSON they may differ from row to row."""

    def __init__(
        self, naming: Naming, columns: Mapping[str, str], mapping: Mapping[str, str], tell: RowMapping
    ) -> None:
        self._naming = naming
        self._stated = {name: columns[name] for name in mapping}
        self._tell = tell
        self._chosen: dict[tuple[str, ...], dict[str, str]] = {}
        """What the columns of rows with these keys are."""
        self._columns: dict[str, str] = {}
        """Of the row that is read."""
        self._by_id = {"image", "image_id"} <= columns.keys()
        self.put_off = False
        """Whether rows wait for a second reading."""

    def _look(self, row: TableRow) -> None:
        """Settle what the row's columns are."""
        keys = tuple(row.cells)
        chosen = self._chosen.get(keys)
        if chosen is None:
            if len(self._chosen) >= _KINDS:
                self._chosen.clear()
            stated = {name: column for name, column in self._stated.items() if column in row.cells}
            free = [key for key in keys if key not in self._stated.values()]
            others = {name: column for name, column in choose(free, {}).items() if name not in self._stated}
            chosen = self._chosen[keys] = {**others, **stated}
            self._tell(chosen, unused(keys, chosen))
        self._columns = chosen

    def lacks_name(self, row: TableRow) -> bool:
        """Whether the row has only the id of a picture that other rows may name."""
        if not self._by_id:
            return False
        self._look(row)
        return self._cell(row, "image") is None and self._cell(row, "image_id") is not None

    def add(self, row: TableRow, batch: RowBatch, *, late: bool = False) -> None:
        """Put a row's picture and texts into `batch`; `late`: it was put off."""
        if not late and self.lacks_name(row):
            self.put_off = True
            return
        key = None
        self._look(row)
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
            if key is not None:  # rows without a name cannot tell whether this picture is meant
                batch.refused.add(key)
            return
        if not candidates and (column := self._columns.get("candidate")) is not None:
            missing = RefusedRow(
                RejectReason.EMPTY_TEXT, f"column {column}: there is no candidate; the caption went in"
            )
            batch.rejects.append(reject(row.at, missing))
        batch.images.append(image)
        # several captions: no single one is the original of the candidates
        original = len(batch.captions) if len(captions) == 1 else None
        for key, text in _keyed(identity, captions):
            batch.captions.append(CaptionRow(key, image.key, text, row.at))
        for key, text in _keyed(identity, candidates):
            batch.candidates.append(CandidateRow(key, image.key, original, text, concept, extra, row.at, gold))

    def _cell(self, row: TableRow, name: str) -> object:
        value = row.cells.get(self._columns[name]) if name in self._columns else None
        return None if is_empty(value) else value

    def _key(self, row: TableRow) -> str | None:
        """The picture's id as the row states it."""
        told, number = self._cell(row, "image"), self._cell(row, "image_id")
        if number is None and isinstance(told, int | float):
            number = told
        return None if number is None else key_of(number)

    def _name(self, row: TableRow) -> PictureName | None:
        told = self._cell(row, "image")
        if told is None or (isinstance(told, int | float) and self._cell(row, "image_id") is None):
            return None
        return self._naming.name(told)

    def _image(self, row: TableRow, key: str | None, name: PictureName | None) -> ImageRow:
        if name is None:
            if key is None:
                raise RefusedRow(RejectReason.NO_PICTURE, "the row names no picture")
            return ImageRow(key, None, None, None, None, row.at)
        key = self._naming.key(name) if key is None else key
        return ImageRow(key, name.file_name, None, None, None, row.at, None, name.url, name.unstripped)

    def _identity(self, row: TableRow) -> str | None:
        told = self._cell(row, "id")
        return None if told is None else key_of(told)

    def _texts(self, row: TableRow, name: str) -> list[object]:
        return texts(self._cell(row, name))

    def _concept(self, row: TableRow) -> str | None:
        told = texts(self._cell(row, "concept"))
        return told[0] if len(told) == 1 and isinstance(told[0], str) else None

    def _gold(self, row: TableRow) -> KnownAnswer | None:
        told = self._cell(row, "gold")
        try:
            return None if told is None else KnownAnswer.parse(told)
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


def _keyed(identity: str | None, found: list[object]) -> Iterator[tuple[str | None, At | object]]:
    """A row's texts, each with its key: the row's id, with a number where there are several."""
    for number, text in enumerate(found):
        if identity is None:
            yield None, text
        else:
            yield (identity if len(found) == 1 else f"{identity}/{number}"), text
