"""Results of text-to-image from the answers of a judge, against counts by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks import results
from benchmarks.analysis.comparison import compare
from benchmarks.judged import ImageAnswer, ImageQuestion
from benchmarks.schema import item_problem, items_problem, result_problem
from benchmarks.text_to_image.job import EncoderFacts, PictureJob, PictureSet, Sampling, picture_name
from benchmarks.text_to_image.prompt_sets import NegatedPrompt, PromptSet
from benchmarks.text_to_image.scoring import JudgedResult, judged_results
from curation_db.stats.intervals import wilson

PROMPTS = PromptSet(
    "mini",
    tuple(NegatedPrompt(str(n), f"a dog without a hat {n}", f"dog {n}?", f"hat {n}?") for n in range(1, 5)),
    "a" * 64,
)
SHOWN = {"original": ["dh", "dh", "d", ""], "run": ["d", "d", "", "h"]}
"""What the pictures of the four prompts show: a dog (d), a hat (h); u: the answer on the hat is unclear."""


class Judge:
    """Answers by the letters that a picture was drawn for."""

    def __init__(self, seen: dict[str, str]) -> None:
        self.seen, self.asked = seen, [ImageQuestion(Path(), "", "")][:0]

    def ask(self, questions: Sequence[ImageQuestion], progress: Any) -> list[ImageAnswer]:
        self.asked += questions
        progress(len(questions), len(questions))
        return [self._answer(question) for question in questions]

    def _answer(self, question: ImageQuestion) -> ImageAnswer:
        shown = self.seen[str(question.path)]
        if "u" in shown and question.text.startswith("hat"):
            return ImageAnswer(None, None)
        yes = question.text[0] in shown
        return ImageAnswer(yes, 0.9 if yes else 0.1)

    @property
    def facts(self) -> Any:
        shared = {"prompt": "p", "simulated": True, "blind": False, "questions": 0, "unclear": 0, "shares": {}}
        return {"id": "j" * 16, "name": "eye", "models": ["eye"], **shared}


def judged(
    folder: Path, shown: dict[str, list[str]] | None = None, *, seeds: tuple[int, ...] = (0,), guidance: float = 7.5
) -> tuple[list[JudgedResult], Judge]:
    shown = shown or SHOWN
    job = PictureJob(
        pipeline="sd",
        encoders=(),
        texts=tuple(each.text for each in PROMPTS.prompts),
        seeds=seeds,
        sampling=Sampling(guidance=guidance),
        device="cpu",
        precision="fp32",
        batch=1,
        folder=str(folder),
    )
    encoders, seen = [], {}
    for number, (name, letters) in enumerate(shown.items()):
        described = {"arch": "CLIP", "activation": "gelu", "model_hash": f"{number}" * 64}
        encoders.append(EncoderFacts(label=name, hash=f"{number}" * 64, model=described, drift=0.0))
        for at, (text, seed) in enumerate(job.each()):
            path = folder / "group" / picture_name(encoders[-1].hash, text, seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (number, at, 0)).save(path)
            seen[str(path)] = letters[at]
    made = PictureSet(
        pipeline="sd", pipeline_hash="b" * 64, group="group", size=8, encoders=tuple(encoders), cut=0, limit=77
    )
    judge = Judge(seen)
    return judged_results(PROMPTS, job, made, judge, lambda done, total: None), judge


def counts(result: JudgedResult) -> dict[str, tuple[int, int]]:
    return {name: (score["correct"], score["n"]) for name, score in result.result["metrics"].items()}


def test_scores_are_counted(tmp_path: Path) -> None:
    (original, run), judge = judged(tmp_path)
    # original: dog and hat, dog and hat, dog, nothing; run: dog, dog, nothing, hat
    assert counts(original) == {"both": (1, 4), "neg_score": (2, 4), "subject": (3, 4), "question_accuracy": (5, 8)}
    assert counts(run) == {"both": (2, 4), "neg_score": (3, 4), "subject": (2, 4), "question_accuracy": (5, 8)}
    assert [row["correct"] for row in run.rows] == [True, True, False, False]
    assert len(judge.asked) == 16
    assert run.result["judge"]["questions"] == 16


def test_noise_has_a_full_neg_score_and_nothing_else(tmp_path: Path) -> None:
    (only,), _ = judged(tmp_path, {"original": ["", "", "", ""]})
    assert counts(only) == {"both": (0, 4), "neg_score": (4, 4), "subject": (0, 4), "question_accuracy": (4, 8)}


def test_an_unclear_answer_is_wrong(tmp_path: Path) -> None:
    (only,), _ = judged(tmp_path, {"original": ["du", "d", "d", "d"]})
    assert counts(only) == {"both": (3, 4), "neg_score": (3, 4), "subject": (4, 4), "question_accuracy": (7, 8)}
    assert only.result["judge"]["unclear"] == 1
    assert only.rows[0]["answers"][0]["denied"] is None


def test_results_and_items_follow_the_schema(tmp_path: Path) -> None:
    for result, rows in judged(tmp_path)[0]:
        assert result_problem(result) == ""
        assert [item_problem(row) for row in rows] == [""] * 4
        assert items_problem(result, rows) == ""


@pytest.mark.parametrize("metric", ["both", "neg_score", "question_accuracy"])
def test_a_changed_metric_is_noticed(tmp_path: Path, metric: str) -> None:
    result, rows = judged(tmp_path)[0][1]
    score = result["metrics"][metric]
    changed = {**score, "correct": score["correct"] - 1, "value": (score["correct"] - 1) / score["n"], "low": 0.0}
    result["metrics"][metric] = changed  # type: ignore[typeddict-item]
    assert metric in items_problem(result, rows)


def test_an_item_shows_the_picture_beside_that_of_the_original(tmp_path: Path) -> None:
    (original, run), _ = judged(tmp_path)
    assert [len(row["options"]) for row in original.rows] == [1] * 4
    assert [row["options"] for row in run.rows] == [
        [row["image"], other["image"]] for row, other in zip(run.rows, original.rows, strict=True)
    ]
    for row, other in zip(run.rows, original.rows, strict=True):
        assert row["answers"][1] == other["answers"][0]
        assert row["image"] != other["image"]


def test_the_report_pairs_every_encoder_with_the_original(tmp_path: Path) -> None:
    shown = {**SHOWN, "half": ["d", "dh", "d", ""]}
    for result, rows in judged(tmp_path / "pictures", shown)[0]:
        results.write(tmp_path / "results", result, rows)
    report = compare(tmp_path / "results", default_base="2" * 64, run_bases={"1" * 64: "2" * 64})  # half is the base
    assert [(row.model, row.is_reference) for row in report.rows] == [
        ("original", True), ("run", False), ("half", False),
    ]  # fmt: skip
    run, half = report.rows[1:]
    assert run.base is not None
    assert (run.base.gained, run.base.lost) == (2, 1)
    differences = {share.name: share.base for share in run.others}
    assert differences["question_accuracy"] is None
    neg, subject = differences["neg_score"], differences["subject"]
    assert neg is not None
    assert subject is not None
    assert [(each.gained, each.lost) for each in (neg, subject)] == [(2, 1), (0, 1)]
    assert all(share.base is None for share in report.rows[0].others)
    assert half.base is not None
    assert (half.base.gained, half.base.lost) == (1, 0)
    assert "compared with original, the reference of this task" in run.notes
    assert not any("other images" in note for note in run.notes)
    assert not any("trained on images" in note for note in run.notes)
    assert run.denied is False
    assert run.verdicts == ()
    assert report.reference == "half", "of other tasks"
    chosen = compare(tmp_path / "results", base="half")
    assert next(row for row in chosen.rows if row.is_reference).model == "half"


def test_other_settings_or_judges_are_not_compared(tmp_path: Path) -> None:
    first = judged(tmp_path / "a")[0][0].result
    assert judged(tmp_path / "b")[0][0].result["task"]["dataset_sha256"] == first["task"]["dataset_sha256"]
    other = judged(tmp_path / "c", guidance=3.0)[0][0].result
    assert other["task"]["dataset_sha256"] != first["task"]["dataset_sha256"]


def test_the_interval_is_wilsons_or_that_of_the_prompts(tmp_path: Path) -> None:
    score = judged(tmp_path / "one")[0][0].result["metrics"]["neg_score"]
    expected = wilson(2, 4)
    assert (score["low"], score["high"]) == (expected.low, expected.high)
    same = {"original": [each for each in ("d", "d", "dh", "dh") for _ in range(8)]}
    many = judged(tmp_path / "many", same, seeds=tuple(range(8)))[0][0].result["metrics"]["both"]
    assert (many["correct"], many["n"]) == (16, 32)
    narrow = wilson(16, 32)
    assert many["low"] < narrow.low, "eight equal pictures of a prompt are no eight samples"
    assert many["high"] > narrow.high
