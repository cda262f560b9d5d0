"""The demo's exam as benchmark files for `negwb bench run`: denied phrases, affirmed phrases, twins and retrieval.

The questions are `exam.make_questions` of the test range. Both choice tasks use the same scenes: a model that flips the
sign of the text gains on one and loses on the other. Twins put both phrases and both instances of a scene together.
A list in the format of SimpleNeg has no images of its own: the simulated judges know those of the workspace.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from curation_db.atomic_write import replace_file
from workbench.demo.experiment.exam import RETRIEVAL, TEST, ExamQuestion, draw_exam, make_gallery, make_questions
from workbench.demo.world.captions import a_thing, is_plural
from workbench.demo.world.drawing import pixel_box
from workbench.demo.world.world import ATTACHMENTS

NEGREF, AFFIRM, FIND, TWINS = "demo-negref", "demo-affirm", "demo-retrieval", "demo-twins"
JUDGED = "demo-judged"
TASKS = (NEGREF, AFFIRM, FIND, TWINS)
SCENES = 3200
"""Four times the number of validation scenes, to narrow the interval of the curation gain, clustered by scene."""
_IMAGES = "demo-pictures"

Row = dict[str, Any]


def is_complete(folder: Path) -> bool:
    """Return whether the exam in `folder` has all its files; each is written when its images are drawn."""
    return all((folder / f"{name}.json").is_file() for name in (*TASKS, JUDGED))


def write_exam(
    folder: Path,
    *,
    scenes: int = SCENES,
    gallery: int = RETRIEVAL,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> None:
    """Draw the exam into `folder`, with NAME.json for `JUDGED` and each of `TASKS`; a complete exam stays as it is."""
    judged = folder / f"{JUDGED}.json"
    if not judged.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(judged, json.dumps(judged_rows(), indent=1) + "\n")
    if all((folder / f"{name}.json").is_file() for name in TASKS):
        return
    (folder / _IMAGES).mkdir(parents=True, exist_ok=True)
    negref, affirm, twins = [], [], []
    for number, question in enumerate(make_questions(TEST, scenes)):
        denied, affirmed, twin = _choices(folder, number, question)
        negref.append(denied)
        affirm.append(affirmed)
        twins.append(twin)
        progress(number + 1, scenes + gallery)
    captions = []
    for number, (scene, caption) in enumerate(make_gallery(TEST, gallery)):
        name = f"{_IMAGES}/find-{number:04}.png"
        draw_exam(scene).save(folder / name, compress_level=1)
        captions.append({"id": f"{number:04}", "image": name, "text": caption})
        progress(scenes + number + 1, scenes + gallery)
    retrieval = {"images": [caption["image"] for caption in captions], "captions": captions}
    for task, content in zip(TASKS, (negref, affirm, retrieval, twins), strict=True):
        replace_file(folder / f"{task}.json", json.dumps(content, indent=1) + "\n")


def judged_rows() -> list[list[str]]:
    """Return [text, question about the denied thing, question about the rest] for each kind and thing of the world."""
    return [
        [f"{a_thing(anchor)} with no {thing}", _is_there(thing), _is_there(anchor)]
        for anchor, things in ATTACHMENTS.items()
        for thing in things
    ]


def _is_there(thing: str) -> str:
    return f"{'are' if is_plural(thing) else 'is'} there {a_thing(thing)} in the image?"


def _choices(folder: Path, number: int, question: ExamQuestion) -> tuple[Row, Row, Row]:
    """Draw the scene's image; return its rows of the denied, the affirmed and the twins task."""
    name = f"{_IMAGES}/choose-{number:04}.png"
    image = draw_exam(question.scene)
    image.save(folder / name, compress_level=1)
    corners = [pixel_box(question.scene, image, index) for index in (0, 1)]
    boxes = [[left, top, right - left, bottom - top] for left, top, right, bottom in corners]
    shared = {"id": f"{number:04}", "image": name, "bbox_list": boxes}
    twin = {
        "id": f"{number:04}",
        "images": [name, name],
        "boxes": [boxes[question.having], boxes[question.lacking]],
        "texts": [question.affirmed, question.denied],
    }
    return (
        {**shared, "phrase": question.denied, "ref_bbox": boxes[question.lacking]},
        {**shared, "phrase": question.affirmed, "ref_bbox": boxes[question.having]},
        twin,
    )
