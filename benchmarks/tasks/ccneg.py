"""CC-Neg (Singh et al., WACV 2025): the true caption or its negated form, on the last 40,000 items of the file.

Reads ccneg_preprocessed.pt, a torch file of {image_paths, annotations}, without running anything in it. The published
code removes the commas of negated captions and takes the first highest score of [true, negated], so that ties and NaN
count as right under `official`. Nearly all negated captions have a cue and no true one has, so the baseline "no
negation cue" is right nearly always: a model that avoids negated texts looks perfect here. Rows with a known defect are
flagged: the others are the subset clean.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Final

from benchmarks.errors import BenchError
from benchmarks.row_defects import CLEAN, defect_slice
from benchmarks.task import BenchItem, Task, items_in
from benchmarks.tasks.captions import caption_item, captions_task
from benchmarks.tasks.published_files import check_count
from curation_db.language.sanitize import first_line

VERSION = "1"
NAME = "ccneg"
ANNOTATIONS = "ccneg_preprocessed.pt"
IMAGES = "images"
PUBLISHED: Final = 228_246
"""Items of the published file."""
EVALUATED: Final = 40_000
"""Its last items are the evaluation set, the others the training set."""


def load(folder: Path, pictures: Path | None = None) -> Task:
    """Load the evaluation set.

    Args:
        pictures: Folder of the images, with the paths of the file below their common folder; None: images/ in `folder`.

    Raises:
        BenchError: The file is missing or not the published one, or a row is invalid.
    """
    path = folder / ANNOTATIONS
    images, annotations = _read(path)
    check_count(len(annotations), PUBLISHED, path)
    root = os.path.commonpath(images) if len(set(images)) > 1 else str(Path(images[0]).parent)
    rows = list(enumerate(zip(images, annotations, strict=True)))[-EVALUATED:]
    items = items_in(rows, lambda row, place: _item(row, root), f"{path}, item")
    return captions_task(NAME, VERSION, _sha256(path), items, pictures or folder / IMAGES, subsets=(CLEAN,))


def _read(path: Path) -> tuple[list[str], list[Any]]:
    if not path.is_file():
        raise BenchError(
            f"no such file: {path}", hint="the CC-Neg repository links it: github.com/jaisidhsingh/CoN-CLIP"
        )
    import torch  # noqa: PLC0415 -- a second, which other tasks do not need

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises errors of many classes for a damaged or a foreign file
        raise BenchError(f"{path} cannot be read as a torch file of plain data: {first_line(error)}") from error
    images = content.get("image_paths") if isinstance(content, dict) else None
    annotations = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(images, list) or not isinstance(annotations, list) or len(images) != len(annotations):
        raise BenchError(f"{path}: expected the lists image_paths and annotations, of equal length")
    if not images or not all(isinstance(image, str) and image for image in images):
        raise BenchError(f"{path}: image_paths must be a list of paths")
    return images, annotations


def _item(row: tuple[int, tuple[str, Any]], root: str) -> BenchItem:
    number, (image, annotation) = row
    try:
        caption, negated = annotation["json"]["caption"], annotation["sop_data"]["negative-prompt"]
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError("expected json.caption and sop_data.negative-prompt") from error
    if not isinstance(negated, str):
        raise ValueError("sop_data.negative-prompt must be a text")
    captions = [caption, negated.replace(",", "")]
    return caption_item(
        id=f"{number:06d}",
        image=os.path.relpath(image, root),
        captions=captions,
        target=0,
        slices=defect_slice(captions, 0),
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
