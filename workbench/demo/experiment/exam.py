"""The demo's exam: choose the instance that a phrase means, denied and affirmed, and find a picture by its caption.

Two instances of one kind stand side by side and differ in the thing asked about; whatever else the phrase names holds
of both, so only the thing (and, in the denied phrase, the "no") decides. Every seed here is the exam's own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curation_db.enums import NegationType
from workbench.demo.simulation.proposer import HELD_OUT, P1_TEMPLATES, P2_SHARE, TEMPLATES, negate
from workbench.demo.world.captions import TEMPLATES as CAPTION_TEMPLATES
from workbench.demo.world.captions import SceneCaption, compose, relation_of, write_caption
from workbench.demo.world.drawing import SMALL, crop, draw_large
from workbench.demo.world.world import Scene, make_scene

VALIDATION, TEST = 8100, 8200
"""Worlds of scenes: recipes are chosen on the first and reported on the second."""
SCENES = 800
RETRIEVAL = 500
_NAMING = 0.35

Bools = NDArray[np.bool_]


class ExamEncoder(Protocol):
    """What the exam needs of a model: unit features as arrays that numpy can read."""

    def encode_images(self, images: Sequence[Image.Image]) -> Any: ...
    def encode_texts(self, texts: Sequence[str]) -> Any: ...


@dataclass(frozen=True, slots=True)
class ExamQuestion:
    """One scene with its phrases; `thing` is what exactly one of the two instances has."""

    scene: Scene
    thing: str
    having: int
    """The instance that has it: meant by `affirmed`; the other one is meant by the denied phrases."""
    denied: str
    affirmed: str
    unseen: str
    """Denied in a wording that no training ever saw."""

    @property
    def lacking(self) -> int:
        """The instance without the thing."""
        return 1 - self.having


def make_questions(world: int, count: int = SCENES) -> Iterator[ExamQuestion]:
    """The questions of a world; question `n` depends on the world and `n` alone."""
    for index in range(count):
        yield make_question(world * 1_000_000 + index)


def make_question(seed: int) -> ExamQuestion:
    """The question of one scene."""
    scene, rng = make_scene(seed, instances=2), random.Random(f"exam-{seed}")
    thing = rng.choice(scene.distinguishing_things())
    having = 0 if thing in scene.instances[0].things else 1
    shared = _shared_caption(scene, rng)
    named = (*shared.things, thing)
    affirmed = compose(shared.anchor, shared.colour, named, shared.template, formal=shared.formal)
    denied = negate(shared, thing, rng.choice(_templates(shared.anchor, thing, rng)))
    unseen = negate(shared, thing, rng.choice(tuple(HELD_OUT)))
    return ExamQuestion(scene, thing, having, denied, affirmed, unseen)


def _shared_caption(scene: Scene, rng: random.Random) -> SceneCaption:
    """A caption that is true of both instances."""
    left, right = scene.instances
    both = sorted(set(left.things) & set(right.things))
    things = tuple(thing for thing in both if rng.random() < _NAMING)
    colour = left.colour if left.colour == right.colour and rng.random() < 0.5 else None
    return SceneCaption("", left.anchor, colour, things, rng.choice(CAPTION_TEMPLATES), rng.random() < 0.3)


def _templates(anchor: str, thing: str, rng: random.Random) -> tuple[str, ...]:
    """Wordings in the shares in which the proposer uses them: the exam asks in the words that were taught."""
    if rng.random() >= P2_SHARE:
        return P1_TEMPLATES
    absence = tuple(TEMPLATES[NegationType.ABSENCE])
    if relation_of(anchor, thing).is_verb:
        return (*absence, *TEMPLATES[NegationType.ACTION])
    return absence


def make_gallery(world: int, count: int = RETRIEVAL) -> list[tuple[Scene, str]]:
    """Scenes to be found, each with a caption that names everything in it."""
    rng = random.Random(world)
    scenes = [make_scene(world * 1_000_000 + 500_000 + index) for index in range(count)]
    return [(scene, write_caption(scene.first, rng, naming=1.0).text) for scene in scenes]


def halves(scene: Scene, draw: Callable[[Scene], Image.Image]) -> tuple[Image.Image, Image.Image]:
    """The crops of both instances."""
    picture = draw(scene)
    return crop(scene, picture, 0), crop(scene, picture, 1)


def draw_exam(scene: Scene) -> Image.Image:
    """As people see it, at the model's size."""
    return draw_large(scene, SMALL)


@dataclass(frozen=True)
class ExamFeatures:
    """The picture side of an exam, encoded once: text-only training never changes it."""

    questions: tuple[ExamQuestion, ...]
    pairs: NDArray[np.float32]
    """(N, 2, D)"""
    captions: tuple[str, ...]
    gallery: NDArray[np.float32]
    """(M, D)"""


def encode_exam(
    model: ExamEncoder,
    world: int,
    *,
    scenes: int = SCENES,
    retrieval: int = RETRIEVAL,
    draw: Callable[[Scene], Image.Image] = draw_exam,
) -> ExamFeatures:
    """Draw and encode the pictures of a world's exam."""
    questions = tuple(make_questions(world, scenes))
    crops = [part for question in questions for part in halves(question.scene, draw)]
    pairs = np.asarray(model.encode_images(crops), dtype=np.float32)
    singles = make_gallery(world, retrieval)
    captions = tuple(caption for _, caption in singles)
    gallery = np.asarray(model.encode_images([draw(scene) for scene, _ in singles]), dtype=np.float32)
    return ExamFeatures(questions, pairs.reshape(len(questions), 2, -1), captions, gallery)


@dataclass(frozen=True)
class ExamGrades:
    """Right or wrong, question by question."""

    negref: Bools
    affirm: Bools
    unseen: Bools
    retrieval_r1: Bools

    def percent(self) -> dict[str, float]:
        """The accuracies."""
        parts = {"negref": self.negref, "affirm": self.affirm, "unseen": self.unseen, "retrieval_r1": self.retrieval_r1}
        return {name: round(100 * float(marks.mean()), 2) for name, marks in parts.items()}


def grade(model: ExamEncoder, seen: ExamFeatures) -> ExamGrades:
    """Examine a model whose image tower is the one that `seen` was encoded with."""
    questions = seen.questions
    having = np.array([question.having for question in questions])
    captions = np.asarray(model.encode_texts(list(seen.captions)))
    found = (captions @ seen.gallery.T).argmax(axis=1) == np.arange(len(seen.captions))
    return ExamGrades(
        negref=_chosen(model, seen, [question.denied for question in questions], 1 - having),
        affirm=_chosen(model, seen, [question.affirmed for question in questions], having),
        unseen=_chosen(model, seen, [question.unseen for question in questions], 1 - having),
        retrieval_r1=found,
    )


def _chosen(model: ExamEncoder, seen: ExamFeatures, phrases: list[str], meant: NDArray[np.int64]) -> Bools:
    """Whether the meant instance scores strictly higher; ties are wrong."""
    texts = np.asarray(model.encode_texts(phrases))
    scores = np.einsum("nkd,nd->nk", seen.pairs, texts)
    rows = np.arange(len(meant))
    right: Bools = scores[rows, meant] > scores[rows, 1 - meant]
    return right


def exam_accuracies(model: ExamEncoder, world: int = TEST) -> dict[str, float]:
    """All accuracies in percent."""
    return grade(model, encode_exam(model, world)).percent()
