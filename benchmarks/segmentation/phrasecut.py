"""PhraseCut (Wu et al., CVPR 2020): phrases about regions of images of Visual Genome.

Reads the published files `refer_SPLIT.json` and `image_data_split.json`. A phrase can describe several instances; its
region is the union of their polygons. An image is `images/IMAGE_ID.jpg`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.errors import BenchError
from benchmarks.segmentation.data import (
    Referred,
    Region,
    RowReader,
    SegmentationData,
    id_of,
    numbered,
    numbers_of,
    object_of,
    size_of,
    text_of,
)
from benchmarks.segmentation.masks import Point, Size, check_size, points_mask
from benchmarks.task import file_name, read_json

NAME: Final = "phrasecut"
SPLITS: Final = ("test", "val", "train", "miniv")
IMAGE_DATA: Final = ("image_data_split.json", "image_data_split3000.json")
"""The file with the sizes of the images, in the names of its two releases."""
IMAGES: Final = "images"
SOURCE: Final = (
    "get refer_SPLIT.json, image_data_split.json and images/ with download_dataset.py of "
    "github.com/ChenyunWu/PhraseCutDataset"
)


def load(folder: Path, split: str, pictures: Path | None = None) -> SegmentationData:
    """Load a split of PhraseCut from `folder`.

    Args:
        pictures: Folder of the images; None: `images` in `folder`.

    Raises:
        BenchError: A file is missing or damaged, or has no usable row.
    """
    path = folder / f"refer_{split}.json"
    rows, sha256 = _read(path)
    sizes, sizes_sha256 = _image_sizes(folder)
    if not isinstance(rows, list):
        raise BenchError(f"{path}: expected a list of phrases")
    reader = RowReader(path)
    for where, row in numbered(rows):
        reader.read(where, partial(_referred, row, sizes, where))
    identity = hashlib.sha256(f"{sha256}{sizes_sha256}".encode()).hexdigest()
    # the published evaluation counts an IoU above the threshold
    return reader.data(NAME, identity, pictures or folder / IMAGES, inclusive=False)


def _read(path: Path) -> tuple[Any, str]:
    try:
        return read_json(path)
    except BenchError as error:
        raise BenchError(error.message, hint=error.hint or SOURCE) from error


def _image_sizes(folder: Path) -> tuple[dict[str, Size], str]:
    """Return height and width of each image by its id, and the hash of the file."""
    path = next((folder / name for name in IMAGE_DATA if (folder / name).is_file()), folder / IMAGE_DATA[0])
    rows, sha256 = _read(path)
    if not isinstance(rows, list):
        raise BenchError(f"{path}: expected a list of images")
    sizes: dict[str, Size] = {}
    for row in rows:
        try:
            image = object_of(row)
            sizes[id_of(image, "image_id")] = size_of(image)
        except ValueError:
            continue  # a phrase about this image is reported as a bad row
    return sizes, sha256


def _referred(row: Any, sizes: Mapping[str, Size], where: str) -> list[Referred]:
    row = object_of(row)
    image = id_of(row, "image_id")
    if (size := sizes.get(image)) is None:
        raise ValueError(f"the image {image} has no size in {IMAGE_DATA[0]}")
    check_size(size)
    polygons = _polygons(row.get("Polygons"))
    structure = row.get("phrase_structure")
    kind = structure.get("type") if isinstance(structure, Mapping) else None
    return [
        Referred(
            id=id_of(row, "task_id"),
            image=file_name(f"{image}.jpg"),
            text=text_of(row, "phrase"),
            region=Region(size, partial(points_mask, polygons, size), where),
            slices={"phrase_type": kind} if isinstance(kind, str) and kind else {},
        )
    ]


def _polygons(value: Any) -> list[Sequence[Point]]:
    """Return the polygons of all instances."""
    if not isinstance(value, list) or not all(isinstance(instance, list) for instance in value):
        raise ValueError("'Polygons' must be a list of instances, each a list of polygons")
    polygons: list[Sequence[Point]] = []
    for polygon in (polygon for instance in value for polygon in instance):
        points = [numbers_of(point, "a point") for point in polygon] if isinstance(polygon, list) else []
        if not points or any(len(point) != 2 for point in points):
            raise ValueError("a polygon must be a list of points [x, y]")
        polygons.append([(x, y) for x, y in points])
    if not polygons:
        raise ValueError("'Polygons' has no polygon")
    return polygons
