"""Aggregation of verdicts, and the annotation judge."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pipeline_driver import make_image_task

from curation_db.enums import Question
from workbench.generation.models import JudgeVerdict
from workbench.generation.pipelines.aggregation import effective_probability, is_present
from workbench.generation.pipelines.annotation_judge import judge_by_annotations
from workbench.generation.recipe import Recipe
from workbench.workspace.settings.engines import JudgeRule, Prior

RECIPE = Recipe(prompts="x", proposer="llm")


def verdicts(p: float | None, *, mass: float | None = 1.0, prior: float | None = None, text: str = "") -> JudgeVerdict:
    return JudgeVerdict(judge="a", question=Question.PRESENT, prompt="x", p=p, label_mass=mass, prior=prior, text=text)


@pytest.mark.parametrize(
    ("rule", "ps", "present"),
    [
        (JudgeRule.MEAN, (0.2, 0.7), False),
        (JudgeRule.MEAN, (0.4, 0.6), True),
        (JudgeRule.MEAN, (None, 0.6), True),
        (JudgeRule.MEAN, (None, None), None),
        (JudgeRule.MEAN, (), None),
        (JudgeRule.ANY, (0.1, 0.6), True),
        (JudgeRule.ANY, (0.1, None), False),
        (JudgeRule.ALL, (0.9, 0.4), False),
        (JudgeRule.ALL, (0.9, None), True),
        (JudgeRule.ALL, (None,), None),
    ],
)
def test_the_aggregation_rules(rule: JudgeRule, ps: tuple[float | None, ...], present: bool | None):
    assert is_present(replace(RECIPE, rule=rule), [verdicts(p) for p in ps]) is present


def test_an_answer_with_little_label_mass_is_unclear():
    assert is_present(RECIPE, [verdicts(0.0, mass=0.3)]) is None
    assert is_present(RECIPE, [verdicts(0.0, mass=0.3), verdicts(0.9, mass=0.8)]) is True
    assert is_present(RECIPE, [verdicts(0.9, mass=None)]) is True
    assert is_present(RECIPE, [verdicts(float("nan"))]) is None


def test_a_prior_is_subtracted_in_logits_only_if_configured():
    leaning = verdicts(0.6, prior=0.8)
    assert is_present(RECIPE, [leaning]) is True
    corrected = replace(RECIPE, prior=Prior.CORRECT)
    assert effective_probability(corrected, leaning) == pytest.approx((1.5 / 4) / (1 + 1.5 / 4))
    assert is_present(corrected, [leaning]) is False
    assert effective_probability(corrected, verdicts(0.6)) == 0.6
    assert leaning.p == 0.6


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_corrected_probability_stays_in_range_and_a_prior_of_half_changes_nothing(p: float, prior: float):
    corrected = replace(RECIPE, prior=Prior.CORRECT)
    seen = effective_probability(corrected, verdicts(p, prior=prior))
    assert seen is not None and 0 <= seen <= 1  # noqa: PT018
    assert effective_probability(corrected, verdicts(p, prior=0.5)) == pytest.approx(p, abs=2e-6)


@given(
    st.lists(st.sampled_from([None, 0.0, 0.3, 0.5, 1.0]), max_size=4),
    st.sampled_from([JudgeRule.MEAN, JudgeRule.ANY, JudgeRule.ALL]),
)
def test_unclear_answers_change_nothing(ps: list[float | None], rule: JudgeRule):
    recipe = replace(RECIPE, rule=rule)
    clear = [verdicts(p) for p in ps if p is not None]
    assert is_present(recipe, [verdicts(p) for p in ps]) == is_present(recipe, clear)


@pytest.mark.parametrize(
    ("concept", "p"),
    [
        ("horse", 1.0),  # a caption names it
        ("saddle", None),  # denied by a caption, and nobody drew saddles
        ("person", 1.0),  # "woman" is one
        ("dog", 0.0),  # looked for, not found
        ("dogs", 0.0),
        ("car", 1.0),  # annotated
        ("unicorn", None),  # nobody looked
        (None, None),
    ],
)
def test_the_annotation_judge(concept: str | None, p: float | None):
    image_task = make_image_task(
        ["a woman on a horse without a saddle"], objects={"car": 2, "person": 1}, categories=["dog", "car", "person"]
    )
    verdict = judge_by_annotations(image_task, concept)
    assert (verdict.p, verdict.judge, verdict.method) == (p, "annotations", "score")
    assert verdict.text.split(":")[0] == {1.0: "yes", 0.0: "no", None: "unclear"}[p]
