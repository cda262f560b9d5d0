"""`JudgeRule.OFFICIAL` on odd answers: equal to the published code, except for what the cleaning of Unicode changes.

NegationCLIP, src/data_generation.py: a concept is present if the lower-cased answer contains "yes"; a rewrite is the
answer with `.strip().rstrip(".")`. Neither looks at why the model stopped, or at whether it wrote anything.
"""

from __future__ import annotations

import pytest
from support.pipeline_driver import Driven, drive, make_image_task

from curation_db.enums import ItemStatus, Stage
from curation_db.language.sanitize import clean
from workbench.generation.engines.requests import ModelAnswer, RequestFailure
from workbench.generation.models import EngineRequest
from workbench.generation.pipelines.object_absence import object_absence
from workbench.generation.prompts.loader import find_prompts
from workbench.generation.recipe import Recipe
from workbench.generation.runs.dispatcher import normalised
from workbench.workspace.settings.engines import JudgeRule, JudgeSettings

PROMPTS = find_prompts("negationclip-p1")
RECIPE = Recipe(prompts=PROMPTS.version, proposer="llm", judges=(JudgeSettings(name="a"),), rule=JudgeRule.OFFICIAL)
CUT, EMPTY = str(RequestFailure.TOO_LONG), str(RequestFailure.EMPTY)
# fmt: off
ODD = (
    ("", EMPTY), ("   ", EMPTY), ("\n\n\t", EMPTY), ("", CUT),
    ("Yes, there is a hat on", CUT), ("There is a man who is wear", CUT), ("I would say y", CUT), ("   ", CUT),
    ("Yes", ""), ("YES.", ""), ("yEs!!!", ""), ("No", ""), ("NO.", ""), ("No, yes", ""), ("Yes and no", ""),
    ("yesterday", ""), ("her eyes are closed", ""), ("noyes", ""), ("y e s", ""), ("ye-s", ""), ("ye\ns", ""),
    ("**Yes**", ""), ("<b>y</b>es", ""), ("I cannot tell", ""), ("not yes", ""), ("x " * 2_500 + "yes", ""),
    ("\uff39\uff45\uff53", ""),  # full-width
    ("y\u0435s", ""),  # a Cyrillic letter
    ("ye\u017f", ""),  # a long s
    ("y\u200bes", ""), ("ye\u200ds", ""), ("ye\u00ads", ""),  # zero-width blank, joiner, soft hyphen
    ("\ufeffyes\u2028no", ""),
    ("ye\x00s", ""), ("y\u202ees", ""), ("ye\ud800s", ""), ("yes\u0301", ""),
)
CHANGED_BY_CLEANING = {
    "ye\x00s": True,  # the control character is removed
    "y\u202ees": True,  # the bidi override is removed
    "ye\ud800s": True,  # the lone surrogate is removed
    "yes\u0301": False,  # s and its accent become one letter
}
"""Answer to whether the concept is present; the published code decides the opposite."""
REWRITES = (
    *(each for each in ODD if each[0].strip() and len(each[0]) < 1_500),  # at most 256 tokens in the published code
    ("  a woman without a hat.  ", ""), ("a woman without a hat...", ""), ("a woman without a hat. .", ""),
    ("a woman without a hat and wi", CUT), ("\u3000a woman without a hat\u3000", ""),
    ("a woman without a hat\u3002", ""),
    ("Sure! a woman.\n\nNote: no hat.", ""), ("\u200b", ""), (".a woman.", ""),
    ("a woman without a hat.\u200e", ""), ("a woman without a hat. \ufeff", ""),
)
REWRITES_CHANGED_BY_CLEANING = {
    "\ufeffyes\u2028no": "yes\nno",  # the byte order mark is removed, the line separator becomes a line end
    "ye\x00s": "yes",
    "y\u202ees": "yes",
    "ye\ud800s": "yes",
    "yes\u0301": "ye\u015b",
    "a woman without a hat.\u200e": "a woman without a hat",  # the mark hides the full stop from the published code
    "a woman without a hat. \ufeff": "a woman without a hat",
}
# fmt: on


def run(presence: ModelAnswer, rewrite: ModelAnswer) -> Driven:
    """Run the published pipeline with these answers, as the dispatcher returns them."""

    def answer(request: EngineRequest) -> ModelAnswer:
        by_stage = {Stage.PROPOSE: ModelAnswer(text="hat"), Stage.PRESENCE: presence, Stage.REWRITE: rewrite}
        return normalised(by_stage[Stage(request.request.stage)])

    return drive(object_absence(make_image_task(), RECIPE, PROMPTS), answer)


def published_yes(answer: str) -> bool:
    return "yes" in answer.lower()


def published_rewrite(answer: str) -> str:
    return answer.strip().rstrip(".")


def test_there_are_37_odd_answers() -> None:
    assert len(set(ODD)) == 37


@pytest.mark.parametrize(("text", "error"), ODD)
def test_an_odd_answer_of_a_judge_counts_as_published(text: str, error: str) -> None:
    (outcome,) = run(ModelAnswer(text=text, error=error), ModelAnswer(text="a woman without a hat")).outcomes
    expected = CHANGED_BY_CLEANING.get(text, published_yes(text))
    assert outcome.reason == ("present" if expected else "")
    assert outcome.status is (ItemStatus.DROPPED if expected else ItemStatus.KEPT)


@pytest.mark.parametrize(("text", "error"), REWRITES)
def test_an_odd_rewrite_is_taken_as_published(text: str, error: str) -> None:
    (outcome,) = run(ModelAnswer(text="No"), ModelAnswer(text=text, error=error)).outcomes
    assert outcome.draft is not None
    assert outcome.draft.text == REWRITES_CHANGED_BY_CLEANING.get(text, published_rewrite(text))


@pytest.mark.parametrize(("text", "error"), [("", EMPTY), (" \n", EMPTY), ("", CUT), ("...", ""), ("\x00", "")])
def test_a_rewrite_without_text_is_no_candidate_and_no_failure(text: str, error: str) -> None:
    """The published code writes an empty caption; the record holds no candidate without text."""
    (outcome,) = run(ModelAnswer(text="No"), ModelAnswer(text=text, error=error)).outcomes
    assert (outcome.status, outcome.reason) == (ItemStatus.DROPPED, "lint:empty")


def test_the_named_answers_are_those_that_cleaning_changes() -> None:
    decided = {text for text, _ in ODD if published_yes(text) is not published_yes(clean(text))}
    assert decided == set(CHANGED_BY_CLEANING)
    changed = {text for text, _ in REWRITES if published_rewrite(text) != published_rewrite(clean(text))}
    assert changed == set(REWRITES_CHANGED_BY_CLEANING)


@pytest.mark.parametrize("error", sorted(set(RequestFailure) - {CUT, EMPTY}))
def test_every_other_failure_stays_a_failure(error: str) -> None:
    (outcome,) = run(ModelAnswer(error=error), ModelAnswer(text="a woman without a hat")).outcomes
    assert (outcome.status, outcome.reason) == (ItemStatus.FAILED, f"failed:{error}")
