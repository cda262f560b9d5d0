"""P2 end to end on single rewrites: natural denials of the question are kept, other ones are refused.

fixtures/p2_pairs.jsonl: the first 40 rows were written before the rule was (15 of them were wrong then), the other 26
after it (8 were wrong on the old code).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.pipeline_driver import drive, make_image_task

from curation_db.enums import ItemStatus, Stage
from workbench.generation.models import EngineRequest, ItemResult
from workbench.generation.pipelines.vqa_negation import vqa_negation
from workbench.generation.pipelines.vqa_questions import QuestionFault
from workbench.generation.prompts.loader import find_prompts
from workbench.generation.recipe import Recipe
from workbench.workspace.settings.engines import JudgeSettings, Pipeline

PROMPTS = find_prompts("negwb-p2-1")
RECIPE = Recipe(
    pipeline=Pipeline.P2,
    prompts=PROMPTS.version,
    proposer="llm",
    judges=(JudgeSettings(name="a"),),
    rewrites=1,
)
PAIRS = Path(__file__).parents[1] / "fixtures" / "p2_pairs.jsonl"


def result_of(caption: str, question: str, rewrite: str = "") -> ItemResult:
    def oracle(request: EngineRequest) -> str | float:
        return rewrite if request.request.stage == Stage.REWRITE else 0.1

    (outcome,) = drive(vqa_negation(make_image_task([caption], [question]), RECIPE, PROMPTS), oracle).outcomes
    return outcome


def wrong_rows(file: Path) -> list[tuple[str, str]]:
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    results = [(row, result_of(row["caption"], row["question"], row["rewrite"])) for row in rows]
    return [
        (row["rewrite"], result.reason)
        for row, result in results
        if (result.status is ItemStatus.KEPT) is not row["keep"] or (not row["keep"] and "lint:" not in result.reason)
    ]


def test_natural_denials_are_kept_and_other_rewrites_refused() -> None:
    assert wrong_rows(PAIRS) == []


def test_the_shared_cases_are_right(shared_data: Path) -> None:
    path = shared_data.parent / "cases" / "p2.jsonl"
    if not path.is_file():
        pytest.skip("needs the shared cases")
    assert wrong_rows(path) == []


@pytest.mark.parametrize(
    ("question", "fault"),
    [
        ("Is the woman not smiling?", QuestionFault.NEGATIVE),
        ("Isn't the woman smiling?", QuestionFault.NEGATIVE),
        ("Aren\u2019t they happy?", QuestionFault.NEGATIVE),
        ("Is the man shirtless?", QuestionFault.NEGATIVE),
        ("Is there a dog missing?", QuestionFault.NEGATIVE),
        ("Is it raining or not?", QuestionFault.CONJUNCTION),
        ("Is the man tall and thin?", QuestionFault.CONJUNCTION),
        ("Is it a cat or a dog?", QuestionFault.CONJUNCTION),
        ("What is this?", QuestionFault.NOT_YES_NO),
    ],
)
def test_a_refused_question_costs_no_request_and_its_item_has_the_reason(question: str, fault: QuestionFault) -> None:
    driven = drive(vqa_negation(make_image_task(questions=[question]), RECIPE, PROMPTS), lambda _: 0.1)
    (outcome,) = driven.outcomes
    assert (outcome.status, outcome.reason, driven.requests) == (ItemStatus.DROPPED, fault.value, ())
