"""Tests of captions tasks: VALSE, SugarCrepe, ContextNegBench-Lite and files of users, read strictly and scored."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.benches import BrokenModel, ConstantModel, TinyModel, draw_picture

from benchmarks.baselines import CAPTION_BASELINES
from benchmarks.errors import BenchError
from benchmarks.protocols import BOTH_PROTOCOLS, Protocol, baseline_credit, judge
from benchmarks.registry import entries, load_task, task_from_file
from benchmarks.results import StoredResult
from benchmarks.runner import run_task
from benchmarks.task import Task
from benchmarks.tasks import sugarcrepe, valse
from benchmarks.tasks.captions import caption_item

Rows = dict[str, dict[str, Any]]
OFFICIAL, STRICT = Protocol("official"), Protocol("strict")


def valse_rows(count: int) -> Rows:
    """Return items in VALSE's format; every tenth is not valid, and every other caption has a cue."""
    return {
        f"existence_visual7w_{n}": {
            "dataset": "visual7w",
            "image_file": f"v7w_{n % 7}.jpg",
            "linguistic_phenomena": "existence",
            "caption": f"There are {'no' if n % 2 else 'some'} dogs, number {n}.",
            "foil": f"There are {'some' if n % 2 else 'no'} dogs, number {n}.",
            "mturk": {"foil": 0, "caption": 1 if n % 10 == 0 else 3, "other": 0},
        }
        for n in range(count)
    }


def write_valse(folder: Path, rows: Rows) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "existence.json").write_text(json.dumps(rows))
    (folder / "images").mkdir(exist_ok=True)
    for n in range(7):
        draw_picture(folder / "images" / f"v7w_{n}.jpg", (60, 40), n)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_valse(tmp_path_factory.mktemp("valse"), valse_rows(valse.ITEMS["existence"]))


@pytest.fixture(scope="module")
def task(folder: Path) -> Task:
    return load_task("valse-existence", folder)


def run(model: TinyModel, task: Task, results: Path, rules: Any = BOTH_PROTOCOLS) -> dict[str, StoredResult]:
    stored = run_task(model, task, results_folder=results, protocols=rules)
    return {one.result["protocol"]["name"]: one for one in stored}


def published_rule(model: TinyModel, rows: Rows, pictures: Path) -> list[bool]:
    """Evaluate as VALSE's code does: one image, its caption and its foil at a time; right if the caption is higher."""
    right = []
    for row in rows.values():
        with Image.open(pictures / row["image_file"]) as image:
            seen = model.encode_images([image.convert("RGB")])
        caption, foil = (float((seen @ model.encode_texts([row[key]]).T).item()) for key in ("caption", "foil"))
        right.append(caption > foil)
    return right


def test_official_equals_the_published_rule_for_every_item(task: Task, folder: Path, tmp_path: Path) -> None:
    model = TinyModel(3)
    stored = run(model, task, tmp_path)
    rows = stored["official"].items()
    assert [row["correct"] for row in rows] == published_rule(TinyModel(3), valse_rows(534), folder / "images")
    assert {row["correct"] for row in rows} == {True, False}
    assert [row["correct"] for row in stored["strict"].items()] == [row["correct"] for row in rows]  # without ties
    assert model.images == 7  # each image once
    assert rows[0]["options"] == ["There are some dogs, number 0.", "There are no dogs, number 0."]


def test_valid_items_have_a_score_of_their_own(task: Task, tmp_path: Path) -> None:
    result = run(TinyModel(3), task, tmp_path)["strict"]
    valid = [row for row in result.items() if row["slices"]["valid"] == "yes"]
    assert list(result.result["metrics"]) == ["accuracy", "accuracy_on_valid", "accuracy_on_clean"]
    score = result.result["metrics"]["accuracy_on_valid"]
    assert (score["n"], score["correct"]) == (480, sum(row["correct"] for row in valid))
    assert score["n"] < result.result["metrics"]["accuracy"]["n"] == 534


