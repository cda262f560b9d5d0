"""Pipeline P1: propose, judge, propose again, rewrite, check, judge the whole; and the published variant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from support.pipeline_driver import Driven, drive, make_image_task

from curation_db.enums import ItemStatus, NegationType, Question, Stage
from workbench.generation.engines.requests import ModelAnswer
from workbench.generation.models import EngineRequest, ImageTask
from workbench.generation.pipelines.object_absence import object_absence
from workbench.generation.prompts.loader import find_prompts
from workbench.generation.recipe import Recipe
from workbench.workspace.settings.engines import ANNOTATIONS, Edits, JudgeRule, JudgeSettings, Mix, Prior, Unclear

OURS, PUBLISHED = find_prompts("negwb-p1-1"), find_prompts("negationclip-p1")
RECIPE = Recipe(prompts=OURS.version, proposer="llm", judges=(JudgeSettings(name="a"), JudgeSettings(name="b")))
OFFICIAL = replace(RECIPE, prompts=PUBLISHED.version, judges=(JudgeSettings(name="a"),), rule=JudgeRule.OFFICIAL)
SIBLINGS = ("a woman riding a horse in a field", "a lady on a brown horse", "horse and rider at dusk")


def without(request: EngineRequest) -> str:
    """A rewrite that is all right."""
    return f"{request.request.facts['caption']} without {request.request.facts['a_concept']}"


def oracle(
    *concepts: str, present: Mapping[str, object] | None = None, rewrite: Callable[[EngineRequest], object] = without
) -> Callable[[EngineRequest], object]:
    """Proposes `concepts` in turn (by what was found before); sees only what `present` says."""

    def answer(request: EngineRequest) -> object:
        facts = request.request.facts
        match request.request.stage:
            case Stage.PROPOSE:
                tried = len([one for one in facts["found"].split(", ") if one])
                return concepts[min(tried, len(concepts) - 1)]
            case Stage.PRESENCE | Stage.PRIOR:
                return (present or {}).get(facts["concept"], 0.1)
            case Stage.REWRITE:
                return rewrite(request)
        return 0.9

    return answer


def run(
    answers: Callable[[EngineRequest], object], image_task: ImageTask | None = None, recipe: Recipe = RECIPE
) -> Driven:
    prompts = PUBLISHED if recipe.rule is JudgeRule.OFFICIAL else OURS
    return drive(object_absence(image_task or make_image_task(), recipe, prompts), answers)  # type: ignore[arg-type]


def test_an_absent_concept_is_negated():
    driven = run(oracle("An Umbrella."))
    (outcome,) = driven.outcomes
    assert outcome.status is ItemStatus.KEPT
    assert outcome.draft is not None
    assert outcome.draft.text == "a woman riding a horse in a field without an umbrella"
    assert (outcome.draft.concept, outcome.draft.negation_type) == ("umbrella", NegationType.ABSENCE)
    assert set(outcome.draft.extra) == {"mix", "asked_cue", "asked_position"}
    assert [(verdicts.judge, verdicts.question) for verdicts in outcome.verdicts] == [
        ("a", Question.PRESENT),
        ("b", Question.PRESENT),
        ("a", Question.ACCEPTABLE),
        ("b", Question.ACCEPTABLE),
    ]
    assert driven.of(Stage.PRESENCE)[0].request.messages[-1].text == (
        "Is there an umbrella in this picture? Answer yes or no."
    )


def test_all_judges_judge_all_distinct_concepts_of_an_image_in_one_group():
    driven = run(oracle("hat"), make_image_task(SIBLINGS))
    assert [len(group) for group in driven.groups] == [3, 2, 3, 6]
    assert [request.engine for request in driven.groups[1]] == ["a", "b"]
    assert len(driven.outcomes) == 3


def test_present_concepts_lead_to_new_proposals_up_to_the_limit():
    driven = run(oracle("tree", "fence", "hat", present={"tree": 0.9, "fence": 0.8}))
    (outcome,) = driven.outcomes
    assert (outcome.attempts, outcome.draft and outcome.draft.concept) == (3, "hat")
    again = driven.of(Stage.PROPOSE)[2].request
    assert "tree, fence" in again.messages[-1].text
    assert again.messages[-1].text != driven.of(Stage.PROPOSE)[0].request.messages[-1].text
    assert len({request.request.sampling.seed for request in driven.of(Stage.PROPOSE)}) == 3

    (outcome,) = run(oracle("tree", present={"tree": 1.0}), recipe=replace(RECIPE, attempts=1)).outcomes
    assert (outcome.status, outcome.reason, outcome.attempts) == (ItemStatus.DROPPED, "present", 1)


def test_only_captions_with_a_present_concept_propose_again():
    def answers(request: EngineRequest) -> object:
        if request.request.stage == Stage.PROPOSE:
            return "hat" if "dusk" in request.request.facts["caption"] or request.request.facts["found"] else "tree"
        return oracle(present={"tree": True})(request)

    driven = run(answers, make_image_task(SIBLINGS))
    assert [len(driven.of(stage)) for stage in (Stage.PROPOSE, Stage.PRESENCE)] == [5, 4]
    assert {outcome.status for outcome in driven.outcomes} == {ItemStatus.KEPT}
    assert sorted(outcome.attempts for outcome in driven.outcomes) == [1, 2, 2]


@pytest.mark.parametrize(("word", "why"), [("I'm sorry, I can't.", "refusal"), ("a, b", "list"), ("", "empty")])
def test_an_answer_without_noun_names_no_concept(word: str, why: str):
    driven = run(oracle(word))
    (outcome,) = driven.outcomes
    assert (outcome.status, outcome.reason, outcome.attempts) == (ItemStatus.DROPPED, "no-concept", 3)
    assert outcome.detail.startswith(why)
    assert not driven.of(Stage.PRESENCE)


def test_a_concept_of_the_caption_is_not_judged():
    driven = run(oracle("horse", "hat"))
    assert [request.request.facts["concept"] for request in driven.of(Stage.PRESENCE)] == ["hat", "hat"]


def test_unclear_is_never_absent_but_can_be_left_to_annotators():
    unsure = oracle("hat", present={"hat": None})
    assert run(unsure).outcomes[0].status is ItemStatus.KEPT
    dropped = run(unsure, recipe=replace(RECIPE, unclear=Unclear.DROP)).outcomes[0]
    assert (dropped.status, dropped.reason) == (ItemStatus.DROPPED, "unclear")


def test_a_rejected_rewrite_is_requested_again_with_another_seed():
    def rewrite(request: EngineRequest) -> str:
        seeds.append(request.request.sampling.seed)
        return request.request.facts["caption"] if len(seeds) == 1 else without(request)

    seeds: list[int | None] = []
    assert run(oracle("hat", rewrite=rewrite)).outcomes[0].status is ItemStatus.KEPT
    assert len(set(seeds)) == 2


@pytest.mark.parametrize(
    ("rewrite", "reason"),
    [
        ("{caption}", "lint:no-cue"),
        ("Sure! {caption} with no hat. Let me know!", "lint:chatter"),
        ("{caption} without a scarf", "lint:concept-lost"),
        ("{caption}, not without a hat", "lint:double-negation"),
        ("no hat", "lint:content-lost"),
        ("{caption} without a hat" + " and a hat" * 80, "lint:too-long"),
        ("x" * 5_000_000, "lint:too-long"),
        ("   ", "lint:empty"),
    ],
)
def test_a_rewrite_that_fails_the_checks_is_dropped_with_the_rule(rewrite: str, reason: str):
    driven = run(oracle("hat", rewrite=lambda request: rewrite.replace("{caption}", request.request.facts["caption"])))
    (outcome,) = driven.outcomes
    assert (outcome.status, outcome.reason) == (ItemStatus.DROPPED, reason)
    assert len(driven.of(Stage.REWRITE)) == RECIPE.rewrites
    assert len(outcome.detail) <= 300


@pytest.mark.parametrize("dress", ['"{}"', "Here is the edited caption: {}", 'Caption: "{}"', "“{}”"])
def test_labels_and_quotes_around_a_caption_are_removed(dress: str):
    (outcome,) = run(oracle("hat", rewrite=lambda request: dress.format(without(request)))).outcomes
    assert outcome.draft is not None
    assert outcome.draft.text == "a woman riding a horse in a field without a hat"


def test_a_rephrased_caption_is_kept_with_free_edits_and_by_the_published_rule():
    rephrased = oracle("hat", rewrite=lambda _: "without a hat, a lady rides her horse in a field")
    (outcome,) = run(rephrased).outcomes
    assert (outcome.status, outcome.reason) == (ItemStatus.DROPPED, "lint:minimal-edit")
    free = replace(RECIPE, edits=Edits.FREE)
    assert free.hash != RECIPE.hash
    for recipe in (free, OFFICIAL):
        assert run(rephrased, recipe=recipe).outcomes[0].status is ItemStatus.KEPT


def test_a_negation_of_the_original_caption_does_not_count():
    image_task = make_image_task(["a horse without a saddle"])
    (outcome,) = run(oracle("hat", rewrite=lambda _: "a horse without a saddle and a hat"), image_task).outcomes
    assert outcome.reason == "lint:no-cue"


def test_a_bad_verdict_on_the_whole_caption_is_stored_with_the_candidate():
    def answers(request: EngineRequest) -> object:
        return 0.01 if request.request.stage == Stage.ACCEPTABLE else oracle("hat")(request)

    (outcome,) = run(answers).outcomes
    assert outcome.status is ItemStatus.KEPT
    assert [verdicts.p for verdicts in outcome.verdicts if verdicts.question is Question.ACCEPTABLE] == [0.01, 0.01]


@pytest.mark.parametrize("stage", [Stage.PROPOSE, Stage.PRESENCE, Stage.REWRITE, Stage.ACCEPTABLE])
def test_a_failed_answer_fails_only_its_item(stage: Stage):
    def answers(request: EngineRequest) -> object:
        about = "dusk" in request.request.subject or request.request.facts.get("concept") == "saddle"
        if request.request.stage == stage and about:
            return ModelAnswer(error="timeout", detail="after 120 s")
        if request.request.stage == Stage.PROPOSE:
            return "saddle" if "dusk" in request.request.facts["caption"] else "hat"
        return oracle("hat")(request)

    outcomes = run(answers, make_image_task(SIBLINGS)).outcomes
    assert [outcome.status for outcome in outcomes] == [ItemStatus.KEPT, ItemStatus.KEPT, ItemStatus.FAILED]
    assert (outcomes[2].reason, outcomes[2].detail) == ("failed:timeout", "after 120 s")


@pytest.mark.parametrize("stage", [Stage.PROPOSE, Stage.REWRITE])
def test_an_unfinished_answer_is_requested_again_with_another_seed(stage: Stage):
    seeds: list[int | None] = []

    def endless(times: int) -> Callable[[EngineRequest], object]:
        def answers(request: EngineRequest) -> object:
            if request.request.stage != stage:
                return oracle("hat")(request)
            seeds.append(request.request.sampling.seed)
            return ModelAnswer(error="too-long") if len(seeds) <= times else oracle("hat")(request)

        return answers

    (outcome,) = run(endless(1)).outcomes
    assert outcome.status is ItemStatus.KEPT
    assert len(set(seeds)) == 2
    seeds.clear()
    (outcome,) = run(endless(99)).outcomes
    assert (outcome.status, outcome.reason) == (ItemStatus.FAILED, "failed:too-long")


@pytest.mark.parametrize("stage", [Stage.PRESENCE, Stage.ACCEPTABLE])
def test_a_failed_judge_only_loses_its_verdict(stage: Stage):
    def answers(request: EngineRequest) -> object:
        if request.engine == "b" and request.request.stage == stage:
            return ModelAnswer(error="timeout")
        return oracle("hat")(request)

    (outcome,) = run(answers).outcomes
    assert outcome.status is ItemStatus.KEPT
    assert len(outcome.verdicts) == 3


def test_judges_get_their_questions_only_and_priors_on_request():
    judges = (JudgeSettings(name="a", questions=frozenset({Question.PRESENT})), JudgeSettings(name=ANNOTATIONS))
    recipe = replace(RECIPE, judges=judges, prior=Prior.STORE)
    driven = run(oracle("hat", present={"hat": 0.2}), recipe=recipe)
    assert [request.request.stage for request in driven.groups[1]] == [Stage.PRESENCE, Stage.PRIOR]
    seen, blank = (request.request.picture for request in driven.groups[1])
    assert seen is not None and not seen.blank  # noqa: PT018
    assert blank is not None and blank.blank  # noqa: PT018
    assert not driven.of(Stage.ACCEPTABLE)
    (outcome,) = driven.outcomes
    assert [(verdicts.judge, verdicts.prior) for verdicts in outcome.verdicts] == [("a", 0.2), (ANNOTATIONS, None)]


def test_the_random_concept_ablation_requests_any_object():
    driven = run(oracle("hat"), recipe=replace(RECIPE, random_concept=True))
    assert driven.of(Stage.PROPOSE)[0].request.messages[-1].text.startswith("Name any concrete")


def test_the_requested_cue_and_position_are_in_the_prompt():
    driven = run(oracle("hat"), make_image_task(SIBLINGS))
    for request, outcome in zip(driven.of(Stage.REWRITE), driven.outcomes, strict=True):
        assert outcome.draft is not None
        assert request.request.facts["cue"] == outcome.draft.extra["asked_cue"]
        assert outcome.draft.extra["asked_position"] in request.request.messages[-1].text
    free = run(oracle("hat"), recipe=replace(RECIPE, mix=Mix.FREE))
    assert "whatever word of denial" in free.of(Stage.REWRITE)[0].request.messages[-1].text


def test_equal_runs_send_equal_requests_and_another_seed_others():
    first, second = (run(oracle("tree", "hat", present={"tree": True}), make_image_task(SIBLINGS)) for _ in range(2))
    assert first == second
    other = run(oracle("tree", "hat", present={"tree": True}), make_image_task(SIBLINGS), replace(RECIPE, seed=1))
    assert other.of(Stage.PROPOSE)[0].request.sampling.seed != first.of(Stage.PROPOSE)[0].request.sampling.seed


def test_unknown_items_are_reported():
    outcomes = run(oracle("hat"), make_image_task(wanted=["caption/1", "caption/77", "question/2"])).outcomes
    assert [(outcome.item, outcome.reason) for outcome in outcomes] == [
        ("caption/1", ""),
        ("caption/77", "not-here"),
        ("question/2", "not-here"),
    ]


def test_without_judges_annotators_decide_alone():
    driven = run(oracle("hat"), recipe=replace(RECIPE, judges=()))
    assert driven.outcomes[0].status is ItemStatus.KEPT
    assert [len(group) for group in driven.groups] == [1, 1]


@pytest.mark.parametrize(
    ("verdicts", "accepted"),
    [("yes", False), ("Yes, there is.", False), ("eyes", False), ("no", True), ("I cannot tell", True), ("", True)],
)
def test_the_published_rule_searches_for_yes_in_the_text(verdicts: str, accepted: bool):
    (outcome,) = run(oracle("Hat", present={"Hat": verdicts}), recipe=OFFICIAL).outcomes
    assert (outcome.status is ItemStatus.KEPT) is accepted
    assert outcome.reason == ("" if accepted else "present")


def test_the_published_rule_takes_a_concept_verbatim_without_checks():
    driven = run(oracle("An Umbrella, Hat.", rewrite=lambda _: " Sure! nothing changed. "), recipe=OFFICIAL)
    (outcome,) = driven.outcomes
    assert outcome.draft is not None
    assert outcome.draft.text == "Sure! nothing changed"
    assert outcome.draft.extra["mix"] == "free"
    assert outcome.draft.concept == "An Umbrella, Hat"
    presence = driven.of(Stage.PRESENCE)[0].request
    assert presence.raw is not None
    assert "Is there An Umbrella, Hat in this image?" in presence.raw
    assert [len(group) for group in driven.groups] == [1, 1, 1]


def test_a_present_concept_of_one_caption_is_excluded_for_the_others():
    def answers(request: EngineRequest) -> object:
        if request.request.stage == Stage.PROPOSE and not request.request.facts["found"]:
            return "tree" if "dusk" in request.request.facts["caption"] else "sorry"
        return oracle("x", "hat", present={"tree": True})(request)

    driven = run(answers, make_image_task(SIBLINGS))
    assert [request.request.facts["found"] for request in driven.of(Stage.PROPOSE)] == [
        "",
        "",
        "",
        "tree",
        "tree",
        "tree",
    ]


def test_prompts_without_cue_store_no_requested_cue():
    (outcome,) = drive(object_absence(make_image_task(), RECIPE, PUBLISHED), oracle("hat")).outcomes  # type: ignore[arg-type]
    assert outcome.draft is not None
    assert outcome.draft.extra == {"mix": "free", "asked_cue": "", "asked_position": ""}


def test_the_published_prompt_is_unchanged_in_every_attempt():
    driven = drive(object_absence(make_image_task(), RECIPE, PUBLISHED), oracle("tree", "hat", present={"tree": True}))  # type: ignore[arg-type]
    first, second = (request.request for request in driven.of(Stage.PROPOSE))
    assert first.messages == second.messages
    assert first.sampling.seed != second.sampling.seed
