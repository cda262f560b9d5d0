"""ARO (Yuksekgonul et al., ICLR 2023), Visual Genome parts: which of two captions describes the region?

Reads visual_genome_relation.json and visual_genome_attribution.json: lists of {image_path, bbox_x, bbox_y, bbox_w,
bbox_h, true_caption, false_caption} with relation_name, or attributes. The published code presents [false, true] and
takes the first highest score, so a tie is wrong. The paper averages over relations; here each item counts once, and the
relations are slices.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.errors import BenchError
from benchmarks.task import BenchItem, Task, items_in, read_json
from benchmarks.tasks.captions import caption_item, captions_task
from benchmarks.tasks.published_files import check_count
from benchmarks.tasks.regions import parse_box

VERSION = "1"
IMAGES = "images"


class AroFile(NamedTuple):
    file: str
    items: int
    """Items of the published file."""


FILES: Final[Mapping[str, AroFile]] = {
    "aro-relation": AroFile("visual_genome_relation.json", 23937),
    "aro-attribution": AroFile("visual_genome_attribution.json", 28748),
}


def load(name: str, folder: Path, pictures: Path | None = None) -> Task:
    """Load one part.

    Args:
        name: Name of the task, a key of `FILES`.
        folder: Folder of the JSON files.
        pictures: Folder of the images; None: images/ in `folder`.

    Raises:
        BenchError: The file is missing or not the published one, or a row is invalid.
    """
    file = FILES[name]
    path = folder / file.file
    rows, sha256 = read_json(path)
    if not isinstance(rows, list):
        raise BenchError(f"{path}: expected a list of items")
    check_count(len(rows), file.items, path)
    return captions_task(name, VERSION, sha256, items_in(rows, _item, f"{path}, item"), pictures or folder / IMAGES)


def _item(row: object, place: int) -> BenchItem:
    if not isinstance(row, Mapping):
        raise ValueError("expected an object")
    relation = row.get("relation_name")
    return caption_item(
        id=f"{place:05d}",
        image=row.get("image_path"),
        captions=[row.get("false_caption"), row.get("true_caption")],
        target=1,
        box=parse_box([row.get(f"bbox_{side}") for side in "xywh"]),
        slices={"relation": relation} if isinstance(relation, str) else {},
    )
