"""Retrieval tasks: which image of the gallery does the caption describe, or which of all captions the image?

Reads {images: [file name, ...], captions: [{image, text}, ...]}; optional keys of a caption: id, cluster. The only
right image of a caption is its own, as in published recalls; all captions of an image are right for it. The metrics
are recall at 1, 5 and 10.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchError
from benchmarks.task import BenchItem, Task, file_name, items_in, read_json, slices_of

VERSION = "1"
RECALLS = (1, 5, 10)
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


def from_captions(
    name: str,
    version: str,
    dataset_sha256: str,
    captions: Sequence[tuple[str, Sequence[str]]],
    pictures: Path,
    *,
    where: str,
    to_captions: bool,
) -> Task:
    """Return the retrieval of images by their captions, or of captions by their images.

    Args:
        captions: File name of each image, and its captions.
        where: The file, for messages.
        to_captions: Whether images are the queries, and all captions the gallery.

    Raises:
        BenchError: An image has no caption or is listed twice, a caption is no text, or there is only one image.
    """
    images = [image for image, _ in captions]
    for image, texts in captions:
        if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
            raise BenchError(f"{where}: the captions of {image} must be a list of texts")
    if len(images) < 2 or len(set(images)) < len(images):
        raise BenchError(f"{where}: expected two images or more, each once")
    build = _caption_items if to_captions else _image_items
    return Task(
        name=name,
        version=version,
        kind="caption_retrieval" if to_captions else "retrieval",
        dataset_sha256=dataset_sha256,
        items=tuple(build(captions)),
        pictures=pictures,
        gallery=tuple(text for _, texts in captions for text in texts) if to_captions else tuple(images),
    )


def _image_items(captions: Sequence[tuple[str, Sequence[str]]]) -> list[BenchItem]:
    return [
        BenchItem(id=f"{image}#{n}", image=image, text=text, target=place, cluster=image, slices=slices_of(text))
        for place, (image, texts) in enumerate(captions)
        for n, text in enumerate(texts)
    ]


def _caption_items(captions: Sequence[tuple[str, Sequence[str]]]) -> list[BenchItem]:
    items = []
    start = 0
    for image, texts in captions:
        also = tuple(range(start + 1, start + len(texts)))
        items.append(
            BenchItem(
                id=image,
                image=image,
                text=texts[0],
                target=start,
                also_right=also,
                cluster=image,
                slices=slices_of(texts[0]),
            )
        )
        start += len(texts)
    return items
