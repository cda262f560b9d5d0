"""Judged tasks: a text retrieves images, and a judge answers two questions about each of them.

No file says which image is right. A retrieved image is right if the judge answers yes to the question about the scene
and no to the question about the denied thing. The judge is outside of this package (`ImageJudge`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import numpy as np

from benchmarks import protocols
from benchmarks.errors import BenchError
from benchmarks.protocols import refuse_nan
from benchmarks.schema import JUDGED, ItemRow, JudgedImage, JudgeFacts, Score
from benchmarks.scoring import Progress, Scores
from benchmarks.task import BenchItem, Task
from curation_db.stats.intervals import cluster_bootstrap, wilson
from trainers.errors import TrainerError
from trainers.features.feature_store import Floats as Similarities
from trainers.features.file_hashes import FileHashes

TOP: Final = 5
"""Number of images that a text retrieves."""
QUESTIONS: Final = "questions"
"""Stage of the progress in which the judge answers."""


class ImageQuestion(NamedTuple):
    """A question about an image, to be answered with yes or no."""

    path: Path
    sha256: str
    """Of the file; the same content in another folder is the same question."""
    text: str


class ImageAnswer(NamedTuple):
    yes: bool | None
    """None: the answer is neither yes nor no."""
    p: float | None
    """Probability of yes; None: unclear."""


class ImageJudge(Protocol):
    """Answers questions about images; implemented in `workbench.jobs.benchmarks.judge`."""

    def ask(self, questions: Sequence[ImageQuestion], progress: ReportAnswers) -> list[ImageAnswer]:
        """Return the answers in the order of `questions`.

        Raises:
            BenchError: A question has no answer.
        """

    @property
    def facts(self) -> JudgeFacts:
        """The judge's identity, without counts and shares; known after the first `ask`."""


class ReportAnswers(Protocol):
    def __call__(self, done: int, total: int, /) -> None: ...


class RetrievedImage(NamedTuple):
    """One of the `TOP` images of a text."""

    name: str
    similarity: float
    """float32"""
    tied: bool
    """Another image of the gallery has the same similarity."""
    sha256: str
    denied: ImageAnswer
    scene: ImageAnswer


@dataclass(frozen=True, slots=True)
class JudgedRetrieval:
    """The images that the items of a task retrieve under a model, with the judge's answers."""

    task: Task
    """The task, whose data set's hash includes the judge."""
    images: tuple[tuple[RetrievedImage, ...], ...]
    """Of each item, the most similar image first."""
    facts: JudgeFacts
    """The judge, with counts and without shares."""


def highest(similarities: Similarities, count: int = TOP) -> list[int]:
    """Return the indices of the highest similarities: earlier images win ties; NaN is the highest, as in torch.topk.

    Args:
        similarities: Shape (G,), one per image of the gallery.
    """
    lowest_first = np.where(np.isnan(similarities), -np.inf, -similarities)
    return [int(place) for place in lowest_first.argsort(kind="stable")[:count]]


