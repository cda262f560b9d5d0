"""Twins tasks: two images and two captions, each caption true of one of the images; see `benchmarks.twins`.

Reads a list of {images: [first, second], texts: [first, second]}: the first text is true of the first image only, the
second of the second only, as "a dog with a hat" and "a dog without a hat". Optional keys: id, cluster, and boxes, a
list of [x, y, width, height] or null for each image. Both images may be regions of one file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.errors import BenchError
from benchmarks.task import BenchItem, ImageRegion, Task, file_name, items_in, read_json, slices_of
from benchmarks.tasks.regions import parse_box

VERSION = "1"


def load(name: str, path: Path, pictures: Path) -> Task:
    """Load the task in the file at `path`, with its images in the folder `pictures`.

    Raises:
        BenchError: The file is missing, or a row is invalid.
    """
    rows, sha256 = read_json(path)
    if not isinstance(rows, list) or not rows:
        raise BenchError(f"{path}: expected a list of items")
    return Task(
        name=name,
        version=VERSION,
        kind="twins",
        dataset_sha256=sha256,
        items=items_in(rows, _item, f"{path}, item"),
        pictures=pictures,
    )


def _item(row: object, place: int) -> BenchItem:
    if not isinstance(row, Mapping):
        raise ValueError("expected an object")
    images = _two(row, "images")
    texts = [text for text in _two(row, "texts") if isinstance(text, str) and text.strip()]
    if len(set(texts)) != 2:
        raise ValueError("'texts' must hold two different texts")
    boxes = _two(row, "boxes") if "boxes" in row else [None, None]
    first, second = (
        ImageRegion(file_name(image), None if box is None else parse_box(box))
        for image, box in zip(images, boxes, strict=True)
    )
    if first == second:
        raise ValueError("both images are the same")
    negated = next((text for text in reversed(texts) if slices_of(text)["position"] != "none"), texts[1])
    return BenchItem(
        id=str(row.get("id", f"{place:05d}")),
        image=first.image,
        box=first.box,
        twin=second,
        text=negated,
        captions=tuple(texts),
        target=0,
        cluster=str(row.get("cluster", first.image)),
        slices=slices_of(negated),
    )


def _two(row: Mapping[str, object], key: str) -> list[object]:
    value = row.get(key)
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"'{key}' must be a list of two")
    return value
