"""Reader of COCO instances JSON: the number of objects of each category in an image; checks use it as evidence.

Counts are complete only after the whole file was read. A crowd region counts as one object. The fields of images are
read as in a captions file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curation_db.importing.image_names import Naming
from curation_db.importing.json_stream import JsonRun, read_json
from curation_db.importing.readers.coco import annotation_key, read_coco
from curation_db.importing.rows import At, ObjectRow, RefusedRow, RejectReason, RowBatch, key_of, member, reject
from curation_db.language.sanitize import clean

_BATCH = 10_000


class _ObjectCounter:
    """Counts objects by image and category id, each annotation once."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.first: dict[tuple[str, str], str] = {}
        """Position of the first annotation."""
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
        if (key := annotation_key(item)) is not None:
            if key in self._seen:
                raise RefusedRow(RejectReason.DUPLICATE, f"annotation {key} is in the file twice")
            self._seen.add(key)
        self.counts[image, category] += 1
        self.first.setdefault((image, category), run.where(index))


class _FirstAnnotation:
    """Position of an image's first annotation of a category; the annotations are no longer in memory."""

    def __init__(self, where: str, image: str, category: str) -> None:
        self._where, self._image, self._category = where, image, category

    def where(self, index: int) -> str:
        """Return the position of the first annotation."""
        return self._where

    def offset(self, index: int) -> int | None:
        """Return None: the byte is not stored."""
        return None

    def value(self, index: int) -> object:
        """Return the image and the category."""
        return {"image_id": self._image, "category_id": self._category}


def read_instances(path: Path, naming: Naming) -> Iterator[RowBatch]:
    """Yield the images and object counts of a COCO instances file."""
    counter = _ObjectCounter()
    yield from read_coco(path, naming, counter.add)
    names = dict(_categories(path))
    batch = RowBatch(done=path.stat().st_size)
    for (image, category), count in counter.counts.items():
        at: At = (_FirstAnnotation(counter.first[image, category], image, category), 0)
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
                    continue  # annotations of this category are refused
