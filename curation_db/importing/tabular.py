"""Tables with a row per picture: captions and candidates in named columns (`columns`), read by `tables`.

Columns that mean nothing to us are kept with the row's candidates. A row's id names its caption and its candidates;
a row without one is known by its picture and its text. Rows that have only the id of a picture that other rows name
are read last: by then it is known whether the id means one picture.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice

from curation_db.gold import Known
from curation_db.importing.columns import settle, texts
from curation_db.importing.picture_names import Naming, PictureName
from curation_db.importing.rows import (
    At,
    Batch,
    CandidateRow,
    CaptionRow,
    ImageRow,
    Reason,
    RefusedRow,
    Reject,
    key_of,
    reject,
)
from curation_db.importing.tables import Row

_BATCH = 5_000
_LOOK = 20
"""Rows whose columns are looked at: in JSONL they may differ."""


def read_rows(
    rows_of: Callable[[], Iterable[Row | Reject]],
    naming: Naming,
    mapping: Mapping[str, str],
    tell: Callable[[dict[str, str]], None],
) -> Iterator[Batch]:
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
    batch, reader = Batch(), None
    while first := list(islice(rows, _LOOK)):
        if columns := _columns(first, mapping):
            tell(columns)
            reader = _Reader(naming, columns)
            rows = chain(first, rows)
            break
        yield Batch(rejects=[row for row in first if isinstance(row, Reject)])
    for row in rows:
        if isinstance(row, Reject):
            batch.rejects.append(row)
        elif reader is not None:
            batch.done = row.done
            reader.add(row, batch)
        if len(batch.images) + len(batch.rejects) >= _BATCH:
            yield batch
            batch = Batch(done=batch.done)
    yield batch
    if reader is not None and reader.put_off:
        yield from _put_off(rows_of(), reader, batch.done)


def _put_off(rows: Iterable[Row | Reject], reader: _Reader, done: int) -> Iterator[Batch]:
    """The rows without a picture's name, from a second reading."""
    batch = Batch(done=done)
    for row in rows:
        if isinstance(row, Row) and reader.lacks_name(row):
            reader.add(row, batch, late=True)
        if len(batch.images) + len(batch.rejects) >= _BATCH:
            yield batch
            batch = Batch(done=done)
    yield batch


def check_columns(rows: Iterable[Row | Reject], mapping: Mapping[str, str]) -> None:
    """Find out whether `read_rows` would know the columns, before anything is written.

    Raises:
        InputError: the columns do not tell of pictures and texts.
    """
    rows = iter(rows)
    while first := list(islice(rows, _LOOK)):
        if _columns(first, mapping):
            return


def _columns(rows: list[Row | Reject], mapping: Mapping[str, str]) -> dict[str, str]:
    """What the columns of these rows are; {}: none of them can be read."""
    seen = dict.fromkeys(chain.from_iterable(row.cells for row in rows if isinstance(row, Row)))
    return settle(list(seen), mapping) if seen else {}


class _Reader:
    def __init__(self, naming: Naming, columns: Mapping[str, str]) -> None:
        self._naming = naming
        self._columns = columns
        self._known = frozenset(columns.values())
        self._by_id = {"image", "image_id"} <= columns.keys()
        self.put_off = False
        """Whether rows wait for a second reading."""

    def lacks_name(self, row: Row) -> bool:
        """Whether the row has only the id of a picture that other rows may name."""
        return self._by_id and self._cell(row, "image") is None and self._cell(row, "image_id") is not None

    def add(self, row: Row, batch: Batch, *, late: bool = False) -> None:
        """Put a row's picture and texts into `batch`; `late`: it was put off."""
        if not late and self.lacks_name(row):
            self.put_off = True
            return
        key = None
        try:
            key = self._key(row)
            image = self._image(row, key, self._name(row))
            identity = self._identity(row)
            captions, candidates = self._texts(row, "caption"), self._texts(row, "candidate")
            if not captions and not candidates:
                raise RefusedRow(Reason.EMPTY_TEXT, "the row holds no text")
            extra, concept, gold = self._extra(row), self._concept(row), self._gold(row)
        except RefusedRow as why:
            batch.rejects.append(reject(row.at, why))
            if key is not None:  # rows without a name cannot tell whether this picture is meant
                batch.refused.add(key)
            return
        batch.images.append(image)
        # several captions: no single one is the original of the candidates
        original = len(batch.captions) if len(captions) == 1 else None
        for key, text in _keyed(identity, captions):
            batch.captions.append(CaptionRow(key, image.key, text, row.at))
        for key, text in _keyed(identity, candidates):
            batch.candidates.append(CandidateRow(key, image.key, original, text, concept, extra, row.at, gold))

    def _cell(self, row: Row, name: str) -> object:
        value = row.cells.get(self._columns[name]) if name in self._columns else None
        return None if isinstance(value, str) and not value.strip() else value

    def _key(self, row: Row) -> str | None:
        """The picture's id as the row states it."""
        told, number = self._cell(row, "image"), self._cell(row, "image_id")
        if number is None and isinstance(told, int):
            number = told
        return None if number is None else key_of(number)

    def _name(self, row: Row) -> PictureName | None:
        told = self._cell(row, "image")
        if told is None or (isinstance(told, int) and self._cell(row, "image_id") is None):
            return None
        return self._naming.name(told)

    def _image(self, row: Row, key: str | None, name: PictureName | None) -> ImageRow:
        if name is None:
            if key is None:
                raise RefusedRow(Reason.NO_PICTURE, "the row names no picture")
            return ImageRow(key, None, None, None, None, row.at)
        key = self._naming.key(name) if key is None else key
        return ImageRow(key, name.file_name, None, None, None, row.at, None, name.url, name.unstripped)

    def _identity(self, row: Row) -> str | None:
        told = self._cell(row, "id")
        return None if told is None else key_of(told)

    def _texts(self, row: Row, name: str) -> list[object]:
        return texts(self._cell(row, name))

    def _concept(self, row: Row) -> str | None:
        told = texts(self._cell(row, "concept"))
        return told[0] if len(told) == 1 and isinstance(told[0], str) else None

    def _gold(self, row: Row) -> Known | None:
        told = self._cell(row, "gold")
        try:
            return None if told is None else Known.parse(told)
        except ValueError as error:
            raise RefusedRow(Reason.BAD_VALUE, str(error)) from None

    def _extra(self, row: Row) -> str | None:
        rest = {name: value for name, value in row.cells.items() if name not in self._known}
        if not rest:
            return None
        try:
            return json.dumps(rest, separators=(",", ":"))
        except RecursionError:
            raise RefusedRow(Reason.MALFORMED, "nested too deeply") from None


def _keyed(identity: str | None, found: list[object]) -> Iterator[tuple[str | None, At | object]]:
    """A row's texts, each with its key: the row's id, with a number where there are several."""
    for number, text in enumerate(found):
        if identity is None:
            yield None, text
        else:
            yield (identity if len(found) == 1 else f"{identity}/{number}"), text
