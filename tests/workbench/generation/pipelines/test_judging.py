"""Judging: a judge that answers nothing is asked again once, then it is unclear."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from support.pipeline_driver import Driven, drive, make_image_task

from curation_db.enums import ItemStatus, Question, Stage
from workbench.generation.engines.requests import ModelAnswer, RequestFailure
from workbench.generation.models import EngineRequest
from workbench.generation.pipelines.judge_only import judge_only
from workbench.generation.pipelines.vqa_negation import vqa_negation
from workbench.generation.prompts.loader import find_prompts
from workbench.generation.recipe import Recipe
from workbench.workspace.settings.engines import JudgeRule, JudgeSettings, Unclear

PROMPTS = find_prompts("negwb-p2-1")
NOTHING = ModelAnswer(error=RequestFailure.EMPTY, detail="the model sent an empty answer")


def recipe(rule: JudgeRule = JudgeRule.MEAN, unclear: Unclear = Unclear.DROP) -> Recipe:
    return Recipe(
        prompts=PROMPTS.version, proposer="llm", judges=(JudgeSettings(name="a"),), rule=rule, unclear=unclear
    )


def judged(answers: Sequence[ModelAnswer | float], rule: JudgeRule = JudgeRule.MEAN) -> Driven:
    """Judge the presence of a concept; the judge gives `answers` in turn."""
    remaining = iter(answers)
    steps = judge_only(
        make_image_task(),
        recipe(rule),
        PROMPTS,
        item="candidate/1",
        text="a woman without a hat",
        concept="hat",
        questions={Question.PRESENT},
    )
    return drive(steps, lambda _: next(remaining))


@pytest.mark.parametrize(("second", "p"), [(0.2, 0.2), (0.9, 0.9), (NOTHING, None)])
def test_a_judge_that_answers_nothing_is_asked_again_once_and_then_unclear(
    second: ModelAnswer | float, p: float | None
) -> None:
    driven = judged([NOTHING, second])
    first, again = (one.request for one in driven.requests)
    assert first.key("a") != again.key("a")
    assert first.messages == again.messages
    (outcome,) = driven.outcomes
    assert (outcome.status, [verdict.p for verdict in outcome.verdicts]) == (ItemStatus.KEPT, [p])
    assert outcome.verdicts[0].seed == again.sampling.seed


def test_a_failure_of_the_second_request_is_reported() -> None:
    (outcome,) = judged([NOTHING, ModelAnswer(error=RequestFailure.SERVER)]).outcomes
    assert (outcome.status, outcome.reason) == (ItemStatus.FAILED, "failed:server")


def test_other_failures_are_not_asked_again() -> None:
    driven = judged([ModelAnswer(error=RequestFailure.REFUSED)])
    assert len(driven.requests) == 1
    assert driven.outcomes[0].reason == "failed:refused"


def test_the_published_rule_takes_an_empty_answer_as_absent_and_asks_once() -> None:
    driven = judged([NOTHING], JudgeRule.OFFICIAL)
    assert len(driven.requests) == 1
    assert driven.outcomes[0].status is ItemStatus.KEPT


@pytest.mark.parametrize("rule", [JudgeRule.MEAN, JudgeRule.ANY, JudgeRule.ALL])
def test_an_unclear_question_is_dropped_as_unclear_and_never_counts_as_absent(rule: JudgeRule) -> None:
    def oracle(request: EngineRequest) -> ModelAnswer | str:
        return NOTHING if request.request.stage == Stage.PRESENCE else "a woman on a horse without a dog"

    task = make_image_task(questions=["Is there a dog?"])
    (outcome,) = drive(vqa_negation(task, recipe(rule), PROMPTS), oracle).outcomes
    assert (outcome.status, outcome.reason) == (ItemStatus.DROPPED, "unclear")
