"""`official` equals the published rules item by item, with real CLIP models, against a plain re-implementation.

The quick tests use a tiny CLIP, the long ones a ViT-B/32 from its configuration. Nothing is shared with the reference:
it opens each image for each box, encodes one text at a time with all its positions, and caches nothing.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from support.benches import draw_picture, negrefcocog_folder, write_negrefcocog
from support.clip_models import make_tiny

from benchmarks.protocols import Protocol
from benchmarks.runner import run_task
from benchmarks.schema import ItemRow
from benchmarks.speed.support.plain_evaluator import PlainEvaluator, negbench_choice, valse_is_right
from benchmarks.task import Task
from benchmarks.tasks import negbench, negrefcocog, valse
from trainers.models.clip_model import ClipModel, build

OFFICIAL = Protocol("official")
CUES = ("no {}", "a man without a {}", "there is a {}", "the {} is not on the table next to the old wooden chair")
THINGS = ("dog", "cat", "hat", "umbrella", "bus", "teddy bear", "fork")
SCORE_TOLERANCE = 2e-6
"""Rounding of float32 cosines; batches of other sizes and trimmed texts change the last bits."""


@pytest.fixture(scope="module", params=["tiny", pytest.param("ViT-B-32-quickgelu", marks=pytest.mark.long)])
def model(request: pytest.FixtureRequest) -> ClipModel:
    if request.param == "tiny":
        return make_tiny(3)
    torch.manual_seed(3)
    return build(dict(open_clip.get_model_config(request.param)), {}, name="b32", arch=request.param)


@pytest.fixture
def plain(model: ClipModel) -> PlainEvaluator:
    return PlainEvaluator(model.model, model.preprocess, model.tokenizer)


def is_large(model: ClipModel) -> bool:
    return model.embed_dim > 100


def ours(model: ClipModel, task: Task, folder: Path) -> list[ItemRow]:
    (stored,) = run_task(model, task, results_folder=folder / "r", cache_folder=folder / "c", protocols=[OFFICIAL])
    return stored.items()


def assert_equal_scores(rows: list[ItemRow], scores: list[list[float]]) -> None:
    for row, expected in zip(rows, scores, strict=True):
        assert row["scores"] == pytest.approx(expected, abs=SCORE_TOLERANCE)


def test_negrefcocog(model: ClipModel, plain: PlainEvaluator, shared_data: Path, tmp_path: Path) -> None:
    """All 440 published phrases and boxes with ViT-B/32; only the pixels are generated."""
    data = tmp_path / "data"
    source = shared_data / "NegRefCOCOg.json" if is_large(model) else write_negrefcocog(tmp_path / "all.json", 40)
    rows = negrefcocog_folder(data, source)
    task = negrefcocog.load(data)
    scores = [plain.box_scores(row, task.pictures) for row in rows]
    chosen = [plain.chosen_box(row, task.pictures) for row in rows[:3]]
    stored = ours(model, task, tmp_path)
    assert [row["pred"] for row in stored] == [scores_.index(max(scores_)) for scores_ in scores]
    assert [row["pred"] for row in stored[:3]] == chosen
    assert [row["correct"] for row in stored] == [
        row["bbox_list"][scores_.index(max(scores_))] == row["ref_bbox"]
        for row, scores_ in zip(rows, scores, strict=True)
    ]
    assert len(rows) == (440 if is_large(model) else 40)
    assert len({row["pred"] for row in stored}) == 2
    assert_equal_scores(stored, scores)


def caption(number: int) -> str:
    return f"{CUES[number % 4].format(THINGS[number % 7])} {number}"


def test_valse(model: ClipModel, plain: PlainEvaluator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 534 if is_large(model) else 40
    monkeypatch.setattr(valse, "ITEMS", {**valse.ITEMS, "existence": count})
    content: dict[str, Any] = {
        f"existence_{n}": {
            "image_file": f"{n % 20}.jpg",
            "caption": caption(n),
            "foil": caption(n + 1),
            "mturk": {"caption": n % 4},
        }
        for n in range(count)
    }
    (tmp_path / "existence.json").write_text(json.dumps(content))
    draw(tmp_path / "images", 20)
    task = valse.load("valse-existence", tmp_path)
    scores = [
        plain.caption_scores(tmp_path / "images" / row["image_file"], [row["caption"], row["foil"]])
        for row in content.values()
    ]
    stored = ours(model, task, tmp_path)
    assert [row["correct"] for row in stored] == [valse_is_right(each) for each in scores]
    assert {row["correct"] for row in stored} == {True, False}
    assert_equal_scores(stored, scores)


def test_negbench(model: ClipModel, plain: PlainEvaluator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 400 if is_large(model) else 40
    name = "negbench-coco-mcq"
    file = negbench.MCQ_FILES[name]._replace(items=count)
    monkeypatch.setattr(negbench, "MCQ_FILES", {name: file})
    options = [[caption(n + turn) for turn in range(4)] for n in range(count)]
    with (tmp_path / file.file).open("w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table)
        writer.writerow(["image_path", "correct_answer", *negbench.CHOICES, "correct_answer_template"])
        writer.writerows([f"data/{n % 20}.jpg", "0", *captions, "hybrid"] for n, captions in enumerate(options))
    draw(tmp_path / "val2017", 20)
    scores = [
        plain.caption_scores(tmp_path / "val2017" / f"{n % 20}.jpg", captions) for n, captions in enumerate(options)
    ]
    stored = ours(model, negbench.load_mcq(name, tmp_path), tmp_path)
    assert [row["pred"] for row in stored] == [negbench_choice(each) for each in scores]
    assert len({row["pred"] for row in stored}) > 1
    assert_equal_scores(stored, scores)


def draw(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        draw_picture(folder / f"{number}.jpg", (90, 60), number)
