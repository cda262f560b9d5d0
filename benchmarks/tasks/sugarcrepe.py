"""SugarCrepe (Hsieh et al., NeurIPS 2023): which caption, the true one or a fluent hard negative, describes the image?

Reads the seven files of github.com/RAIVNLab/sugar-crepe (MIT), each an object of {filename, caption, negative_caption}
by index; indices have gaps. The images are those of COCO val2017. The published code counts an item as right if the
caption's similarity is greater than that of the negative.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.task import BenchItem, Subset, Task, items_in, read_json
from benchmarks.tasks.captions import caption_item, captions_task
from benchmarks.tasks.published_files import check_count, hash_of_files, rows_by_id

VERSION = "1"
NAME = "sugarcrepe"
IMAGES = "val2017"
ITEMS: Final[Mapping[str, int]] = {
    "add_att": 692,
    "add_obj": 2062,
    "replace_att": 788,
    "replace_obj": 1652,
    "replace_rel": 1406,
    "swap_att": 666,
    "swap_obj": 245,
}
"""Items of each published file, by its name without .json."""


def load(name: str, folder: Path, pictures: Path | None = None) -> Task:
    """Load one part, or all seven with a score for each.

    Args:
        name: Name of the task: sugarcrepe-add-att reads add_att.json, sugarcrepe reads all files.
        folder: Folder of the JSON files.
        pictures: Folder of the images; None: val2017/ in `folder`.

    Raises:
        BenchError: A file is missing or not the published one, or a row is invalid.
    """
    parts = list(ITEMS) if name == NAME else [name.removeprefix(f"{NAME}-").replace("-", "_")]
    items: list[BenchItem] = []
    hashes = {}
    for part in parts:
        path = folder / f"{part}.json"
        content, hashes[path.name] = read_json(path)
        rows = rows_by_id(content, path)
        check_count(len(rows), ITEMS[part], path)
        items += items_in(rows, partial(_item, part=part), f"{path}, item")
    whole = len(parts) > 1
    return captions_task(
        name,
        VERSION,
        hash_of_files(hashes) if whole else next(iter(hashes.values())),
        tuple(items),
        pictures or folder / IMAGES,
        official="greater",
        subsets=tuple(Subset(part, "part", part) for part in parts) if whole else (),
    )


def _item(entry: tuple[str, object], place: int, part: str) -> BenchItem:
    index, row = entry
    if not isinstance(row, Mapping):
        raise ValueError("expected an object")
    return caption_item(
        id=f"{part}/{index}",
        image=row.get("filename"),
        captions=[row.get("caption"), row.get("negative_caption")],
        target=0,
        slices={"part": part},
    )
