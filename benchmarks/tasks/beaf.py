"""BEAF (Ye-Bin et al., ECCV 2024): COCO images and copies from which one thing was removed, as twins.

Reads beaf_qna.json of github.com/postech-ami/BEAF, a list of {id, image, question, orig_img, removed_q, gt}. BEAF asks
language models "Is there a car in the image?". Here each copy is the twin of its original for the thing that was
removed from it: "a photo with a car" is true of the original only, "a photo without a car" of the copy only. The
captions are negwb's own, since BEAF has none; its metrics of answers (TU, IG, SB, ID) do not apply to similarities.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.errors import BenchError
from benchmarks.task import BenchItem, ImageRegion, Task, file_name, items_in, read_json, slices_of
from benchmarks.tasks.published_files import check_count

VERSION: Final = "1"
NAME: Final = "beaf"
ANNOTATIONS: Final = "beaf_qna.json"
IMAGES: Final = "images"
QUESTIONS: Final = 26_118
PAIRS: Final = 1_727
"""Copies with their originals, as beaf_metric.py counts them."""
_QUESTION: Final = re.compile(r"Is there (an? .+) in the image\?")
_COPY: Final = re.compile(r"(.+)_\d\d\.png")


def load(folder: Path, pictures: Path | None = None) -> Task:
    """Load the task.

    Args:
        pictures: Folder of the originals and the copies; None: images/ in `folder`.

    Raises:
        BenchError: The file is missing or not the published one, or a row is invalid.
    """
    path = folder / ANNOTATIONS
    rows, sha256 = read_json(path)
    if not isinstance(rows, list):
        raise BenchError(f"{path}: expected a list of questions")
    check_count(len(rows), QUESTIONS, path)
    questions = _questions(rows, path)
    shown = {(each.image, each.thing) for each in questions if each.is_original and each.is_present}
    removed = [each for each in questions if not each.is_original and each.is_removable and not each.is_present]
    check_count(len(removed), PAIRS, path)
    for each in removed:
        if (each.original, each.thing) not in shown:
            raise BenchError(f"{path}: question {each.id}: the original of {each.image} does not show {each.thing}")
    return Task(
        name=NAME,
        version=VERSION,
        kind="twins",
        dataset_sha256=sha256,
        items=items_in(removed, _twins, f"{path}, pair"),
        pictures=pictures or folder / IMAGES,
    )


@dataclass(frozen=True, slots=True)
class _Question:
    id: str
    image: str
    thing: str
    """With its article, as "a car"."""
    is_original: bool
    is_removable: bool
    """Whether the thing was removed from a copy."""
    is_present: bool

    @property
    def original(self) -> str:
        """The image that this copy was made from."""
        return _COPY.sub(r"\1.jpg", self.image)


def _questions(rows: list[object], path: Path) -> list[_Question]:
    questions = []
    for number, row in enumerate(rows):
        try:
            questions.append(_question(row))
        except ValueError as error:
            raise BenchError(f"{path}, item {number}: {error}") from error
    return questions


def _question(row: object) -> _Question:
    if not isinstance(row, Mapping) or row.get("gt") not in ("yes", "no"):
        raise ValueError("expected an object with 'gt' yes or no")
    image, question = file_name(row.get("image")), row.get("question")
    asked = _QUESTION.fullmatch(question) if isinstance(question, str) else None
    if asked is None:
        raise ValueError("'question' must be: Is there a ... in the image?")
    if not all(isinstance(row.get(name), bool) for name in ("orig_img", "removed_q")):
        raise ValueError("'orig_img' and 'removed_q' must be true or false")
    if not row["orig_img"] and not _COPY.fullmatch(image):
        raise ValueError("the name of a copy must end with _ and two digits")
    return _Question(
        str(row.get("id")), image, asked[1], row["orig_img"], row["removed_q"], is_present=row["gt"] == "yes"
    )


def _twins(copy: _Question, place: int) -> BenchItem:
    denied = f"a photo without {copy.thing}"
    return BenchItem(
        id=copy.id,
        image=copy.original,
        twin=ImageRegion(copy.image, None),
        text=denied,
        captions=(f"a photo with {copy.thing}", denied),
        target=0,
        cluster=copy.original,
        slices={**slices_of(denied), "category": copy.thing.partition(" ")[2]},
    )
