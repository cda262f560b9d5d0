"""Resuming a generation run: its command-line arguments, and the refusals."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from curation_db.enums import GenerationState, StopReason
from curation_db.generation.runs import GenerationRunRow, StageProgress
from workbench.errors import NegwbError
from workbench.jobs.generation import GenerationOrder, resume_arguments
from workbench.workspace.settings.engines import EngineSettings
from workbench.workspace.settings.generation import GenerateSettings

# fmt: off
RECIPE = {
    "pipeline": "P1", "prompts": "negwb-p1-1@3fa2b1c94d0e", "proposer": "llama",
    "judges": [{"name": "llava", "questions": ["acceptable", "present"]}, {"name": "clip", "questions": ["acceptable"]},
               {"name": "annotations", "questions": ["present"]}],
    "rule": "any", "threshold": 0.4, "attempts": 2, "rewrites": 2, "mix": "balanced", "random_concept": False,
    "unclear": "drop", "prior": "off", "least_label_mass": 0.5, "seed": 7, "models": {},
}
# fmt: on
TOLD = {"pipeline": "P1", "recipe": RECIPE, "sources": ["coco"], "limit": 100, "shard": "2/8", "retry": False}


def known(*names: str, **more: Any) -> GenerateSettings:
    engines = {name: EngineSettings(name=name, kind="openai") for name in names or ("llama", "llava", "clip")}
    return GenerateSettings(engines=engines, **more)


def run(reason: StopReason = StopReason.REQUEST, done: int = 30, **settings: Any) -> GenerationRunRow:
    # fmt: off
    return GenerationRunRow(
        id=3, recipe="abc", settings=TOLD | settings, state=GenerationState.STOPPED, host="here", pid=1, started_at="",
        beat_at="", ended_at="", progress=StageProgress(items_done=done), message="any wording",
        stop_reason=reason,
    )
    # fmt: on


def after(words: list[str], option: str) -> list[str]:
    """The values of an option."""
    return [value for name, value in pairwise(words) if name == option]


def test_the_arguments_repeat_the_settings() -> None:
    words = resume_arguments(run(), known())
    assert after(words, "--pipeline") == ["P1"]
    assert after(words, "--proposer") == ["llama"]
    assert after(words, "--judge") == ["llava", "clip:acceptable", "annotations:present"]
    # fmt: off
    assert after(words, "--set") == [
        "rule=any", "threshold=0.4", "attempts=2", "rewrites=2", "mix=balanced", "unclear=drop", "prior=off",
        "least_label_mass=0.5", "seed=7",
    ]
    # fmt: on
    assert (after(words, "--source"), after(words, "--shard")) == (["coco"], ["2/8"])
    assert after(words, "--limit") == ["70"], "what is left of it"
    assert not {"--prompts", "--retry", "--random-concept", "--max-cost"} & set(words)


def test_non_default_settings_become_options() -> None:
    caps = {"max_requests": None, "max_tokens": None, "max_cost": 2.5}
    words = resume_arguments(run(done=100, caps=caps, retry=True), known(prompts_p1="official"))
    assert after(words, "--max-cost") == ["2.5"], "going on lifts no cap"
    assert after(words, "--prompts") == ["negwb-p1-1"]
    assert "--retry" in words
    assert after(words, "--limit") == ["100"]
    own = resume_arguments(run(recipe=RECIPE | {"random_concept": True}, limit=None), known(prompts_p1="mine.toml"))
    assert "--random-concept" in own
    assert "--allow-blind" not in own
    assert "--allow-blind" in resume_arguments(run(allow_blind=True), known())
    assert not {"--limit", "--prompts"} & set(own)


@pytest.mark.parametrize(
    ("row", "settings", "message"),
    [
        (run(StopReason.BUDGET), known(), "has spent its budget"),
        (run(), known("llama", "clip"), "no engine 'llava'"),
        (run(pipeline="judge"), known(), "cannot be resumed here"),
        (run(recipe={}), known(), "cannot be resumed here"),
        (run(pipeline=["x"], recipe=3), known(), "cannot be resumed here"),
    ],
)
def test_a_run_that_cannot_be_resumed_gives_the_reason(
    row: GenerationRunRow, settings: GenerateSettings, message: str
) -> None:
    with pytest.raises(NegwbError, match=message):
        resume_arguments(row, settings)


def test_arguments_of_a_generation_order() -> None:
    assert GenerationOrder(pipeline="P2", limit=20).arguments == ["--pipeline", "P2", "--limit", "20"]
    assert GenerationOrder(pipeline="P1", limit=None).arguments == ["--pipeline", "P1"]
