"""Tests of judged tasks: reading SimpleNeg, retrieval, the scores of a judge's answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.benches import BrokenModel, ConstantModel, TinyModel, draw_picture

from benchmarks import registry
from benchmarks.errors import BenchError
from benchmarks.judged import ImageAnswer, ImageQuestion, highest
from benchmarks.protocols import Protocol
from benchmarks.results import StoredResult, list_results
from benchmarks.runner import run_task
from benchmarks.schema import JUDGED, JudgedImage, JudgeFacts
from benchmarks.scoring import score
from benchmarks.task import Task
from benchmarks.tasks import judged, simpleneg
from benchmarks.verdicts import VerdictCode, verdicts

ROWS = [
    ["a desk with no lamp", "is there a lamp on the desk?", "is there a desk in the image?"],
    ["a dog that is not running", "is the dog running?", "is there a dog in the image?"],
    ["a park minus benches", "are there benches in the park?", "is this a park?"],
    ["a street without cars", "are there cars in the street?", "is this a street scene?"],
]
PICTURES = 9


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(PICTURES):
        draw_picture(folder / f"COCO_val2014_{number:012d}.jpg", (40, 30), number + 1)
    return folder


@pytest.fixture
def task(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Task:
    path = tmp_path_factory.mktemp("tasks") / "small.json"
    path.write_text(json.dumps(ROWS))
    return registry.task_from_file("small", path, pictures)


class TableJudge:
    """Answers by a hash of image and question: yes, no, or in a tenth of the cases neither."""

    def __init__(self, name: str = "table") -> None:
        self.name = name
        self.asked: list[ImageQuestion] = []

    @property
    def facts(self) -> JudgeFacts:
        # fmt: off
        return {"id": self.name, "name": self.name, "models": [self.name], "prompt": "p@1", "simulated": True,
                "blind": False, "questions": 0, "unclear": 0, "shares": {}}
        # fmt: on

    def answer(self, sha256: str, text: str) -> ImageAnswer:
        draw = hashlib.sha256(f"{self.name} {sha256} {text}".encode()).digest()[0] / 256
        return ImageAnswer(None, None) if draw < 0.1 else ImageAnswer(draw < 0.6, 1 - draw)

    def ask(self, questions: Sequence[ImageQuestion], progress: Any) -> list[ImageAnswer]:
        self.asked += questions
        progress(len(questions), len(questions))
        return [self.answer(question.sha256, question.text) for question in questions]


def published_loop(similarities: Sequence[Any], task: Task, judge: TableJudge) -> list[list[int]]:
    """Judge as the published code does: the negation counts only where the scene was verified."""
    final = []
    for (_, question, verification), row in zip(ROWS, similarities, strict=True):
        paths = [task.gallery[place] for place in sorted(range(len(row)), key=lambda place: -row[place])[:5]]
        hashes = [hashlib.sha256((task.pictures / path).read_bytes()).hexdigest() for path in paths]
        verified = [judge.answer(sha256, verification).yes is True for sha256 in hashes]
        denied = [judge.answer(sha256, question).yes is False for sha256 in hashes]
        final.append([int(scene and absent) for scene, absent in zip(verified, denied, strict=True)])
    return final


class TestReading:
    def test_simpleneg_as_published(self, tmp_path: Path, pictures: Path) -> None:
        rows = [[f"{text} {n}", denied, scene] for n in range(225) for text, denied, scene in ROWS]
        (tmp_path / simpleneg.ANNOTATIONS).write_text(json.dumps(rows))
        task = registry.load_task("simpleneg", tmp_path, pictures)
        assert (task.kind, len(task.items), len(task.gallery), task.chance) == ("judged", 900, PICTURES, 0)
        assert task.gallery == tuple(sorted(path.name for path in pictures.iterdir()))
        item = task.items[1]
        assert (item.id, item.text, item.questions) == ("001", "a dog that is not running 0", tuple(ROWS[1][1:]))
        assert item.slices["cue"] == "not"
        with pytest.raises(BenchError, match="no such folder of images"):
            registry.load_task("simpleneg", tmp_path)

    def test_the_gallery(self, tmp_path: Path, pictures: Path) -> None:
        for name in ("b/2.PNG", "a.jpg", ".thumbs/1.jpg", "b/notes.txt"):
            (tmp_path / "all" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "all" / name).touch()
        assert judged.image_names(tmp_path / "all") == ("a.jpg", "b/2.PNG")
        path = tmp_path / "small.json"
        path.write_text(json.dumps(ROWS))
        whole, part = judged.load("small", path, pictures), judged.load("small", path, pictures, most_images=5)
        assert part.gallery == whole.gallery[:5]
        assert part.dataset_sha256 != whole.dataset_sha256

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (ROWS, "4 items, the published file has 900"),
            ([*ROWS, ["a desk", "is there a lamp?"]], "row 4: expected .text, question"),
            ([["a desk", "is there a lamp?", " "]], "row 0: expected"),
            ([["a desk", 1, "is there a desk?"]], "row 0: expected"),
            ({}, "expected a list"),
        ],
    )
    def test_an_invalid_file(self, tmp_path: Path, pictures: Path, content: Any, message: str) -> None:
        (tmp_path / simpleneg.ANNOTATIONS).write_text(json.dumps(content))
        with pytest.raises(BenchError, match=message):
            simpleneg.load(tmp_path, pictures)


def test_the_highest_similarities() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        row = rng.integers(0, 6, size=12).astype(np.float32)
        assert highest(row) == sorted(range(12), key=lambda place: (-row[place], place))[:5]
    row[[3, 7]] = np.nan
    assert highest(row)[:2] == [3, 7]


@pytest.mark.parametrize(
    ("scene", "denied", "right"),
    [
        (True, False, {"both", "scene", "negation"}),
        (True, True, {"scene"}),
        (False, False, {"negation"}),
        (True, None, {"scene"}),
        (None, False, {"negation"}),
    ],
)
def test_an_unclear_answer_is_wrong(scene: bool | None, denied: bool | None, right: set[str]) -> None:
    # fmt: off
    image: JudgedImage = {"sha256": "", "scene": scene, "denied": denied, "p_scene": None, "p_denied": None,
                          "counts": True}
    # fmt: on
    assert {name for name, is_right in JUDGED.items() if is_right(image)} == right
    assert not any(is_right({**image, "counts": False}) for is_right in JUDGED.values())


class TestScores:
    def run(self, model: TinyModel, task: Task, folder: Path, judge: Any = None, **rule: Any) -> list[StoredResult]:
        rules = [Protocol(name, **rule) for name in ("strict", "official")]
        return list(run_task(model, task, results_folder=folder, protocols=rules, judge=judge or TableJudge()))

    def test_official_is_the_published_rule_item_by_item(self, task: Task, tmp_path: Path) -> None:
        judge, model = TableJudge(), TinyModel(3)
        strict, official = self.run(model, task, tmp_path, judge)
        expected = published_loop(list(score(model, task).of_gallery()), task, judge)
        rows = official.items()
        right = [[a["scene"] is True and a["denied"] is False for a in row["answers"]] for row in rows]
        assert right == [[bool(value) for value in images] for images in expected]
        metrics = official.result["metrics"]
        assert next(iter(metrics)) == "both_at_1"
        assert metrics["both_at_1"]["correct"] == sum(images[0] for images in expected)
        assert metrics["both_in_5"]["correct"] == sum(any(images) for images in expected)
        shares = official.result["judge"]["shares"]
        assert shares["average_of_5"]["value"] == pytest.approx(np.mean(expected))
        scenes = [row["answers"][0]["scene"] is True for row in rows]
        assert metrics["scene_at_1"]["correct"] == sum(scenes) == shares["negation_where_scene"]["n"]
        assert metrics["negation_at_1"]["correct"] == sum(row["answers"][0]["denied"] is False for row in rows)
        assert strict.result["metrics"] == metrics

    def test_what_is_stored(self, task: Task, tmp_path: Path) -> None:
        judge = TableJudge()
        _, official = self.run(TinyModel(3), task, tmp_path, judge)
        assert not list_results(tmp_path).problems
        facts = official.result["judge"]
        assert facts["questions"] == len(judge.asked) == len(set(judge.asked))
        assert facts["unclear"] == sum(judge.answer(q.sha256, q.text).yes is None for q in judge.asked) > 0
        for row in official.items():
            assert row["image"] == row["options"][0]
            assert row["scores"] == sorted(row["scores"], reverse=True)  # type: ignore[type-var]
            assert row["rank"] == (row["target"] + 1 if row["target"] >= 0 else None)
            assert row["correct"] == (row["target"] == 0)

    def test_a_metric_that_does_not_follow_from_the_answers(self, task: Task, tmp_path: Path) -> None:
        _, official = self.run(TinyModel(3), task, tmp_path)
        result = json.loads(official.path.read_text())
        scene = result["metrics"]["scene_at_1"]
        scene["correct"] = (scene["correct"] + 1) % 4
        scene["value"], scene["low"], scene["high"] = scene["correct"] / 4, 0, 1
        official.path.write_text(json.dumps(result))
        (changed,) = [each for each in list_results(tmp_path).results if each.path == official.path]
        with pytest.raises(BenchError, match="scene_at_1"):
            changed.items()

    def test_a_constant_model_is_exposed_by_strict(self, task: Task, tmp_path: Path) -> None:
        strict, official = self.run(ConstantModel(1), task, tmp_path)
        assert {row["image"] for row in official.items()} == {task.gallery[0]}
        assert {name: score["correct"] for name, score in strict.result["metrics"].items()} == dict.fromkeys(
            strict.result["metrics"], 0
        )
        assert strict.result["ties"] == official.result["ties"] == len(ROWS)

    def test_a_model_that_ignores_the_texts_is_named(self, task: Task, tmp_path: Path) -> None:
        class OneText(TinyModel):
            def encode_texts(self, texts: Sequence[str]) -> Any:
                return super().encode_texts(["a"] * len(texts))

        strict, _ = self.run(OneText(3), task, tmp_path)
        assert [verdict.code for verdict in verdicts(strict.result, strict.items())] == [VerdictCode.COLLAPSED_TEXTS]
        strict, _ = self.run(TinyModel(3), task, tmp_path)
        assert verdicts(strict.result, strict.items()) == ()

    def test_nan_is_refused_before_a_question_is_asked(self, task: Task, tmp_path: Path) -> None:
        judge = TableJudge()
        with pytest.raises(BenchError, match="a desk with no lamp"):
            self.run(BrokenModel(1), task, tmp_path, judge)
        assert not judge.asked
        assert not list_results(tmp_path).results
        strict, official = self.run(BrokenModel(1), task, tmp_path, judge, allow_nan=True)
        assert strict.result["metrics"]["both_in_5"]["correct"] == 0
        assert (strict.result["nan"], official.result["nan"]) == (len(ROWS), len(ROWS))

    def test_results_of_two_judges_or_galleries_are_never_paired(self, task: Task, tmp_path: Path) -> None:
        one, _ = self.run(TinyModel(3), task, tmp_path, TableJudge("one"))
        again, _ = self.run(TinyModel(4), task, tmp_path, TableJudge("one"))
        other, _ = self.run(TinyModel(3), task, tmp_path, TableJudge("other"))
        assert one.result["task"]["dataset_sha256"] == again.result["task"]["dataset_sha256"]
        assert one.result["task"]["dataset_sha256"] != other.result["task"]["dataset_sha256"]
        smaller = replace(task, gallery=task.gallery[:-1], dataset_sha256=64 * "0")
        fewer, _ = self.run(TinyModel(3), smaller, tmp_path, TableJudge("one"))
        assert one.result["task"]["dataset_sha256"] != fewer.result["task"]["dataset_sha256"]

    def test_a_judge_is_needed(self, task: Task, tmp_path: Path) -> None:
        with pytest.raises(BenchError, match="a judge") as caught:
            run_task(TinyModel(1), task, results_folder=tmp_path)
        assert "--judge" in caught.value.hint
