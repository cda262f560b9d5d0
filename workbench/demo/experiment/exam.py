"""The demo's exam: choose the instance that a denied or affirmed phrase refers to; retrieve an image by its caption.

An image has two instances of one kind side by side. The rest of the phrase is true of both, so only the thing (and in
a denied phrase the negation) identifies the instance. No other part of the demo uses the exam's seeds.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
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
"""Seed ranges of scenes: recipes are chosen on the first and reported on the second."""
SCENES = 800
RETRIEVAL = 500
_NAMING = 0.35

Bools = NDArray[np.bool_]


class ExamEncoder(Protocol):
    """Encoder of images and texts; returns unit features as arrays that numpy can read."""

    def encode_images(self, images: Sequence[Image.Image]) -> Any: ...
    def encode_texts(self, texts: Sequence[str]) -> Any: ...


@dataclass(frozen=True, slots=True)
class ExamQuestion:
    """A scene with its phrases; exactly one of its two instances has `thing`."""

    scene: Scene
    thing: str
    having: int
    """Index of the instance with the thing: the target of `affirmed`; the other is the target of the denied phrases."""
    denied: str
    affirmed: str
    unseen: str
    """Denied phrase in a wording that occurs in no training data."""

    @property
    def lacking(self) -> int:
        """Index of the instance without the thing."""
        return 1 - self.having


def make_questions(world: int, count: int = SCENES) -> Iterator[ExamQuestion]:
    """Yield the questions of a seed range; question `n` depends on `world` and `n` alone."""
    for index in range(count):
        yield make_question(world * 1_000_000 + index)


def make_question(seed: int) -> ExamQuestion:
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
    """Return a caption that is true of both instances."""
    left, right = scene.instances
    both = sorted(set(left.things) & set(right.things))
    things = tuple(thing for thing in both if rng.random() < _NAMING)
    colour = left.colour if left.colour == right.colour and rng.random() < 0.5 else None
    return SceneCaption("", left.anchor, colour, things, rng.choice(CAPTION_TEMPLATES), rng.random() < 0.3)


def _templates(anchor: str, thing: str, rng: random.Random) -> tuple[str, ...]:
    """Return the templates to choose from, in the proposer's shares: the exam uses the wordings of the training."""
    if rng.random() >= P2_SHARE:
        return P1_TEMPLATES
    absence = tuple(TEMPLATES[NegationType.ABSENCE])
    if relation_of(anchor, thing).is_verb:
        return (*absence, *TEMPLATES[NegationType.ACTION])
    return absence


def make_gallery(world: int, count: int = RETRIEVAL) -> list[tuple[Scene, str]]:
    """Make the retrieval scenes, each with a caption that names all its things."""
    rng = random.Random(world)
    scenes = [make_scene(world * 1_000_000 + 500_000 + index) for index in range(count)]
    return [(scene, write_caption(scene.first, rng, naming=1.0).text) for scene in scenes]


def halves(scene: Scene) -> tuple[Image.Image, Image.Image]:
    """Draw the scene and return the crops of both instances."""
    image = draw_exam(scene)
    return crop(scene, image, 0), crop(scene, image, 1)


def draw_exam(scene: Scene) -> Image.Image:
    """Draw the scene with its backdrop, at the model's size."""
    return draw_large(scene, SMALL)


@dataclass(frozen=True)
class ExamFeatures:
    """Image features of an exam; training of the text encoder does not change them."""

    questions: tuple[ExamQuestion, ...]
    pairs: NDArray[np.float32]
    """(N, 2, D)"""
    captions: tuple[str, ...]
    gallery: NDArray[np.float32]
    """(M, D)"""


def encode_exam(model: ExamEncoder, world: int, *, scenes: int = SCENES, retrieval: int = RETRIEVAL) -> ExamFeatures:
    """Draw and encode the images of a seed range's exam."""
    questions = tuple(make_questions(world, scenes))
    crops = [part for question in questions for part in halves(question.scene)]
    pairs = np.asarray(model.encode_images(crops), dtype=np.float32)
    singles = make_gallery(world, retrieval)
    captions = tuple(caption for _, caption in singles)
    gallery = np.asarray(model.encode_images([draw_exam(scene) for scene, _ in singles]), dtype=np.float32)
    return ExamFeatures(questions, pairs.reshape(len(questions), 2, -1), captions, gallery)


@dataclass(frozen=True)
class ExamGrades:
    negref: Bools
    affirm: Bools
    unseen: Bools
    retrieval_r1: Bools

    def percent(self) -> dict[str, float]:
        """Return the accuracies in percent."""
        parts = {"negref": self.negref, "affirm": self.affirm, "unseen": self.unseen, "retrieval_r1": self.retrieval_r1}
        return {name: round(100 * float(grades.mean()), 2) for name, grades in parts.items()}


def grade(model: ExamEncoder, features: ExamFeatures) -> ExamGrades:
    """Evaluate a model with the image tower that encoded `features`."""
    questions = features.questions
    having = np.array([question.having for question in questions])
    captions = np.asarray(model.encode_texts(list(features.captions)))
    is_retrieved = (captions @ features.gallery.T).argmax(axis=1) == np.arange(len(features.captions))
    return ExamGrades(
        negref=_chosen(model, features, [question.denied for question in questions], 1 - having),
        affirm=_chosen(model, features, [question.affirmed for question in questions], having),
        unseen=_chosen(model, features, [question.unseen for question in questions], 1 - having),
        retrieval_r1=is_retrieved,
    )


def _chosen(model: ExamEncoder, features: ExamFeatures, phrases: list[str], target: NDArray[np.int64]) -> Bools:
    """Return whether the target instance scores strictly higher; a tie is wrong."""
    texts = np.asarray(model.encode_texts(phrases))
    scores = np.einsum("nkd,nd->nk", features.pairs, texts)
    rows = np.arange(len(target))
    correct: Bools = scores[rows, target] > scores[rows, 1 - target]
    return correct


def exam_accuracies(model: ExamEncoder, world: int = TEST) -> dict[str, float]:
    """Return the exam's accuracies in percent."""
    return grade(model, encode_exam(model, world)).percent()
