"""Hostile answers of models: no error, one result per wanted item, and deterministic requests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.pipeline_driver import drive, make_image_task

from curation_db.enums import ItemStatus
from curation_db.language.sanitize import display_text
from workbench.generation.engines.requests import ModelAnswer
from workbench.generation.models import EngineRequest
from workbench.generation.pipelines.object_absence import object_absence
from workbench.generation.pipelines.vqa_negation import vqa_negation
from workbench.generation.prompts.loader import find_prompts
from workbench.generation.recipe import Recipe
from workbench.workspace.settings.engines import ANNOTATIONS, JudgeRule, JudgeSettings, Mix, Prior, Unclear

# fmt: off
NASTY = (
    "", " ", "\x00\x1b[31m", "\u202ehat\u2066", "I'm sorry, I can't help with that.", "hat", "an umbrella", "yes", "no",
    "YES!", "{caption} {concept} {0} %s", "[red]hat[/red]", "<image>", "a woman without a hat on a horse", "\ud800",
    "Sure! Here is the caption: \"a woman\"", "'", '""', "not not not no never", "нет", "hat\n" * 50, "🙂", "a" * 1_000,
)
# fmt: on
HUGE = "HUGE"
"""Placeholder of a megabyte of text, which a failing test would print in full."""
ANSWERS = st.one_of(
    st.sampled_from(NASTY).map(lambda text: ModelAnswer(text=text)),
    st.text(max_size=40).map(lambda text: ModelAnswer(text=text)),
    st.just(ModelAnswer(text=HUGE)),
    st.sampled_from(["timeout", "refused", "empty"]).map(
        lambda why: ModelAnswer(error=why, detail="\x1b]0;x\x07" * 99)
    ),
    st.builds(
        ModelAnswer,
        text=st.sampled_from(NASTY),
        p=st.one_of(st.none(), st.floats(0, 1)),
        label_mass=st.one_of(st.none(), st.floats(0, 1)),
    ),
    st.just(ModelAnswer(text="yes", p=float("nan"))),
)
RECIPES = st.builds(
    replace,
    st.just(
        Recipe(
            prompts="x",
            proposer="llm",
            judges=(JudgeSettings(name="a"), JudgeSettings(name="b"), JudgeSettings(name=ANNOTATIONS)),
        )
    ),
    rule=st.sampled_from(JudgeRule),
    mix=st.sampled_from(Mix),
    unclear=st.sampled_from(Unclear),
    prior=st.sampled_from(Prior),
    attempts=st.integers(0, 3),
    rewrites=st.integers(0, 3),
    random_concept=st.booleans(),
    seed=st.integers(0, 9),
)
CAPTIONS = st.lists(
    st.one_of(st.sampled_from(["a woman on a horse", "no dog here", "{x}", ""]), st.text(max_size=30)), max_size=3
)
ASKED = st.sampled_from(["Is the woman running?", "Is there a hat?", "is", "?"])
QUESTIONS = st.lists(st.one_of(ASKED, st.text(max_size=30)), max_size=3)
WHICH = st.sampled_from(["P1", "official", "P2"])


def at_random(pool: list[ModelAnswer]) -> Callable[[EngineRequest], ModelAnswer]:
    """The same answer for the same question, whenever it is asked."""

    def answer(request: EngineRequest) -> ModelAnswer:
        digest = hashlib.sha256(request.request.key(request.engine)).digest()
        chosen = pool[int.from_bytes(digest[:4], "big") % len(pool)]
        return replace(chosen, text="no hat without " * 70_000) if chosen.text == HUGE else chosen

    return answer


@settings(max_examples=examples(80), deadline=None)
@given(st.lists(ANSWERS, min_size=1, max_size=8), RECIPES, CAPTIONS, QUESTIONS, WHICH)
def test_every_item_gets_one_result(
    pool: list[ModelAnswer], recipe: Recipe, captions: list[str], questions: list[str], which: str
):
    prompts = find_prompts({"P1": "negwb-p1-1", "official": "negationclip-p1", "P2": "negwb-p2-1"}[which])
    pipeline = vqa_negation if which == "P2" else object_absence
    image_task = make_image_task(captions, questions if which == "P2" else ())
    driven, again = (drive(pipeline(image_task, recipe, prompts), at_random(pool)) for _ in range(2))
    keys = [[request.request.key(request.engine) for request in group] for group in driven.groups]
    assert keys == [[request.request.key(request.engine) for request in group] for group in again.groups]
    assert len(sum(keys, [])) == len({(r.engine, r.request.key(r.engine)) for r in driven.requests})  # noqa: RUF017
    assert sorted(outcome.item for outcome in driven.outcomes) == sorted(image_task.wanted)
    for outcome in driven.outcomes:
        assert (outcome.draft is not None) == (outcome.status is ItemStatus.KEPT)
        assert bool(outcome.reason) == (outcome.status is not ItemStatus.KEPT)
        assert outcome.reason == display_text(outcome.reason)
        assert outcome.detail == display_text(outcome.detail)
        assert len(outcome.detail) <= 300
        assert outcome.draft is None or len(outcome.draft.text) <= 4_000