@pytest.mark.parametrize("change", [{"correct": 1}, {"n": 500}])
def test_a_changed_score_of_a_subset_is_refused(task: Task, tmp_path: Path, change: dict[str, int]) -> None:
    stored = run(TinyModel(3), task, tmp_path)["strict"]
    score = {**stored.result["metrics"]["accuracy_on_valid"], **change}
    stored.result["metrics"]["accuracy_on_valid"] = score  # type: ignore[typeddict-item]
    with pytest.raises(BenchError, match="accuracy_on_valid"):
        stored.items()


def test_constant_and_nan_models_have_nothing_right(task: Task, tmp_path: Path) -> None:
    constant = run(ConstantModel(1), task, tmp_path)
    assert {name: one.result["metrics"]["accuracy"]["correct"] for name, one in constant.items()} == {
        "official": 0,
        "strict": 0,
    }
    assert constant["official"].result["ties"] == 534
    broken = run(BrokenModel(1), task, tmp_path, [OFFICIAL, Protocol("strict", allow_nan=True)])
    assert {one.result["metrics"]["accuracy"]["correct"] for one in broken.values()} == {0}
    assert {one.result["nan"] for one in broken.values()} == {534}


@pytest.mark.parametrize(
    ("scores", "right"),
    [((0.3, 0.2), True), ((0.2, 0.3), False), ((0.2, 0.2), False), ((math.nan, 0.2), False), ((0.2, math.nan), False)],
)
def test_the_greater_rule(scores: tuple[float, float], right: bool) -> None:
    item = caption_item(id="1", image="a.jpg", captions=["no dog", "a dog"], target=0)
    assert judge(item, scores, OFFICIAL, official="greater").correct is right
    assert judge(item, scores, OFFICIAL).correct == (int(np.argmax(scores)) == 0)


# -- published files


def test_valse_as_published(shared_data: Path, tmp_path: Path) -> None:
    shutil.copy(shared_data / "valse_existence.json", tmp_path / "existence.json")
    task = load_task("valse-existence", tmp_path)
    assert len(task.items) == 534
    assert Counter(item.slices["valid"] for item in task.items)["yes"] == 505
    assert sum(item.slices["cue"] == "no" for item in task.items) == 267
    shares = {
        name: sum(baseline_credit(item, baseline, STRICT).right for item in task.items) / 534
        for name, baseline in CAPTION_BASELINES.items()
    }
    assert all(0.49 < share < 0.51 for share in shares.values()), shares  # no baseline without images is above chance


@pytest.mark.parametrize(("part", "shortest"), [("add-att", 0.99), ("replace-obj", 0.5)])
def test_sugarcrepe_as_published(shared_data: Path, part: str, shortest: float) -> None:
    task = load_task(f"sugarcrepe-{part}", shared_data / "sugarcrepe")
    assert len(task.items) == sugarcrepe.ITEMS[part.replace("-", "_")]
    credits = [baseline_credit(item, CAPTION_BASELINES["shortest caption"], STRICT).right for item in task.items]
    assert sum(credits) / len(credits) == pytest.approx(shortest, abs=0.01)


def test_contextnegbench_as_published(shared_data: Path, tmp_path: Path) -> None:
    task = load_task("contextnegbench-lite", shared_data / "contextnegbench_lite")
    assert Counter(item.slices["part"] for item in task.items)["negation"] == 3
    stored = run(TinyModel(2), task, tmp_path)
    assert stored["strict"].result["task"]["chance"] == pytest.approx((9 / 2 + 6 / 3) / 15)


def test_all_parts_of_sugarcrepe_are_one_task_with_a_score_for_each(tmp_path: Path) -> None:
    for part, count in sugarcrepe.ITEMS.items():
        rows = {
            str(2 * n): {"filename": f"{n % 5}.jpg", "caption": f"a cat {n}", "negative_caption": f"a dog {n}"}
            for n in range(count)
        }
        (tmp_path / f"{part}.json").write_text(json.dumps(rows))
    task = load_task("sugarcrepe", tmp_path)
    assert len(task.items) == 7511
    assert [subset.name for subset in task.subsets] == list(sugarcrepe.ITEMS)
    assert (
        len(
            {
                task.dataset_sha256,
                *(load_task(f"sugarcrepe-{part}", tmp_path).dataset_sha256 for part in ("add-att", "swap-obj")),
            }
        )
        == 3
    )


