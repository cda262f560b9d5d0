"""Judged tasks: a text retrieves images from a folder, and a judge answers two questions about each.

Reads a list of [text, question about the denied thing, question about the rest], the format of SimpleNeg. The right
answers are no and yes. The gallery is every image in the folder and below it, sorted by name.
"""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.errors import BenchError
from benchmarks.task import BenchItem, JudgedQuestions, Task, items_in, read_json, slices_of

VERSION = "1"
SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
"""File names of images end so."""


def load(name: str, path: Path, pictures: Path, *, most_images: int | None = None) -> Task:
    """Load the task in the file at `path`, over the images in `pictures`.

    Args:
        most_images: Take only so many of the sorted images; None: all.

    Raises:
        BenchError: The file is missing or a row is invalid, or the folder has less than two images.
    """
    rows, sha256 = read_json(path)
    if not isinstance(rows, list) or not rows:
        raise BenchError(f"{path}: expected a list of [text, question, question]")
    items = items_in(rows, partial(_item, width=len(str(len(rows) - 1))), f"{path}, row")
    gallery = image_names(pictures)[:most_images]
    if len(gallery) < 2:
        raise BenchError(f"{pictures} has no two images", hint="name a folder of images: --pictures FOLDER")
    names = "".join(f"\\0{image}" for image in gallery)
    identity = hashlib.sha256(f"{sha256}{names}".encode("utf-8", "surrogatepass")).hexdigest()
    return Task(
        name=name,
        version=VERSION,
        kind="judged",
        dataset_sha256=identity,
        items=items,
        pictures=pictures,
        gallery=gallery,
    )


def image_names(folder: Path) -> tuple[str, ...]:
    """Return the names of the images below `folder`, relative to it, sorted; hidden files are left out.

    Raises:
        BenchError: There is no such folder.
    """
    if not folder.is_dir():
        raise BenchError(f"no such folder of images: {folder}", hint="name one: --pictures FOLDER")
    names = (path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return tuple(sorted(name.as_posix() for name in names if not any(part.startswith(".") for part in name.parts)))


def _item(row: Any, number: int, width: int) -> BenchItem:
    if not isinstance(row, list) or len(row) != 3 or not all(isinstance(text, str) and text.strip() for text in row):
        raise ValueError("expected [text, question about the denied thing, question about the rest]")
    text, denied, scene = row
    return BenchItem(
        id=f"{number:0{width}d}",
        image="",
        text=text,
        questions=JudgedQuestions(denied, scene),
        target=-1,
        cluster=f"text {number}",
        slices=slices_of(text),
    )
