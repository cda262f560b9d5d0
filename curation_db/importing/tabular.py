"""Tables with a row per picture: captions and candidates in named columns (`columns`), read by `tables`.

Columns that mean nothing to us are kept with the row's candidates. A row's id names its caption and its candidates;
a row without one is known by its picture and its text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice

from curation_db.gold import Known
from curation_db.importing.columns import settle, texts
from curation_db.importing.rows import (
    At,
    Batch,
    CandidateRow,
    CaptionRow,
    ImageRow,
    Reason,
    RefusedRow,
    Reject,
    image_key,
    key_of,
    picture_name,
    reject,
)
from curation_db.importing.tables import Row

_BATCH = 5_000
_LOOK = 20
"""Rows whose columns are looked at: in JSONL they may differ."""


def read_rows(
    rows: Iterable[Row | Reject],
    source: str,
    mapping: Mapping[str, str],
    tell: Callable[[dict[str, str]], None],
) -> Iterator[Batch]:
    """The rows of a table in batches; `tell` hears what each column was taken for.

    Raises:
        InputError: the columns do not tell of pictures and texts.
    """
    rows = iter(rows)
    batch, reader = Batch(), None
    while first := list(islice(rows, _LOOK)):
        if columns := _columns(first, mapping):
            tell(columns)
            reader = _Reader(source, columns)
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
    def __init__(self, source: str, columns: Mapping[str, str]) -> None:
        self._source = source
        self._columns = columns
        self._known = frozenset(columns.values())

    def add(self, row: Row, batch: Batch) -> None:
        """Put a row's picture and texts into `batch`."""
        try:
            image = self._image(row)
            identity = self._identity(row)
            captions, candidates = self._texts(row, "caption"), self._texts(row, "candidate")
            if not captions and not candidates:
                raise RefusedRow(Reason.EMPTY_TEXT, "the row holds no text")
            extra, concept, gold = self._extra(row), self._concept(row), self._gold(row)
        except RefusedRow as why:
            batch.rejects.append(reject(row.at, why))
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

    def _image(self, row: Row) -> ImageRow:
        told, number = self._cell(row, "image"), self._cell(row, "image_id")
        if told is None and number is None:
            raise RefusedRow(Reason.NO_PICTURE, "the row names no picture")
        if isinstance(told, int) and number is None:
            told, number = None, told
        name = None if told is None else picture_name(told)
        key = key_of(number) if number is not None else image_key(self._source, name or "")
        return ImageRow(key, name, None, None, None, row.at)

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
