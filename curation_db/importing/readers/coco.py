"""Readers of COCO captions JSON and of NegationCLIP JSON, which adds an `updated_caption` to each annotation.

The key of an image is its id. Annotations that precede the images are read in a second pass, so that refused images
are known before the rows that refer to them. Members without a column are stored as JSON, and exports restore them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from curation_db.importing.encoding import TextBlocks
from curation_db.importing.image_names import ImageName, Naming
from curation_db.importing.json_stream import Fault, JsonRun, read_json
from curation_db.importing.rows import (
    At,
    CandidateRow,
    CaptionRow,
    ImageRow,
    RefusedRow,
    RowBatch,
    extra_of,
    key_of,
    member,
    reject,
    size_of,
)

_IMAGE_KNOWN = frozenset({"id", "file_name", "width", "height"})
_ANNOTATION_KNOWN = frozenset({"id", "image_id", "caption", "updated_caption"})

_LIST_OF_IMAGES = re.compile(r'"images"\s*:\s*\[')
_NAMELESS = ImageName(None, None)
_BLOCK = 4 << 20
_SEAM = 64

AnnotationReader = Callable[[JsonRun, RowBatch], None]


def read_captions(path: Path, naming: Naming) -> Iterator[RowBatch]:
    """Yield the images and captions of a COCO captions file."""
    return read_coco(path, naming, _captions)


def read_negationclip(path: Path, naming: Naming) -> Iterator[RowBatch]:
    """Yield the images, captions and candidates of a NegationCLIP file."""
    return read_coco(path, naming, _updated_captions)


def read_coco(path: Path, naming: Naming, annotations: AnnotationReader) -> Iterator[RowBatch]:
    """Yield the rows of a file of COCO's shape; `annotations` reads a run of annotations."""
    images_seen, second_pass = False, _lists_images_twice(path)
    licenses: list[Any] = []  # collected: the list may come in several runs, and is written once
    for event in read_json(path):
        if isinstance(event, JsonRun) and event.key == "annotations" and (second_pass or not images_seen):
            second_pass = True
            continue
        if isinstance(event, JsonRun) and event.key == "licenses":
            licenses += event.values
            continue
        if licenses and isinstance(event, JsonRun):
            yield RowBatch(done=event.done, licenses=json.dumps(licenses))
            licenses = []
        images_seen |= isinstance(event, JsonRun) and event.key == "images"
        yield _batch(event, naming, annotations)
    if licenses:
        yield RowBatch(done=path.stat().st_size, licenses=json.dumps(licenses))
    if second_pass:
        for event in read_json(path):
            if isinstance(event, JsonRun) and event.key == "annotations":
                yield _batch(event, naming, annotations)


def _lists_images_twice(path: Path) -> bool:
    """Return whether the file may have a second list of images, after annotations."""
    count, window = 0, ""
    with TextBlocks(path) as source:
        while block := source.read(_BLOCK):
            window = window[-_SEAM:]
            count -= len(_LIST_OF_IMAGES.findall(window))  # counted in the previous block
            window += block
            count += len(_LIST_OF_IMAGES.findall(window))
            if count > 1:
                return True
    return False


def _batch(event: JsonRun | Fault, naming: Naming, annotations: AnnotationReader) -> RowBatch:
    if isinstance(event, Fault):
        return RowBatch(done=event.offset, rejects=[event.as_reject()])
    batch = RowBatch(done=event.done)
    if event.key == "images":
        _images(event, naming, batch)
    elif event.key == "annotations":
        annotations(event, batch)
    return batch


def _images(run: JsonRun, naming: Naming, batch: RowBatch) -> None:
    for index, item in enumerate(run.values):
        key = None
        try:
            key = key_of(member(item, "id"))
            batch.images.append(_image(item, key, naming, (run, index)))
        except RefusedRow as why:
            batch.rejects.append(reject((run, index), why))
            if key is not None:
                batch.refused.add(key)


def _image(item: Any, key: str, naming: Naming, at: At) -> ImageRow:
    name = image_name(item, naming)
    return ImageRow(
        key,
        name.file_name,
        size_of(item.get("width")),
        size_of(item.get("height")),
        extra_of(item, _IMAGE_KNOWN, ("id",)),
        at,
        None,
        name.url,
        name.unstripped,
    )


def image_name(item: dict[str, Any], naming: Naming) -> ImageName:
    """Return the image name in an entry of `images`: its `file_name`, else its `coco_url`.

    Raises:
        RefusedRow: The name is invalid.
    """
    stated = item.get("file_name")
    if stated is not None:
        return naming.name(stated)
    address = item.get("coco_url")
    return naming.name(address) if isinstance(address, str) and "://" in address else _NAMELESS


def _captions(run: JsonRun, batch: RowBatch) -> None:
    add, rejects = batch.captions.append, batch.rejects
    for index, item in enumerate(run.values):
        try:
            add(CaptionRow(key_of(item["id"]), key_of(item["image_id"]), item["caption"], (run, index)))
        except (KeyError, TypeError, IndexError, RefusedRow):
            try:
                image, text = key_of(member(item, "image_id")), member(item, "caption")
                add(CaptionRow(annotation_key(item), image, text, (run, index)))
            except RefusedRow as why:
                rejects.append(reject((run, index), why))


def annotation_key(item: dict[str, Any]) -> str | None:
    """Return the key of an annotation; None: it has no id."""
    number = item.get("id")
    return None if number is None else key_of(number)


def _updated_captions(run: JsonRun, batch: RowBatch) -> None:
    for index, item in enumerate(run.values):
        at = (run, index)
        try:
            image, key = key_of(member(item, "image_id")), annotation_key(item)
            caption, text = member(item, "caption"), member(item, "updated_caption")
            extra = extra_of(item, _ANNOTATION_KNOWN, ("id", "image_id"))
        except RefusedRow as why:
            batch.rejects.append(reject(at, why))
            continue
        batch.captions.append(CaptionRow(key, image, caption, at))
        batch.candidates.append(CandidateRow(key, image, len(batch.captions) - 1, text, None, extra, at))
