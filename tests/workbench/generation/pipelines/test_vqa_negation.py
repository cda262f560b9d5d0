"""Pipeline P2: a question answered with no becomes a negated caption; and judging of existing candidates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from support.pipeline_driver import drive, make_image_task

from curation_db.enums import ItemStatus, NegationType, Question, Stage
from workbench.errors import UsageError
from workbench.generation.engines.requests import ModelAnswer
from workbench.generation.models import EngineRequest
from workbench.generation.pipelines.judge_only import judge_only
from workbench.generation.pipelines.registry import check_prompts, steps_of
from workbench.generation.pipelines.vqa_negation import vqa_negation
from workbench.generation.pipelines.vqa_questions import denial_of, question_parts
from workbench.generation.prompts.loader import find_prompts
from workbench.generation.recipe import Recipe
from workbench.workspace.settings.engines import ANNOTATIONS, JudgeSettings, Pipeline

PROMPTS = find_prompts("negwb-p2-1")
RECIPE = Recipe(
    pipeline=Pipeline.P2,
    prompts=PROMPTS.version,
    proposer="llm",
    judges=(JudgeSettings(name="a"), JudgeSettings(name=ANNOTATIONS)),
)
QUESTIONS = ("Is the woman running?", "Is the horse white?", "Is there a dog?", "Is the woman on the fence?")


def oracle(present: object = 0.1) -> Callable[[EngineRequest], object]:
    def answer(request: EngineRequest) -> object:
        facts = request.request.facts
        match request.request.stage:
            case Stage.PRESENCE:
                return present
            case Stage.REWRITE:
                parts = question_parts(facts["question"])
                assert parts is not None
                return f"{facts['caption']}, and {denial_of(parts)}"
        return 0.9

    return answer


def test_a_question_is_verified_and_merged_into_a_caption():
    image_task = make_image_task(["a woman riding a horse in a field", "a lady on a horse"], QUESTIONS)
    driven = drive(vqa_negation(image_task, RECIPE, PROMPTS), oracle())  # type: ignore[arg-type]
    assert [request.request.messages[-1].text for request in driven.of(Stage.PRESENCE)] == [
        f"{question} Answer yes or no." for question in QUESTIONS
    ]
    draft = [outcome.draft for outcome in driven.outcomes]
    assert all(draft)
    assert [one and one.negation_type for one in draft] == [
        NegationType.ACTION,
        NegationType.ATTRIBUTE,
        NegationType.ABSENCE,
        NegationType.RELATION,
    ]
    assert [one and one.concept for one in draft] == ["running", "white horse", "dog", "woman on the fence"]
    assert [one and one.extra["question"] for one in draft] == list(QUESTIONS)
    assert {one.caption_id for one in draft if one} == {1, 2}
    assert "Answer: no" in driven.of(Stage.REWRITE)[0].request.messages[-1].text


def test_the_seed_chooses_the_caption():
    image_task = make_image_task([f"a horse in field {number}" for number in range(5)], QUESTIONS)
    chosen = [
        [
            outcome.draft and outcome.draft.caption_id
            for outcome in drive(vqa_negation(image_task, replace(RECIPE, seed=seed), PROMPTS), oracle()).outcomes  # type: ignore[arg-type]
        ]
        for seed in (1, 1, 2, 3)
    ]
    assert chosen[0] == chosen[1]
    assert len({str(one) for one in chosen}) == 3


def test_affirmed_and_unsuitable_questions_are_dropped():
    image_task = make_image_task(questions=["Is the woman running?", "What color is it?"])
    outcomes = drive(vqa_negation(image_task, RECIPE, PROMPTS), oracle(present=0.8)).outcomes  # type: ignore[arg-type]
    assert [outcome.reason for outcome in outcomes] == ["present", "not-yes-no"]


def test_a_question_without_a_caption_is_dropped():
    image_task = make_image_task(captions=(), questions=["Is the woman running?"])
    (outcome,) = drive(vqa_negation(image_task, RECIPE, PROMPTS), oracle()).outcomes  # type: ignore[arg-type]
    assert (outcome.status, outcome.reason) == (ItemStatus.DROPPED, "no-caption")


def test_equal_questions_are_judged_once():
    image_task = make_image_task(questions=["Is the woman running?"] * 2)
    driven = drive(vqa_negation(image_task, RECIPE, PROMPTS), oracle())  # type: ignore[arg-type]
    assert len(driven.of(Stage.PRESENCE)) == 1
    assert [outcome.status for outcome in driven.outcomes] == [ItemStatus.KEPT] * 2


def test_an_existing_candidate_is_only_judged():
    steps = judge_only(
        make_image_task(),
        RECIPE,
        PROMPTS,
        item="candidate/5",
        text="a woman without a hat on a horse",
        concept="hat",
        original="a woman on a horse",
    )
    driven = drive(steps, oracle())  # type: ignore[arg-type]
    (outcome,) = driven.outcomes
    assert (outcome.item, outcome.status, outcome.draft) == ("candidate/5", ItemStatus.KEPT, None)
    assert [(verdicts.judge, verdicts.question) for verdicts in outcome.verdicts] == [
        ("a", Question.PRESENT),
        (ANNOTATIONS, Question.PRESENT),
        ("a", Question.ACCEPTABLE),
    ]
    assert driven.of(Stage.PRESENCE)[0].request.messages[-1].text.startswith("Is there a hat in this picture?")


def test_without_a_concept_only_the_whole_is_judged_and_a_failure_is_reported():
    def steps():
        return judge_only(
            make_image_task(), RECIPE, PROMPTS, item="candidate/5", text="a horse, not white", concept=None
        )

    assert [request.request.stage for request in drive(steps(), oracle()).requests] == [Stage.ACCEPTABLE]  # type: ignore[arg-type]
    (outcome,) = drive(steps(), lambda _: ModelAnswer(error="server")).outcomes
    assert (outcome.status, outcome.reason) == (ItemStatus.FAILED, "failed:server")


def test_a_recipe_accepts_prompts_of_its_pipeline_only():
    check_prompts(RECIPE.pipeline, PROMPTS)
    with pytest.raises(UsageError, match="the prompts negwb-p2-1 are for P2, not for P1"):
        check_prompts(Pipeline.P1, PROMPTS)
    image_task = make_image_task(questions=QUESTIONS)
    assert drive(steps_of(image_task, RECIPE, PROMPTS), oracle()) == drive(
        vqa_negation(image_task, RECIPE, PROMPTS), oracle()
    )  # type: ignore[arg-type]
