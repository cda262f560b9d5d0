"""RefCOCOg (Mao et al., CVPR 2016): expressions about objects of COCO's train2014 images.

Reads the published files of the `refer` collection: `refs(umd).p` (or `refs(google).p`), a pickle of plain lists and
texts, and `instances.json` in COCO's format. The pickle is read by an unpickler that knows no global name, so nothing
in the file can run. `refs(umd).json` with the same content is read, too. An image is named by `instances.json`.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Mapping
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
from benchmarks.segmentation.masks import (
    Mask,
    Size,
    check_size,
    coco_polygons_mask,
    mask_from_text,
    mask_of,
)
from benchmarks.task import file_name, read_json
from curation_db.language.sanitize import first_line

NAME: Final = "refcocog"
SPLITS: Final = ("test", "val", "train")
PARTITIONS: Final = ("umd", "google")
"""Who divided the images into splits; the images of umd's splits do not overlap."""
INSTANCES: Final = "instances.json"
IMAGES: Final = "train2014"
SOURCE: Final = (
    "get refcocog.zip, with refs(umd).p and instances.json, as described in github.com/lichengunc/refer, "
    "and train2014 of COCO"
)
SIZE_LIMIT: Final = 1_000_000_000
"""Bytes of the pickle; the published ones have less than 30 million."""