def test_parts_share_the_folder_of_their_benchmark() -> None:
    assert {entry.folder for name, entry in entries().items() if name.startswith("valse-")} == {"valse"}
    assert entries()["negrefcocog"].folder == "negrefcocog"


# -- strict reading


def cut_off(rows: Rows) -> Rows:
    return dict(list(rows.items())[:500])


def without_foil(rows: Rows) -> Rows:
    return {**rows, "existence_visual7w_3": {**rows["existence_visual7w_3"], "foil": " "}}


def text_votes(rows: Rows) -> Rows:
    return {**rows, "existence_visual7w_3": {**rows["existence_visual7w_3"], "mturk": {"caption": "3"}}}


def outside(rows: Rows) -> Rows:
    return {**rows, "existence_visual7w_3": {**rows["existence_visual7w_3"], "image_file": "../secret.jpg"}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cut_off, "has 500 items, the published file has 534"),
        (without_foil, "item 3: expected two captions or more, each a text"),
        (text_votes, "item 3: 'mturk' must hold the number of votes"),
        (outside, "item 3: '../secret.jpg' leads out of the image folder"),
        (lambda rows: list(rows.values()), "expected an object of items by id"),
    ],
)
def test_a_changed_file_is_refused(tmp_path: Path, change: Callable[[Rows], Any], message: str) -> None:
    write_valse(tmp_path, change(valse_rows(534)))
    with pytest.raises(BenchError) as raised:
        load_task("valse-existence", tmp_path)
    assert message in raised.value.message
    assert "\n" not in raised.value.message


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "annotations.jsonl").write_text('{"image_id": "1"}\n{oops\n')
    with pytest.raises(BenchError, match="line 2"):
        load_task("contextnegbench-lite", tmp_path)


# -- files of users


def own(folder: Path, rows: list[dict[str, Any]]) -> Task:
    path = folder / "mine.json"
    path.write_text(json.dumps(rows))
    return task_from_file("mine", path, folder)


def test_a_file_of_a_user_with_a_region(tmp_path: Path) -> None:
    Image.fromarray(np.hstack([np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)])).save(
        tmp_path / "a.png"
    )
    rows = [
        {"image": "a.png", "captions": ["dark", "light", "grey"], "right": right, "box": box}
        for right, box in ((0, [0, 0, 8, 8]), (1, [8, 0, 8, 8]))
    ]
    task = own(tmp_path, rows)
    assert (task.kind, task.chance) == ("captions", pytest.approx(1 / 3))
    stored = run(TinyModel(5), task, tmp_path / "results")["strict"].items()
    left, right = (np.array(row["scores"]) for row in stored)
    assert not np.allclose(left, right)
    whole = own(tmp_path, [{**row, "box": [0, 0, 16, 8]} for row in rows])
    plain = own(tmp_path, [{key: value for key, value in row.items() if key != "box"} for row in rows])
    scores = [run(TinyModel(5), each, tmp_path / "results")["strict"].items()[0]["scores"] for each in (whole, plain)]
    assert scores[0] == scores[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"right": 2}, "the right caption is number 2 of 2"),
        ({"right": True}, "'right' an index"),
        ({"captions": ["one"]}, "two captions or more"),
        ({"captions": ["one", 2]}, "each a text"),
        ({"box": [0, 0, 0, 5]}, "contains no pixel"),
    ],
)
def test_a_wrong_row_of_a_user_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    good = {"image": "a.png", "captions": ["no cat", "a cat"], "right": 0}
    with pytest.raises(BenchError) as raised:
        own(tmp_path, [good, {**good, **change}])
    assert "item 1" in raised.value.message
    assert message in raised.value.message
