"""ContextNegBench-Lite: which caption, the true one or one of its hard negatives, describes the drawn shapes?

Reads annotations.jsonl of github.com/FrancescoEPFL/ContextNegBench-Lite (CC0), lines of {image_id, image_path,
correct_caption, hard_negative_captions, task_type}. The tasks are attribute binding, position, counting and negation.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.row_defects import CLEAN, defect_slice
from benchmarks.task import BenchItem, Task, items_in, read_json_lines
from benchmarks.tasks.captions import caption_item, captions_task

VERSION = "1"
NAME = "contextnegbench-lite"
ANNOTATIONS = "annotations.jsonl"


def load(folder: Path, pictures: Path | None = None) -> Task:
    """Load the task from a copy of the published folder.

    Args:
        pictures: Folder that the image paths are relative to; None: `folder`.

    Raises:
        BenchError: The file is missing, or a row is invalid.
    """
    path = folder / ANNOTATIONS
    rows, sha256 = read_json_lines(path)
    items = items_in(rows, _item, f"{path}, line")
    return captions_task(NAME, VERSION, sha256, items, pictures or folder, official="greater", subsets=(CLEAN,))


def _item(row: object, place: int) -> BenchItem:
    if not isinstance(row, Mapping) or not isinstance(negatives := row.get("hard_negative_captions"), list):
        raise ValueError("expected an object with a list of 'hard_negative_captions'")
    captions = [row.get("correct_caption"), *negatives]
    return caption_item(
        id=str(row.get("image_id", place)),
        image=row.get("image_path"),
        captions=captions,
        target=0,
        slices={"part": str(row.get("task_type", "none")), **defect_slice(captions, 0)},
    )