class _Unpickler(pickle.Unpickler):
    """Reads lists, dicts, texts and numbers."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no published file does")


def load(folder: Path, split: str, pictures: Path | None = None) -> SegmentationData:
    """Load a split of RefCOCOg from `folder`.

    Args:
        pictures: Folder of the images; None: `train2014` in `folder`.

    Raises:
        BenchError: A file is missing or damaged, or has no usable row of this split.
    """
    path = _refs_file(folder)
    refs, sha256 = _read_refs(path)
    instances, instances_sha256 = _read_json(folder / INSTANCES)
    tables = _Tables(instances, folder / INSTANCES)
    if not isinstance(refs, list):
        raise BenchError(f"{path}: expected a list of references")
    reader = RowReader(path)
    for where, ref in numbered(refs):
        if not isinstance(ref, Mapping) or ref.get("split", split) == split:
            reader.read(where, partial(_referred, ref, tables, where))
    identity = hashlib.sha256(f"{sha256}{instances_sha256}{split}".encode()).hexdigest()
    # the evaluation that published models use counts an IoU equal to the threshold, too
    return reader.data(NAME, identity, pictures or folder / IMAGES, inclusive=True)


def _refs_file(folder: Path) -> Path:
    """Return the file with the expressions, that of umd before that of google."""
    files = [folder / f"refs({partition}).{ending}" for partition in PARTITIONS for ending in ("p", "json")]
    return next((path for path in files if path.is_file()), files[0])


def _read_refs(path: Path) -> tuple[Any, str]:
    if path.suffix == ".json":
        return _read_json(path)
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise BenchError(f"{path} is larger than {SIZE_LIMIT:,} bytes and no published file", hint=SOURCE)
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise BenchError(f"no such file: {path}", hint=SOURCE) from error
    except OSError as error:
        raise BenchError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        # texts of Python 2 are bytes
        refs = _Unpickler(io.BytesIO(content), encoding="utf-8", errors="replace").load()
    except Exception as error:  # a damaged pickle raises errors of many classes
        raise BenchError(f"{path} cannot be read as a list of references: {first_line(error)}", hint=SOURCE) from error
    return refs, hashlib.sha256(content).hexdigest()


def _read_json(path: Path) -> tuple[Any, str]:
    try:
        return read_json(path)
    except BenchError as error:
        raise BenchError(error.message, hint=error.hint or SOURCE) from error


class _Tables:
    """Images, regions and categories of `instances.json`, by id."""

    def __init__(self, content: Any, path: Path) -> None:
        if not isinstance(content, Mapping):
            raise BenchError(f"{path}: expected an object with 'images' and 'annotations'")
        self.images = _by_id(content.get("images"))
        self.annotations = _by_id(content.get("annotations"))
        self.categories = _by_id(content.get("categories"))
        if not self.images or not self.annotations:
            raise BenchError(f"{path} has no images or no annotations", hint=SOURCE)

    def image(self, number: Any) -> tuple[str, Size]:
        """Return file name and size of an image.

        Raises:
            ValueError: It is not in the file, or its entry is damaged.
        """
        if (image := _get(self.images, number)) is None:
            raise ValueError(f"the image {number!r} is not in {INSTANCES}")
        size = size_of(image)
        check_size(size)
        return file_name(image.get("file_name")), size

    def annotation(self, number: Any) -> Mapping[str, Any]:
        """Return an annotation.

        Raises:
            ValueError: It is not in the file.
        """
        if (annotation := _get(self.annotations, number)) is None:
            raise ValueError(f"the annotation {number!r} is not in {INSTANCES}")
        return annotation

    def category(self, number: Any) -> str:
        """Return the name of a category; "" if it has none."""
        name = (_get(self.categories, number) or {}).get("name")
        return name if isinstance(name, str) else ""


def _by_id(rows: Any) -> dict[int | str, Mapping[str, Any]]:
    good = (row for row in (rows if isinstance(rows, list) else []) if isinstance(row, Mapping))
    return {row["id"]: row for row in good if type(row.get("id")) in (int, str)}


def _get(table: Mapping[int | str, Mapping[str, Any]], number: Any) -> Mapping[str, Any] | None:
    return table.get(number) if type(number) in (int, str) else None


def _referred(ref: Any, tables: _Tables, where: str) -> list[Referred]:
    """Return one row for each sentence of a reference."""
    ref = object_of(ref)
    image, size = tables.image(ref.get("image_id"))
    annotation = tables.annotation(ref.get("ann_id"))
    if annotation.get("image_id") != ref.get("image_id"):
        raise ValueError(f"the annotation {ref.get('ann_id')!r} is on another image")
    region = Region(size, partial(_mask, _segmentation(annotation.get("segmentation"), size), size), where)
    category = tables.category(ref.get("category_id", annotation.get("category_id")))
    sentences = ref.get("sentences")
    if not isinstance(sentences, list) or not sentences:
        raise ValueError("'sentences' must be a list of sentences")
    return [
        Referred(
            id=id_of(object_of(sentence), "sent_id"),
            image=image,
            text=text_of(sentence, "sent"),
            region=region,
            slices={"category": category} if category else {},
        )
        for sentence in sentences
    ]


_Segmentation = list[list[float]] | list[int] | str
"""Polygons [x, y, x, y, ...], run lengths, or COCO's text of run lengths."""


def _segmentation(value: Any, size: Size) -> _Segmentation:
    """Return a checked segmentation in one of COCO's three forms.

    Raises:
        ValueError: It is in none of them, or of another size than the image.
    """
    if isinstance(value, list) and value:
        return [numbers_of(polygon, "a polygon") for polygon in value]
    if not isinstance(value, Mapping):
        raise ValueError("'segmentation' must be polygons or run lengths")
    if value.get("size") != list(size):
        raise ValueError(f"the run lengths have the size {value.get('size')!r:.40}, the image {list(size)}")
    counts = value.get("counts")
    if isinstance(counts, str):
        return counts
    if isinstance(counts, list) and all(type(count) is int for count in counts):
        return counts
    raise ValueError("'counts' must be whole numbers or a text")


def _mask(segmentation: _Segmentation, size: Size) -> Mask:
    if isinstance(segmentation, str):
        return mask_from_text(segmentation, size)
    polygons = [polygon for polygon in segmentation if isinstance(polygon, list)]
    if polygons:
        return coco_polygons_mask(polygons, size)
    return mask_of([count for count in segmentation if isinstance(count, int)], size)
