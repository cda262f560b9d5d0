"""The demo's exam as benchmark files: choose by denied phrases, by affirmed ones, and find a picture by its caption.

The questions are `exam.make_questions` of the test world, to be asked with `negwb bench run`. Both choices ask about
the same scenes: whoever flips the sign of the text wins one and loses the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from curation_db.atomic_write import replace_file
from workbench.demo.experiment.exam import RETRIEVAL, TEST, ExamQuestion, draw_exam, make_gallery, make_questions
from workbench.demo.world.drawing import pixel_box

NEGREF, AFFIRM, FIND = "demo-negref", "demo-affirm", "demo-retrieval"
TASKS = (NEGREF, AFFIRM, FIND)
SCENES = 3200
"""Four times the validation's: the interval of the curation gain, clustered by scene, is what they are for."""
_PICTURES = "demo-pictures"

Row = dict[str, Any]


def write_exam(
    folder: Path,
    *,
    scenes: int = SCENES,
    gallery: int = RETRIEVAL,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> None:
    """Draw the exam into `folder` as NAME.json for each of `TASKS`; one that is there already stays as it is."""
    if all((folder / f"{name}.json").is_file() for name in TASKS):
        return
    (folder / _PICTURES).mkdir(parents=True, exist_ok=True)
    negref, affirm = [], []
    for number, question in enumerate(make_questions(TEST, scenes)):
        denied, affirmed = _choices(folder, number, question)
        negref.append(denied)
        affirm.append(affirmed)
        progress(number + 1, scenes + gallery)
    captions = []
    for number, (scene, caption) in enumerate(make_gallery(TEST, gallery)):
        name = f"{_PICTURES}/find-{number:04}.png"
        draw_exam(scene).save(folder / name, compress_level=1)
        captions.append({"id": f"{number:04}", "image": name, "text": caption})
        progress(scenes + number + 1, scenes + gallery)
    find = {"images": [caption["image"] for caption in captions], "captions": captions}
    for task, told in zip(TASKS, (negref, affirm, find), strict=True):
        replace_file(folder / f"{task}.json", json.dumps(told, indent=1) + "\n")


def _choices(folder: Path, number: int, question: ExamQuestion) -> tuple[Row, Row]:
    """The scene's picture, with one row about it in each task."""
    name = f"{_PICTURES}/choose-{number:04}.png"
    picture = draw_exam(question.scene)
    picture.save(folder / name, compress_level=1)
    corners = [pixel_box(question.scene, picture, index) for index in (0, 1)]
    boxes = [[left, top, right - left, bottom - top] for left, top, right, bottom in corners]
    shared = {"id": f"{number:04}", "image": name, "bbox_list": boxes}
    return (
        {**shared, "phrase": question.denied, "ref_bbox": boxes[question.lacking]},
        {**shared, "phrase": question.affirmed, "ref_bbox": boxes[question.having]},
    )
