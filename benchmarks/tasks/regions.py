"""Regions tasks: which box of the image does the phrase describe?

Reads the format of NegRefCOCOg: a list of {image, phrase, ref_bbox, bbox_list}, boxes as [x, y, width, height] in
pixels. Optional keys: id, cluster. Every row is checked before the run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.baselines import REGION_BASELINES
from benchmarks.errors import BenchError
from benchmarks.task import BenchItem, Box, Task, file_name, items_in, read_json, slices_of

VERSION = "1"


def load(name: str, path: Path, pictures: Path, *, fetch_command: str = "") -> Task:
    """Load the task in the file at `path`, with its images in the folder `pictures`.

    Raises:
        BenchError: The file is missing, or a row is invalid.
    """
    rows, sha256 = read_json(path, fetch_command=fetch_command)
    return Task(
        name=name,
        version=VERSION,
        kind="regions",
        dataset_sha256=sha256,
        items=items_of(rows, path),
        pictures=pictures,
        baselines=REGION_BASELINES,
        fetch_command=fetch_command,
    )


def items_of(rows: object, path: Path) -> tuple[BenchItem, ...]:
    """Return the items of the parsed file; `path` is for messages.

    Raises:
        BenchError: A row is invalid; the message names it.
    """
    if not isinstance(rows, list) or not rows:
        raise BenchError(f"{path}: expected a list of items")
    return items_in(rows, _item, f"{path}, item")


def _item(row: object, place: int) -> BenchItem:
    if not isinstance(row, Mapping):
        raise ValueError("expected an object")
    phrase = row.get("phrase")
    if not isinstance(phrase, str) or not phrase.strip():
        raise ValueError("'phrase' must be a text")
    options = _options(row.get("bbox_list"))
    reference = parse_box(row.get("ref_bbox"))
    if reference not in options:
        raise ValueError("'ref_bbox' is not in 'bbox_list'")
    image = file_name(row.get("image"))
    return BenchItem(
        id=str(row.get("id", f"{place:04d}")),
        image=image,
        text=phrase,
        options=options,
        target=options.index(reference),
        cluster=str(row.get("cluster", image)),
        slices=slices_of(phrase),
    )


def _options(value: Any) -> tuple[Box, ...]:
    if not isinstance(value, list) or len(value) < 2:
        raise ValueError("'bbox_list' must hold two boxes or more")
    return tuple(parse_box(box) for box in value)


def parse_box(value: Any) -> Box:
    """Return the box [x, y, width, height], in pixels.

    Raises:
        ValueError: `value` is not a box with at least one pixel.
    """
    if not isinstance(value, list) or len(value) != 4:
        raise ValueError(f"expected a box [x, y, width, height], got {value!r}")
    if not all(type(number) in {int, float} and math.isfinite(number) for number in value):
        raise ValueError(f"expected a box of four numbers, got {value!r}")
    box = Box(*value)
    left, top, right, bottom = pixels(box)
    if right <= left or bottom <= top:
        raise ValueError(f"the box {value!r} contains no pixel")
    return box


def pixels(box: Box) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom, in pixels, of the crop that Pillow makes of a box.

    Pillow rounds each corner (half to even), so boxes that differ only in fractions may give one crop.
    """
    return round(box.x), round(box.y), round(box.x + box.width), round(box.y + box.height)
