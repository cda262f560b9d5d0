"""Tests of corrections without training: projection and steering, their strength, and what they leave as it is."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.benches import TinyModel
from support.clip_models import make_tiny

from benchmarks.corrections.choosing import TuningItems, choose, tuning_split
from benchmarks.corrections.corrected import IdentifiedModel
from benchmarks.corrections.projection import NEUTRAL, STRENGTHS, denied_concepts, project, projections
from benchmarks.corrections.steering import affirmed_counterpart, negation_directions, pairs_of, steer, steerings
from benchmarks.errors import BenchError
from benchmarks.protocols import Protocol
from benchmarks.registry import task_from_file
from benchmarks.runner import measure, run_task
from benchmarks.schema import NO_CUE
from benchmarks.scoring import ModelIdentity, RoutedEncoder, TextImageEncoder, image_feature_key
from benchmarks.task import Task
from trainers.models.steering import SteeredTower, end_states

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


@pytest.mark.parametrize("make", [WordModel, make_tiny])
def test_the_projection_by_hand(make: Any) -> None:
    base = make()
    neutral = base.encode_texts(NEUTRAL).double().mean(dim=0)
    texts = {"a dog without a hat": ["hat"], "a dog with no hat and no bag": ["hat", "bag"]}
    for (text, concepts), strength in itertools.product(texts.items(), (0.5, 1.0, 2.0)):
        corrected = project(base, strength=strength).encode_texts([text])[0]
        feature = base.encode_texts([text])[0].double()
        direction = sum(base.encode_texts([each])[0].double() for each in concepts) / len(concepts) - neutral
        direction /= direction.norm()
        expected = feature - strength * (feature @ direction) * direction
        assert torch.allclose(corrected.double(), expected / expected.norm(), atol=1e-6)
        along = float(corrected.double() @ direction)
        assert along == pytest.approx((1 - strength) * float(feature @ direction) / float(expected.norm()), abs=1e-6)


def test_texts_that_deny_nothing_are_unchanged() -> None:
    base, texts = WordModel(), ["a dog", "a man without a hat", "a hat on a dog"]
    model = project(base, strength=1.5)
    assert isinstance(model, RoutedEncoder)
    assert model.routes(texts) == [False, True, False]
    ours, theirs = model.encode_texts(texts), base.encode_texts(texts)
    assert torch.equal(ours[[0, 2]], theirs[[0, 2]])
    assert not torch.allclose(ours[1], theirs[1])
    assert torch.allclose(ours.norm(dim=1), torch.ones(3), atol=1e-6)
    assert model.visual_hash == base.visual_hash
    assert len({model.model_hash, base.model_hash, project(base, strength=1.0).model_hash}) == 3


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
    chosen = choose(model, projections("some items"), [tuning])
    right = {each: count_right(project(model, strength=each), tuning) for each in STRENGTHS}
    assert chosen.strength == max(STRENGTHS, key=lambda each: (right[each], -each))
    assert chosen.describe()["correction"]["chosen_on"] == "some items"
    assert count_right(model, scored) == 0  # the model looks for what the text denies
    assert count_right(chosen, scored) == len(scored.items)


def test_a_result_of_a_corrected_model_is_consistent(task: Task, tmp_path: Path) -> None:
    tuning, scored = tuning_split(task, share=0.3)
    model = WordModel()
    chosen = choose(model, projections("some items"), [tuning], cache=tmp_path / "cache")
    stored = run_task(chosen, scored, results_folder=tmp_path / "results", cache_folder=tmp_path / "cache")
    assert all(len(one.items()) == len(scored.items) for one in stored)
    assert stored[0].result["model"]["details"]["correction"]["strength"] == chosen.strength


class DeviceModel(WordModel):
    """Has the attributes that `ModelIdentity` adds to a description, as `ClipModel`; its device is not the CPU."""

    device, preprocess_config, config = "cuda:0", {"size": 32}, {"vision_cfg": {"layers": 1}}

    def describe(self) -> dict[str, Any]:
        return {name: value for name, value in super().describe().items() if name != "device"}


def test_a_corrected_model_shares_the_image_features_and_the_device_of_its_base(task: Task, tmp_path: Path) -> None:
    base = DeviceModel()
    corrected = project(DeviceModel(), strength=1.0)
    ours, theirs = ModelIdentity.of(corrected), ModelIdentity.of(base)
    assert image_feature_key(ours) == image_feature_key(theirs)
    assert ours.description["device"] == "cuda:0"
    run_task(base, task, results_folder=tmp_path / "results", cache_folder=tmp_path / "cache")
    seen = corrected.base.model
    run_task(corrected, task, results_folder=tmp_path / "results", cache_folder=tmp_path / "cache")
    assert isinstance(seen, DeviceModel)
    assert (base.images, seen.images) == (2 * len(WORDS), 0), "the distinct crops"


@pytest.mark.parametrize(
    ("text", "affirmed"),
    [
        ("a man without a hat", "a man with a hat"),
        ("no dog on the bench", "dog on the bench"),
        ("a street with no cars and no people", "a street with cars and people"),
        ("a woman who is not sitting", "a woman who is sitting"),
        ("nobody is in the room", "somebody is in the room"),
        ("a man lacking a hat", "a man with a hat"),
        ("a dog", None),
        ("neither a dog nor a cat", None),
    ],
)
def test_the_affirmed_counterpart_of_a_text(text: str, affirmed: str | None) -> None:
    assert affirmed_counterpart(text) == affirmed


def test_the_steering_by_hand() -> None:
    """The direction is the mean over the pairs; only negated texts are steered."""
    model, texts = make_tiny(), ["a man without a hat", "no dog on the bench", "a dog", "no cat"]
    pairs = pairs_of(texts)
    assert [affirmed for _, affirmed in pairs] == ["a man with a hat", "dog on the bench", "cat"]
    states = {text: end_states(model, [text])[:, 0] for pair in pairs for text in pair}
    summed = sum(states[negated] - states[affirmed] for negated, affirmed in pairs)
    directions = negation_directions(model, pairs)
    assert torch.allclose(directions, torch.nn.functional.normalize(summed, dim=1), atol=1e-5)
    base = IdentifiedModel.of(model)
    steered = steer(base, model, pairs, directions, layer=2, strength=0.4, chosen_on="some items")
    tower = SteeredTower(model.text_tower, 2, 0.4 * directions[1])
    ours, theirs = steered.encode_texts(texts), model.encode_texts(texts)
    assert steered.routes(texts) == [True, True, False, True]
    assert torch.equal(ours[2], theirs[2])
    assert torch.allclose(ours[[0, 1, 3]], tower.encode_all(model.tokenizer([*texts[:2], "no cat"])), atol=1e-6)
    assert steered.describe()["correction"] == {
        "kind": "steering", "strength": 0.4, "largest": False, "layer": 2, "pairs": 3, "chosen_on": "some items",
    }  # fmt: skip


def test_the_candidates_of_a_steering_begin_with_no_steering() -> None:
    model = make_tiny()
    base = IdentifiedModel.of(model)
    candidates = [build(base) for build in steerings(model, ["no hat", "a dog"], "some items")]
    assert [each.strength for each in candidates] == sorted(each.strength for each in candidates)
    assert len({each.model_hash for each in candidates}) == len(candidates) == 1 + 6 * 2
    assert torch.equal(candidates[0].encode_texts(["no hat"]), model.encode_texts(["no hat"]))
    with pytest.raises(BenchError, match="none is here"):
        steerings(model, ["a dog"], "")


def test_one_strength_has_the_highest_mean_score_of_all_tasks(task: Task) -> None:
    """Most items of the second task ask for what their texts deny, and it has more, so a sum would decide for it."""
    tuning, _ = tuning_split(task, share=0.3)
    reversed_ = [replace(item, target=1 - item.target) if n % 10 else item for n, item in enumerate(task.items)]
    against = replace(task, items=tuple(reversed_))
    candidates = [partial(project, strength=each) for each in (0.0, 2.0, 4.0)]
    right = [[count_right(make(WordModel()), part) for part in (tuning, against)] for make in candidates]
    assert sum(right[0]) > max(map(sum, right[1:]))
    means = [ours / len(tuning.items) + theirs / len(against.items) for ours, theirs in right]
    chosen = choose(WordModel(), candidates, [tuning, against])
    assert chosen.strength == [0.0, 2.0, 4.0][means.index(max(means))] > 0
    assert choose(WordModel(), candidates, [against]).strength == 0


def test_the_tuning_items_of_several_tasks(task: Task, tmp_path: Path) -> None:
    """A gallery of all images does not make the items of other tasks tuning items; a tiny task has none of its own."""
    gallery = tuple(item.image for item in task.items)
    ranked = replace(task, name="ranked", kind="retrieval", gallery=gallery, official="argmax")
    judged = replace(ranked, name="judged", kind="judged")
    tiny = replace(task, name="tiny", items=task.items[-1:])
    items = TuningItems.of([judged, ranked, task, tiny])
    assert items is not None
    assert [part.name for part in items.tuning] == ["ranked", "own"]
    assert items.description == f"{len(items.tuning[0].items)} items of ranked and {len(items.tuning[1].items)} of own"
    left = {item.image for part in items.tuning for item in part.items}
    assert 0 < len(left) < 20
    assert [part.name for part in items.scored] == ["judged", "ranked", "own", "tiny"]
    for part in items.scored:
        assert not left & {item.image for item in part.items}
    assert items.scored[1].gallery == gallery
    affirmed = replace(task, items=tuple(replace(item, slices={"cue": NO_CUE}) for item in task.items))
    assert TuningItems.of([affirmed]) is None
    assert TuningItems.of([judged]) is None