def retrieve_and_judge(
    task: Task,
    scores: Scores,
    judge: ImageJudge,
    rules: Sequence[protocols.Protocol],
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> JudgedRetrieval:
    """Retrieve the images of each item and ask the judge about them; each distinct question is asked once.

    Args:
        rules: The protocols that will judge the items; one that refuses NaN does so before any question is asked.

    Raises:
        BenchError: A score is NaN under a rule that does not allow it, an image cannot be read, or a question has no
            answer.
    """
    report: Progress = progress or (lambda stage, done, total: None)
    found: list[tuple[BenchItem, list[tuple[int, float, bool]]]] = []
    for item, row in zip(task.items, scores.of_gallery(), strict=True):
        places = highest(row)
        found.append((item, [(place, float(row[place]), bool((row == row[place]).sum() > 1)) for place in places]))
        if any(math.isnan(similarity) for _, similarity, _ in found[-1][1]):
            for rule in rules:
                if rule.name == "strict":
                    refuse_nan(item, rule)
    sha256_of = _hashes(task, sorted({place for _, images in found for place, _, _ in images}), cache)
    asked = {
        ImageQuestion(task.pictures / task.gallery[place], sha256_of[place], text)
        for item, images in found
        for place, _, _ in images
        for text in _questions_of(item)
    }
    # by image, so that a server can reuse the image that it has just read
    questions = sorted(asked, key=lambda question: (question.sha256, question.text, question.path))
    answered = judge.ask(questions, partial(report, QUESTIONS))
    answers = {(question.sha256, question.text): answer for question, answer in zip(questions, answered, strict=True)}
    images_of_items = tuple(
        tuple(
            RetrievedImage(
                task.gallery[place],
                similarity,
                tied,
                sha256_of[place],
                *(answers[sha256_of[place], text] for text in _questions_of(item)),
            )
            for place, similarity, tied in images
        )
        for item, images in found
    )
    unclear = sum(answer.yes is None for answer in answers.values())
    facts: JudgeFacts = {**judge.facts, "questions": len(answers), "unclear": unclear}
    identity = hashlib.sha256(f"{task.dataset_sha256}\\0{facts['id']}".encode()).hexdigest()
    return JudgedRetrieval(replace(task, dataset_sha256=identity), images_of_items, facts)


def _hashes(task: Task, places: Sequence[int], cache: Path | None) -> dict[int, str]:
    try:
        hashes = FileHashes(cache).of([task.pictures / task.gallery[place] for place in places])
    except TrainerError as error:
        raise BenchError(error.message) from error
    return dict(zip(places, hashes, strict=True))


def _questions_of(item: BenchItem) -> tuple[str, str]:
    if item.questions is None:
        raise ValueError(f"item {item.id} has no questions")
    return item.questions


def judged_row(row: ItemRow, item: BenchItem, images: Sequence[RetrievedImage], rule: protocols.Protocol) -> ItemRow:
    """Return an item's row with the keys that depend on the answers and on the protocol.

    Under `strict` an image counts as wrong if another image is as similar, or if its similarity is NaN.
    """
    nan = [math.isnan(image.similarity) for image in images]
    if rule.name == "strict" and any(nan):
        refuse_nan(item, rule)
    answers: list[JudgedImage] = [
        {
            "sha256": image.sha256,
            "scene": image.scene.yes,
            "denied": image.denied.yes,
            "p_scene": image.scene.p,
            "p_denied": image.denied.p,
            "counts": rule.name == "official" or not (image.tied or is_nan),
        }
        for image, is_nan in zip(images, nan, strict=True)
    ]
    right = [place for place, answer in enumerate(answers) if JUDGED["both"](answer)]
    return {
        **row,
        "image": images[0].name,
        "pred": 0,
        "target": right[0] if right else -1,
        "correct": right[:1] == [0],
        "tie": images[0].tied,
        "rank": right[0] + 1 if right else None,
        "answers": answers,
    }


def judge_shares(rows: Sequence[ItemRow]) -> dict[str, Score]:
    """Return the shares of `JudgeFacts`: the published Avg.5, and the negation where the scene is right."""
    right = [[JUDGED["both"](image) for image in row["answers"]] for row in rows]
    texts = [row["id"] for row, images in zip(rows, right, strict=True) for _ in images]
    flat = [float(value) for images in right for value in images]
    span = cluster_bootstrap(flat, texts)
    correct, n = round(math.fsum(flat)), len(flat)
    value = correct / n
    # fmt: off
    shares: dict[str, Score] = {
        "average_of_5": {"correct": correct, "n": n, "value": value, "low": min(span.low, value),
                         "high": max(span.high, value)}
    }
    # fmt: on
    with_scene = [row for row in rows if JUDGED["scene"](row["answers"][0])]
    if with_scene:
        both = sum(row["correct"] for row in with_scene)
        share = wilson(both, len(with_scene))
        shares["negation_where_scene"] = {
            "correct": both,
            "n": len(with_scene),
            "value": share.estimate,
            "low": share.low,
            "high": share.high,
        }
    return shares
