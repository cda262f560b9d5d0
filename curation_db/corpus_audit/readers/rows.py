"""Reads tables and JSON files: COCO's shape, Karpathy's, arrays and objects of rows, CSV and TSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from curation_db.corpus_audit.collector import Collector
from curation_db.corpus_audit.parts import Part, SourceForm
from curation_db.corpus_audit.readers.batch import CaptionBatch
from curation_db.corpus_audit.readers.columns import ColumnChoice, image_name, texts_of
from curation_db.corpus_audit.readers.lines import Report
from curation_db.corpus_audit.samples import Origin
from curation_db.importing.json_stream import JsonRun, read_json
from curation_db.importing.rows import InputError, RefusedRow, Reject, RejectReason
from curation_db.importing.tables.columns import is_empty
from curation_db.importing.tables.layout import ColumnLayout, layout_of
from curation_db.importing.tables.reader import columns_of, read_csv

MOST_IMAGES: Final = 1_000_000
"""Images of a COCO file whose names are held for the look at images."""
_REPORT_EVERY: Final = 2_000
_MOST_MEMBERS: Final = 100
"""Members before the first list of a file; with more of them the members are the rows."""
_NO_ROWS: Final = frozenset({"info", "licenses", "categories"})


def read_table(part: Part, collector: Collector, columns: ColumnChoice, report: Report, *, header: bool = True) -> None:
    """Add the captions of a CSV or TSV file.

    Args:
        header: Whether the first line names the columns; without it the names are numbers, from 1.

    Raises:
        InputError: There is no column with captions, or the first line cannot be read.
    """
    path = Path(part.path)
    layout = layout_of(path, usual="\t" if part.form is SourceForm.TSV else ",", header=header)
    names = columns_of(path, layout)
    if layout.seems_headless() and columns.of(names)[0] is None:
        raise InputError("the first line seems to be a row and not the names of the columns", hint=_headless(layout))
    caption, image = columns.required(names)
    with CaptionBatch(collector) as batch:
        for number, row in enumerate(read_csv(path, layout)):
            if isinstance(row, Reject):
                collector.refuse(row.reason, row.message, Origin(collector.file, None, row.where), row.excerpt)
                continue
            if number % _REPORT_EVERY == 0:
                report(row.done)
            cell = row.cells[caption]
            origin, index = row.at
            texts = [None] if is_empty(cell) else texts_of(cell)
            batch.add(texts, lambda origin=origin, index=index: origin.where(index), _image(row.cells, image))  # type: ignore[misc]


def _headless(layout: ColumnLayout) -> str:
    column = next(each for each in layout.suggestion().split() if each.startswith("caption=")).removeprefix("caption=")
    return f"--no-header --column {column}"


def _image(cells: dict[str, Any], column: str | None) -> str | None:
    return image_name(cells[column]) if column else None


def read_json_file(part: Part, collector: Collector, columns: ColumnChoice, report: Report) -> None:
    """Add the captions of a JSON file: of the objects in its lists or, if it has no list, of its members."""
    with CaptionBatch(collector) as batch:
        rows = _JsonRows(collector, columns, batch)
        for event in read_json(Path(part.path)):
            if isinstance(event, JsonRun):
                report(event.done)
                rows.add(event)
            else:
                bad = event.as_reject()
                collector.refuse(bad.reason, bad.message, Origin(collector.file, None, bad.where), bad.excerpt)
        rows.finish()


class _JsonRows:
    """Sorts the values of a JSON file: rows, names of images, and members that describe the file."""

    def __init__(self, collector: Collector, columns: ColumnChoice, batch: CaptionBatch) -> None:
        self._collector, self._columns, self._batch = collector, columns, batch
        self._images: dict[object, str] = {}
        self._members: dict[str, tuple[Any, Callable[[], str]]] | None = {}
        """The first members that are no lists; None: they are rows, or the file has a list of rows."""
        self._has_list = False

    def add(self, event: JsonRun) -> None:
        if event.key is None:
            for index, item in enumerate(event.values):
                self._add_member(event.names[index], item, _place(event, index))
            return
        self._has_list, self._members = True, None
        if event.key in _NO_ROWS:
            return
        for index, item in enumerate(event.values):
            if event.key == "images" and isinstance(item, dict) and "sentences" not in item:
                self._note_image(item)
            else:
                self._add_row(item, _place(event, index))

    def _add_member(self, name: str, item: object, where: Callable[[], str]) -> None:
        if self._has_list or not isinstance(item, dict | str):
            return
        if self._members is None:
            self._add_row(item, where)
            return
        self._members[name] = (item, where)
        if len(self._members) > _MOST_MEMBERS:
            self.finish()

    def finish(self) -> None:
        """Add the members, because the file has no list; an object with a caption is one row."""
        members, self._members = self._members or {}, None
        caption, _ = self._columns.of(members)
        if caption is not None and isinstance(members[caption][0], str):
            members = {caption: members[caption]}
        for item, where in members.values():
            self._add_row(item, where)

    def _note_image(self, item: dict[str, Any]) -> None:
        if len(self._images) < MOST_IMAGES and (name := image_name(item.get("file_name"))) is not None:
            self._images[_hashable(item.get("id"))] = name

    def _add_row(self, item: object, where: Callable[[], str]) -> None:
        try:
            texts, image = _captions(item, self._columns)
        except RefusedRow as error:
            self._collector.refuse(error.reason, error.message, Origin(self._collector.file, None, where()), item)
            return
        if isinstance(item, dict) and "image_id" in item:
            image = self._images.get(_hashable(item["image_id"]), image)
        self._batch.add(texts, where, image)


def _place(event: JsonRun, index: int) -> Callable[[], str]:
    # The run holds the text of its block: the path alone is kept.
    key, start, name = event.key, event.start + index, event.names[index] if event.key is None else ""
    return lambda: f".{name}" if key is None else f"{key}[{start}]"


def _hashable(key: object) -> object:
    return key if isinstance(key, int | str) else str(key)


def _captions(item: object, columns: ColumnChoice) -> tuple[list[Any], str | None]:
    """Return the captions of an item of a list, or of a member, and its image.

    Raises:
        RefusedRow: The item has none.
    """
    if isinstance(item, str):
        return [item], None
    if not isinstance(item, dict):
        raise RefusedRow(RejectReason.MALFORMED, f"expected an object, got {type(item).__name__}")
    sentences = item.get("sentences")
    if isinstance(sentences, list):
        return list(_sentences(sentences)), image_name(item.get("filename"))
    return columns.cells(item)


def _sentences(sentences: list[Any]) -> Iterator[Any]:
    for each in sentences:
        yield each.get("raw") if isinstance(each, dict) else each
