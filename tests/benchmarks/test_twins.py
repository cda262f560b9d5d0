"""Tests of twins: effects, the four comparisons, files of users, and models that are exposed by name."""

from __future__ import annotations

import json
import math
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.benches import BrokenModel, ConstantModel, TinyModel

from benchmarks.analysis.comparison import compare
from benchmarks.errors import BenchError
from benchmarks.protocols import Protocol, judge_twins
from benchmarks.registry import task_from_file
from benchmarks.runner import run_task
from benchmarks.task import CHANCE_OF_TWINS, BenchItem, ImageRegion, Task
from benchmarks.twins import effects, has_tie, images_right, mean_effects, texts_right

STRICT = Protocol("strict")
SCORES = st.tuples(*[st.integers(-8, 8).map(lambda n: n / 16)] * 4)


def all_four(scores: tuple[float, ...]) -> bool:
    a_aff, a_den, b_aff, b_den = scores
    return a_aff > a_den and b_den > b_aff and a_aff > b_aff and b_den > a_den


def item() -> BenchItem:
    return BenchItem(
        id="1", image="a", text="no hat", captions=("hat", "no hat"), twin=ImageRegion("b", None), target=0, cluster="a"
    )


@given(SCORES)
def test_right_means_that_the_interaction_exceeds_both_biases(scores: tuple[float, ...]) -> None:
    text, image, interaction = effects(scores)
    assert (texts_right(scores) and images_right(scores)) == all_four(scores)
    assert all_four(scores) == (interaction > max(abs(text), abs(image)))
    assert judge_twins(item(), scores, STRICT).correct == all_four(scores)


@given(SCORES)
def test_the_effects_give_the_scores_back(scores: tuple[float, ...]) -> None:
    text, image, interaction = effects(scores)
    mean = sum(scores) / 4
    rebuilt = [mean + t * text + i * image + t * i * interaction for i in (1, -1) for t in (1, -1)]
    assert rebuilt == pytest.approx(scores)


def test_chance_is_one_sixth() -> None:
    orders = list(permutations((0.1, 0.2, 0.3, 0.4)))
    assert sum(map(all_four, orders)) / len(orders) == pytest.approx(CHANCE_OF_TWINS)


def test_ties_and_nan() -> None:
    assert has_tie((0.3, 0.3, 0.1, 0.4))
    assert not has_tie((0.3, 0.2, 0.2, 0.3))  # the scores of different images and texts are never compared
    assert not judge_twins(item(), (0.3, 0.3, 0.1, 0.4), STRICT).correct
    broken = (math.nan, 0.1, 0.1, 0.3)
    with pytest.raises(BenchError, match="NaN"):
        judge_twins(item(), broken, STRICT)
    assert not judge_twins(item(), broken, Protocol("official")).correct
    assert mean_effects([broken, (0.4, 0.0, 0.0, 0.4)]) == pytest.approx((0, 0, 0.2))
    assert mean_effects([broken]) is None


# -- models


class Negating(TinyModel):
    """Sees whether an image is white, reads whether a text says so; `sign` -1 reads a "no" as its opposite."""

    def __init__(self, sign: float = 1.0, *, cue_only: bool = False) -> None:
        super().__init__(1)
        self.sign, self.cue_only = sign, cue_only

    @property
    def model_hash(self) -> str:
        return f"negating {self.sign} {self.cue_only}"

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "name": f"negating{self.sign:+.0f}{' cue' * self.cue_only}"}

    def encode_images(self, images: Any) -> Any:
        white = [np.asarray(image.convert("L")).mean() > 128 for image in images]
        return self._unit(np.array([[1.0, 0.1] if each else [-1.0, 0.1] for each in white]))

    def encode_texts(self, texts: Any) -> Any:
        denied = np.array(["no" in text for text in texts])
        if self.cue_only:
            return self._unit(np.where(denied, 1.0, -1.0)[:, None] * [[0.001, 1.0]])
        return self._unit(np.where(denied, -self.sign, self.sign)[:, None] * [[1.0, 0.0]] + [[0.0, 0.1]])


@pytest.fixture
def task(tmp_path: Path) -> Task:
    for n in range(6):
        for name, value in (("with", 255), ("without", 0)):
            Image.new("RGB", (16, 16), (value, value - n if value else n, value)).save(tmp_path / f"{name}{n}.png")
    rows = [{"images": [f"with{n}.png", f"without{n}.png"], "texts": [f"white {n}", f"no white {n}"]} for n in range(6)]
    (tmp_path / "own.json").write_text(json.dumps(rows))
    return task_from_file("own", tmp_path / "own.json", tmp_path)


def metrics(model: TinyModel, task: Task, folder: Path, rule: Protocol = STRICT) -> list[int]:
    (stored,) = run_task(model, task, results_folder=folder, protocols=[rule])
    assert stored.items()  # consistent with its metrics
    return [score["correct"] for score in stored.result["metrics"].values()]


def test_models_are_exposed(task: Task, tmp_path: Path) -> None:
    results = tmp_path / "results"
    assert metrics(Negating(), task, results) == [6, 6, 6]
    assert metrics(Negating(-1), task, results) == [0, 0, 0]
    assert metrics(Negating(cue_only=True), task, results)[0] == 0
    assert metrics(ConstantModel(1), task, results) == [0, 0, 0]
    assert metrics(BrokenModel(2), task, results, Protocol("official")) == [0, 0, 0]
    rows = compare(results).rows
    assert {row.denied for row in rows} == {False}  # the affirmed text stands beside the denied one
    notes = {row.model: " ".join(row.notes) for row in rows}
    assert "the sign is flipped" in notes["negating-1"]
    assert "the sign is flipped" not in notes["negating+1"]
    assert "text +0.0000" not in notes["negating+1 cue"]
    assert "NaN" in notes["tiny-2"]


def test_regions_of_one_image_are_twins(tmp_path: Path) -> None:
    Image.fromarray(np.hstack([np.full((8, 8, 3), 255, np.uint8), np.zeros((8, 8, 3), np.uint8)])).save(
        tmp_path / "a.png"
    )
    row = {"images": ["a.png", "a.png"], "boxes": [[0, 0, 8, 8], [8, 0, 8, 8]], "texts": ["white", "no white"]}
    (tmp_path / "own.json").write_text(json.dumps([row]))
    task = task_from_file("own", tmp_path / "own.json", tmp_path)
    assert task.images == ("a.png",)
    assert metrics(Negating(), task, tmp_path / "results") == [1, 1, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"texts": ["one", "one"]}, "two different texts"),
        ({"texts": ["one"]}, "'texts' must be a list of two"),
        ({"texts": ["one", 2]}, "two different texts"),
        ({"images": ["a.png", "a.png"]}, "both images are the same"),
        ({"images": ["a.png", "../b.png"]}, "leads out"),
        ({"boxes": [None, [0, 0, 0, 0]]}, "contains no pixel"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    good = {"images": ["a.png", "b.png"], "texts": ["a hat", "no hat"]}
    (tmp_path / "own.json").write_text(json.dumps([good, {**good, **change}]))
    with pytest.raises(BenchError) as raised:
        task_from_file("own", tmp_path / "own.json", tmp_path)
    assert "item 1" in raised.value.message
    assert message in raised.value.message
