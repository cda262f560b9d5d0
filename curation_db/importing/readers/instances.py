"""COCO instances JSON: how many things of which category are in a picture, as evidence for checks.

Counts are known when the whole file was read; a crowd region counts as one thing. An image's other fields come in
as from a captions file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curation_db.importing.image_names import Naming
from curation_db.importing.json_stream import JsonRun, read_json
from curation_db.importing.readers.coco import own_key, read_coco
from curation_db.importing.rows import At, ObjectRow, RefusedRow, RejectReason, RowBatch, key_of, member, reject
from curation_db.language.sanitize import clean

_BATCH = 10_000


class _Tally:
    """Things by picture and category id, each annotation once."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.first: dict[tuple[str, str], str] = {}
        self._seen: set[str] = set()

    def add(self, run: JsonRun, batch: RowBatch) -> None:
        """Count the annotations of `run`."""
        for index, item in enumerate(run.values):
            try:
                self._add(item, run, index)
            except RefusedRow as why:
                batch.rejects.append(reject((run, index), why))

    def _add(self, item: Any, run: JsonRun, index: int) -> None:
        image, category = key_of(member(item, "image_id")), key_of(member(item, "category_id"))
        if (key := own_key(item)) is not None:
            if key in self._seen:
                raise RefusedRow(RejectReason.DUPLICATE, f"annotation {key} is in the file twice")
            self._seen.add(key)
        self.counts[image, category] += 1
        self.first.setdefault((image, category), run.where(index))


class _Spot:
    """Where a picture's first thing of a category stood; the rows themselves are gone by then."""

    def __init__(self, where: str, image: str, category: str) -> None:
        self._where, self._image, self._category = where, image, category

    def where(self, index: int) -> str:
        """The place of the first one."""
        return self._where

    def offset(self, index: int) -> int | None:
        """Not kept."""
        return None

    def value(self, index: int) -> object:
        """The picture and the category."""
        return {"image_id": self._image, "category_id": self._category}


def read_instances(path: Path, naming: Naming) -> Iterator[RowBatch]:
    """The images and object counts of a COCO instances file."""
    tally = _Tally()
    yield from read_coco(path, naming, tally.add)
    names = dict(_categories(path))
    batch = RowBatch(done=path.stat().st_size)
    for (image, category), count in tally.counts.items():
        at: At = (_Spot(tally.first[image, category], image, category), 0)
        if category in names:
            batch.objects.append(ObjectRow(image, names[category], count, at))
        else:
            batch.rejects.append(reject(at, RefusedRow(RejectReason.BAD_VALUE, f"no category {category} in the file")))
        if len(batch.objects) >= _BATCH:
            yield batch
            batch = RowBatch(done=batch.done)
    yield batch


def _categories(path: Path) -> Iterator[tuple[str, str]]:
    for event in read_json(path):
        if isinstance(event, JsonRun) and event.key == "categories":
            for item in event.values:
                try:
                    yield key_of(member(item, "id")), clean(str(member(item, "name")))[:200]
                except RefusedRow:
                    continue  # its annotations are refused for having no category
