"""COCO captions JSON, and the published NegationCLIP JSON, which is one with an `updated_caption` in its annotations.

Pictures are known by their id. Where the annotations stand before the images the file is read a second time for
them. What a row says beyond what the record knows is kept as JSON, so that an export can give it back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from curation_db.importing.faults import told_of
from curation_db.importing.json_stream import Fault, Run, read_json
from curation_db.importing.rows import (
    Batch,
    CandidateRow,
    CaptionRow,
    ImageRow,
    Reason,
    RefusedRow,
    extra_of,
    key_of,
    member,
    picture_name,
    reject,
    size_of,
)

_IMAGE_KNOWN = frozenset({"id", "file_name", "width", "height"})
_ANNOTATION_KNOWN = frozenset({"id", "image_id", "caption", "updated_caption"})

AnnotationReader = Callable[[Run, Batch], None]


def read_captions(path: Path) -> Iterator[Batch]:
    """The images and captions of a COCO captions file."""
    return read_coco(path, _captions)


def read_negationclip(path: Path) -> Iterator[Batch]:
    """The images, captions and candidates of a NegationCLIP file."""
    return read_coco(path, _updated_captions)


def read_coco(path: Path, annotations: AnnotationReader) -> Iterator[Batch]:
    """The rows of a file of COCO's shape; `annotations` knows what its annotations are."""
    images_seen, put_off = False, False
    licenses: list[Any] = []  # gathered: a list may come in several runs, and is written once
    for event in read_json(path):
        if isinstance(event, Run) and event.key == "annotations" and not images_seen:
            put_off = True
            continue
        if isinstance(event, Run) and event.key == "licenses":
            licenses += event.values
            continue
        if licenses and isinstance(event, Run):
            yield Batch(done=event.done, licenses=json.dumps(licenses))
            licenses = []
        images_seen |= isinstance(event, Run) and event.key == "images"
        yield _batch(event, annotations)
    if licenses:
        yield Batch(done=path.stat().st_size, licenses=json.dumps(licenses))
    if put_off:
        for event in read_json(path):
            if isinstance(event, Run) and event.key == "annotations":
                yield _batch(event, annotations)


def _batch(event: Run | Fault, annotations: AnnotationReader) -> Batch:
    if isinstance(event, Fault):
        return Batch(done=event.offset, rejects=[told_of(event)])
    batch = Batch(done=event.done)
    if event.key == "images":
        _images(event, batch)
    elif event.key == "annotations":
        annotations(event, batch)
    return batch


def _images(run: Run, batch: Batch) -> None:
    for index, item in enumerate(run.values):
        try:
            batch.images.append(_image(item, run, index))
        except RefusedRow as why:
            batch.rejects.append(reject((run, index), why))


def _image(item: Any, run: Run, index: int) -> ImageRow:
    return ImageRow(
        key_of(member(item, "id")),
        picture_name(item["file_name"]) if "file_name" in item else None,
        size_of(item.get("width")),
        size_of(item.get("height")),
        extra_of(item, _IMAGE_KNOWN, ("id",)),
        (run, index),
    )


def _captions(run: Run, batch: Batch) -> None:
    add, rejects = batch.captions.append, batch.rejects
    for index, item in enumerate(run.values):
        try:
            add(CaptionRow(key_of(item["id"]), key_of(item["image_id"]), item["caption"], (run, index)))
        except (KeyError, TypeError, IndexError):
            rejects.append(reject((run, index), _missing(item, "id", "image_id", "caption")))
        except RefusedRow as why:
            rejects.append(reject((run, index), why))


def _missing(item: object, *names: str) -> RefusedRow:
    """Why a row without one of its fields is refused."""
    try:
        for name in names:
            member(item, name)
    except RefusedRow as why:
        return why
    return RefusedRow(Reason.MALFORMED, "not as expected")


def _updated_captions(run: Run, batch: Batch) -> None:
    for index, item in enumerate(run.values):
        at = (run, index)
        try:
            key, image = key_of(member(item, "id")), key_of(member(item, "image_id"))
            caption, text = member(item, "caption"), member(item, "updated_caption")
            extra = extra_of(item, _ANNOTATION_KNOWN, ("id", "image_id"))
        except RefusedRow as why:
            batch.rejects.append(reject(at, why))
            continue
        batch.captions.append(CaptionRow(key, image, caption, at))
        batch.candidates.append(CandidateRow(key, image, len(batch.captions) - 1, text, None, extra, at))
