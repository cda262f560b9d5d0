"""VALSE (Parcalabescu et al., ACL 2022): which of two captions, the true one or its foil, describes the image?

Reads the files of github.com/Heidelberg-NLP/VALSE (MIT), an object of {image_file, caption, foil, mturk, ...} by id. An
item is valid if at least two of three annotators chose the caption over the foil (mturk.caption >= 2). The figures of
the NegationCLIP paper are over all 534 items of existence; VALSE's own are over the 505 valid ones, a subset here.
Rows with a known defect are flagged: the others are the subset clean. One item of existence has a foil that equals its
caption.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.row_defects import CLEAN, defect_slice
from benchmarks.task import BenchItem, Subset, Task, items_in, read_json
from benchmarks.tasks.captions import caption_item, captions_task
from benchmarks.tasks.published_files import check_count, rows_by_id

VERSION = "1"
IMAGES = "images"
"""Folder of the images of all phenomena, below the folder of the files."""
ITEMS: Final[Mapping[str, int]] = {
    "existence": 534,
    "plurals": 1000,
    "counting-small-quant": 1000,
    "counting-hard": 1000,
    "counting-adversarial": 756,
    "relations": 614,
    "action-replacement": 779,
    "actant-swap": 1042,
    "coreference-standard": 916,
    "coreference-hard": 141,
    "foil-it": 1000,
}
"""Items of each published file, by its name without .json."""
VALID_VOTES = 2


def load(name: str, folder: Path, pictures: Path | None = None) -> Task:
    """Load one phenomenon.

    Args:
        name: Name of the task: valse-existence reads existence.json.
        folder: Folder of the JSON files.
        pictures: Folder of the images; None: images/ in `folder`.

    Raises:
        BenchError: The file is missing or not the published one, or a row is invalid.
    """
    phenomenon = name.removeprefix("valse-")
    path = folder / f"{phenomenon}.json"
    content, sha256 = read_json(path)
    rows = rows_by_id(content, path)
    check_count(len(rows), ITEMS[phenomenon], path)
    items = items_in(rows, _item, f"{path}, item")
    subsets = (Subset("valid", "valid", "yes"), CLEAN)
    return captions_task(name, VERSION, sha256, items, pictures or folder / IMAGES, official="greater", subsets=subsets)


def _item(entry: tuple[str, object], place: int) -> BenchItem:
    id, row = entry
    if not isinstance(row, Mapping) or not isinstance(votes := row.get("mturk"), Mapping):
        raise ValueError("expected an object with 'mturk'")
    chosen = votes.get("caption")
    if type(chosen) is not int:
        raise ValueError(f"'mturk' must hold the number of votes for the caption, got {chosen!r}")
    captions = [row.get("caption"), row.get("foil")]
    return caption_item(
        id=id,
        image=row.get("image_file"),
        captions=captions,
        target=0,
        slices={"valid": "yes" if chosen >= VALID_VOTES else "no", **defect_slice(captions, 0)},
    )
