"""Retrieval tasks: which image of the gallery does the caption describe? Text-to-image recall at 1 and at 5.

Reads {images: [file name, ...], captions: [{image, text}, ...]}; optional keys of a caption: id, cluster. The only
right image of a caption is its own, as in published recalls.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchError
from benchmarks.task import BenchItem, Task, file_name, items_in, read_json, slices_of

VERSION = "1"
RECALLS = (1, 5)
"""Values of k for recall at k; the first one decides whether an item is right."""


def load(name: str, path: Path, pictures: Path, *, fetch_command: str = "") -> Task:
    """Load the task in the file at `path`, with its images in the folder `pictures`.

    Raises:
        BenchError: The file is missing, or a caption is invalid.
    """
    content, sha256 = read_json(path, fetch_command=fetch_command)
    gallery = _gallery(content, path)
    return Task(
        name=name,
        version=VERSION,
        kind="retrieval",
        dataset_sha256=sha256,
        items=_items(content.get("captions"), gallery, path),
        pictures=pictures,
        gallery=gallery,
        fetch_command=fetch_command,
    )


def _gallery(content: Any, path: Path) -> tuple[str, ...]:
    images = content.get("images") if isinstance(content, Mapping) else None
    if not isinstance(images, list) or len(images) < 2:
        raise BenchError(f"{path}: 'images' must list two file names or more")
    try:
        names = tuple(file_name(name) for name in images)
    except ValueError as error:
        raise BenchError(f"{path}: {error}") from error
    if len(set(names)) < len(names):
        raise BenchError(f"{path}: an image is listed twice")
    return names


def _items(captions: object, gallery: tuple[str, ...], path: Path) -> tuple[BenchItem, ...]:
    if not isinstance(captions, list) or not captions:
        raise BenchError(f"{path}: 'captions' must be a list")
    places = {name: place for place, name in enumerate(gallery)}
    return items_in(captions, partial(_item, places=places), f"{path}, caption")


def _item(caption: object, number: int, places: Mapping[str, int]) -> BenchItem:
    if not isinstance(caption, Mapping):
        raise ValueError("expected an object")
    text = caption.get("text")
    if not isinstance(text, str) or not text.strip():
        raise ValueError("'text' must be a text")
    image = file_name(caption.get("image"))
    if image not in places:
        raise ValueError(f"{image!r} is not in 'images'")
    return BenchItem(
        id=str(caption.get("id", f"{number:05d}")),
        image=image,
        text=text,
        target=places[image],
        cluster=str(caption.get("cluster", image)),
        slices=slices_of(text),
    )
