"""Tests of CelebA's attribute pairs, on files of the exact published format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.benches import BrokenModel, ConstantModel, TinyModel, draw_picture

from benchmarks.errors import BenchError
from benchmarks.protocols import Protocol
from benchmarks.registry import load_task
from benchmarks.runner import run_task
from benchmarks.task import Task
from benchmarks.tasks import celeba

IMAGES = 18
PER_STATE = 3


class FlippedModel(TinyModel):
    def encode_texts(self, texts: Sequence[str]) -> Any:
        return -super().encode_texts(texts)


def labels() -> np.ndarray:
    """Return the published 1 and -1 of each image and attribute."""
    return np.where(np.random.default_rng(3).random((IMAGES, 40)) < 0.5, 1, -1)


def image_name(n: int) -> str:
    return f"{n + 1:06d}.jpg"


def write(folder: Path) -> Path:
    """Write the files as published: columns of width 2, every third image of the test split."""
    folder.mkdir(exist_ok=True)
    rows = [f"{image_name(n)} " + " ".join(f"{value:2d}" for value in values) for n, values in enumerate(labels())]
    (folder / celeba.ATTRIBUTES).write_text("\n".join([str(IMAGES), " ".join(celeba.PHRASES) + " ", *rows, ""]))
    (folder / celeba.PARTITION).write_text("".join(f"{image_name(n)} {(0, 2, 2)[n % 3]}\n" for n in range(IMAGES)))
    (folder / celeba.IMAGES).mkdir(exist_ok=True)
    for n in range(IMAGES):
        draw_picture(folder / celeba.IMAGES / image_name(n), (60, 72), n)
    return folder


@pytest.fixture(autouse=True)
def published_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celeba, "PUBLISHED", IMAGES)
    monkeypatch.setattr(celeba, "PER_STATE", PER_STATE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("celeba"))


def run(model: TinyModel, task: Task, results: Path, **options: Any) -> dict[str, Any]:
    return {one.result["protocol"]["name"]: one for one in run_task(model, task, results_folder=results, **options)}


def test_every_attribute_has_an_affirmative_and_a_negated_caption() -> None:
    pairs = {name: celeba.captions_of_attribute(name) for name in celeba.PHRASES}
    assert len(pairs) == 40
    assert pairs["Bangs"] == ("a photo of a person with bangs", "a photo of a person without bangs")
    assert pairs["Eyeglasses"] == ("a photo of a person wearing glasses", "a photo of a person not wearing glasses")
    assert pairs["Young"] == ("a photo of a person who is young", "a photo of a person who is not young")
    assert pairs["No_Beard"] == ("a photo of a person with a beard", "a photo of a person without a beard")
    assert len({text for pair in pairs.values() for text in pair}) == 80


def test_items_are_those_of_the_test_split_with_their_labels(folder: Path) -> None:
    task = load_task("celeba", folder)
    test = {image_name(n) for n in range(IMAGES) if n % 3}
    assert {item.image for item in task.items} <= test
    assert len({item.id for item in task.items}) == len(task.items)
    counts = Counter(item.slices["attribute_state"] for item in task.items)
    names = list(celeba.PHRASES)
    for item in task.items:
        name = item.slices["attribute"]
        present = bool(labels()[int(item.image[:6]) - 1, names.index(name)] == 1)
        assert (item.target == 0) is (present != (name == "No_Beard"))
        assert item.captions == celeba.captions_of_attribute(name)
    of_test = labels()[[n for n in range(IMAGES) if n % 3]]
    assert counts["Bald present"] == min(PER_STATE, int((of_test[:, names.index("Bald")] == 1).sum()))


def test_scores_equal_a_plain_evaluation_of_every_item(folder: Path, tmp_path: Path) -> None:
    task = load_task("celeba", folder)
    model = TinyModel(6)
    plain: dict[str, list[bool]] = {}
    for item in task.items:
        with Image.open(folder / celeba.IMAGES / item.image) as image:
            seen = model.encode_images([image.convert("RGB")])
        chosen = int((seen @ model.encode_texts(item.captions).T).argmax())
        plain.setdefault(item.slices["attribute_state"], []).append(chosen == item.target)
    balanced = sum(sum(each) / len(each) for each in plain.values()) / len(plain)
    for one in run(TinyModel(6), task, tmp_path).values():
        result = one.result
        assert [row["correct"] for row in one.items()] == [right for each in plain.values() for right in each]
        assert result["balanced"]["value"] == pytest.approx(balanced)
        assert result["balanced"]["groups"] == pytest.approx({name: sum(x) / len(x) for name, x in plain.items()})
        assert result["task"]["templates"] == celeba.TEMPLATES
    assert 0.3 < balanced < 0.7


def test_a_constant_a_broken_and_a_flipped_model_are_exposed(folder: Path, tmp_path: Path) -> None:
    task = load_task("celeba", folder)

    def balanced(model: TinyModel, **options: Any) -> dict[str, float]:
        return {name: one.result["balanced"]["value"] for name, one in run(model, task, tmp_path, **options).items()}

    assert balanced(ConstantModel(1)) == {"official": 0.5, "strict": 0.0}
    with pytest.raises(BenchError, match="the score is NaN"):
        balanced(BrokenModel(2))
    lenient = (Protocol("official"), Protocol("strict", allow_nan=True))
    assert balanced(BrokenModel(2), protocols=lenient) == {"official": 0.5, "strict": 0.0}
    sound, flipped = balanced(TinyModel(6))["strict"], balanced(FlippedModel(6, text_seed=6))["strict"]
    assert sound + flipped == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (celeba.ATTRIBUTES, lambda text: text.replace("18\n", "19\n", 1), "line 1: expected the number of images, 18"),
        (celeba.ATTRIBUTES, lambda text: text.replace("Bald", "Balding"), "line 2: expected the names"),
        (celeba.ATTRIBUTES, lambda text: text.replace(" 1 ", " 2 ", 1), "expected another image and 40 values"),
        (
            celeba.ATTRIBUTES,
            lambda text: text.replace("000001.jpg", "../a.jpg"),
            "line 3: expected another image",
        ),
        (celeba.ATTRIBUTES, lambda text: text.replace("000002", "000001"), "line 4: expected another image"),
        (celeba.ATTRIBUTES, lambda text: "", "is empty"),
        (
            celeba.PARTITION,
            lambda text: text.replace("jpg 2", "jpg 3", 1),
            "line 2: expected another image and 0",
        ),
        (celeba.PARTITION, lambda text: text.replace("000002", "000001"), "line 2: expected another image"),
        (celeba.PARTITION, lambda text: text.replace("000001", "000099"), "lists other images"),
        (celeba.PARTITION, lambda text: text.replace("jpg 2", "jpg 1"), "lists no test image"),
    ],
)
def test_a_changed_file_is_refused(tmp_path: Path, file: str, change: Callable[[str], str], message: str) -> None:
    path = write(tmp_path) / file
    path.write_text(change(path.read_text()))
    with pytest.raises(BenchError) as raised:
        load_task("celeba", tmp_path)
    assert message in raised.value.message
    assert raised.value.hint


def test_another_number_of_images_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celeba, "PUBLISHED", 202_599)
    with pytest.raises(BenchError, match="has 18 items, the published file has 202,599"):
        load_task("celeba", folder)
