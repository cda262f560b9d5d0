"""Tests of corrections without training: the projection, its strength, and what it leaves as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.benches import TinyModel

from benchmarks.corrections import (
    NEUTRAL,
    STRENGTHS,
    ProjectedEncoder,
    choose_strength,
    denied_concepts,
    tuning_split,
)
from benchmarks.errors import BenchError
from benchmarks.protocols import Protocol
from benchmarks.registry import task_from_file
from benchmarks.runner import measure, run_task
from benchmarks.scoring import RoutedEncoder, TextImageEncoder
from benchmarks.task import Task

WORDS = ("hat", "dog", "bag")
COLOURS = {"hat": (255, 0, 0), "dog": (0, 255, 0), "bag": (0, 0, 255)}


class WordModel(TinyModel):
    """Adds up what it sees and what it reads, as CLIP does: the word "no" has no meaning for it."""

    def encode_images(self, images: Any) -> Any:
        self.images += len(images)
        seen = np.stack([np.asarray(image, dtype=np.float64).reshape(-1, 3).mean(axis=0) for image in images])
        return self._unit(np.hstack([seen / 255, np.full((len(images), 1), 0.3)]))

    def encode_texts(self, texts: Any) -> Any:
        self.texts += len(texts)
        counts = np.array([[text.count(word) for word in WORDS] for text in texts], dtype=np.float64)
        return self._unit(np.hstack([counts, np.full((len(texts), 1), 0.2)]))


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """Return a task of a wide image each: left the thing of the phrase, right another one; the right one lacks it."""
    rows = []
    for n in range(60):
        with_thing, other = WORDS[n % 3], WORDS[(n + 1) % 3]
        image = Image.new("RGB", (20, 10), COLOURS[with_thing])
        image.paste(COLOURS[other], (10, 0, 20, 10))
        image.save(tmp_path / f"{n}.png")
        boxes = [[10, 0, 10, 10], [0, 0, 10, 10]]
        rows.append(
            {"image": f"{n}.png", "phrase": f"a {other} and no {with_thing}", "ref_bbox": boxes[0], "bbox_list": boxes}
        )
        rows[-1]["phrase"] = f"a place without a {with_thing}"
    (tmp_path / "own.json").write_text(json.dumps(rows))
    return task_from_file("own", tmp_path / "own.json", tmp_path)


def count_right(model: TextImageEncoder, task: Task) -> int:
    return measure(model, task, protocol=Protocol("strict"))["accuracy"]["correct"]


@pytest.mark.parametrize(
    ("text", "concepts"),
    [
        ("a man without a red hat", ["red hat"]),
        ("no dog and no cat", ["dog", "cat"]),
        ("a dog on a bench", []),
    ],
)
def test_the_denied_concepts_of_a_text(text: str, concepts: list[str]) -> None:
    assert denied_concepts(text) == concepts


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_the_projection_by_hand(strength: float) -> None:
    base, text = WordModel(), "a dog without a hat"
    corrected = ProjectedEncoder(base, strength).encode_texts([text])[0]
    feature, concept = (base.encode_texts([each])[0].double() for each in (text, "hat"))
    direction = concept - base.encode_texts(NEUTRAL).double().mean(dim=0)
    direction /= direction.norm()
    expected = feature - strength * (feature @ direction) * direction
    assert torch.allclose(corrected.double(), expected / expected.norm(), atol=1e-6)
    along = float(corrected.double() @ direction)
    assert along == pytest.approx((1 - strength) * float(feature @ direction) / float(expected.norm()), abs=1e-6)


def test_texts_that_deny_nothing_are_unchanged() -> None:
    base, texts = WordModel(), ["a dog", "a man without a hat", "a hat on a dog"]
    model = ProjectedEncoder(base, 1.5)
    assert isinstance(model, RoutedEncoder)
    assert model.routes(texts) == [False, True, False]
    ours, theirs = model.encode_texts(texts), base.encode_texts(texts)
    assert torch.equal(ours[[0, 2]], theirs[[0, 2]])
    assert not torch.allclose(ours[1], theirs[1])
    assert torch.allclose(ours.norm(dim=1), torch.ones(3), atol=1e-6)
    assert model.visual_hash == base.visual_hash
    assert len({model.model_hash, base.model_hash, ProjectedEncoder(base, 1.0).model_hash}) == 3


def test_the_strength_is_chosen_on_items_that_are_not_scored(task: Task) -> None:
    tuning, scored = tuning_split(task, share=0.3)
    assert {item.id for item in tuning.items} | {item.id for item in scored.items} == {item.id for item in task.items}
    assert not {item.cluster for item in tuning.items} & {item.cluster for item in scored.items}
    assert 8 <= len(tuning.items) <= 28
    assert [tuning_split(task, share=0.3, seed=seed)[0].items for seed in (0, 0)] == [tuning.items] * 2
    assert tuning_split(task, share=0.3, seed=1)[0].items != tuning.items
    with pytest.raises(BenchError, match="too few"):
        tuning_split(task, share=1e-9)


def test_the_best_strength_on_the_tuning_items_is_chosen(task: Task) -> None:
    model = WordModel()
    tuning, scored = tuning_split(task, share=0.3)
    chosen = choose_strength(model, tuning)
    right = {each: count_right(ProjectedEncoder(model, each), tuning) for each in STRENGTHS}
    assert chosen.strength == max(STRENGTHS, key=lambda each: (right[each], -each))
    assert chosen.describe()["correction"]["chosen_on"] == f"{len(tuning.items)} items of own"
    assert count_right(model, scored) == 0  # the model looks for what the text denies
    assert count_right(chosen, scored) == len(scored.items)


def test_a_result_of_a_corrected_model_is_consistent(task: Task, tmp_path: Path) -> None:
    tuning, scored = tuning_split(task, share=0.3)
    model = WordModel()
    chosen = choose_strength(model, tuning, cache=tmp_path / "cache")
    stored = run_task(chosen, scored, results_folder=tmp_path / "results", cache_folder=tmp_path / "cache")
    assert all(len(one.items()) == len(scored.items) for one in stored)
    assert stored[0].result["model"]["details"]["correction"]["strength"] == chosen.strength
