"""Tests of the scripted engine: answers, unknown images, and real captions."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from support.pipeline_driver import drive
from support.sugarcrepe import lint_yield, read_captions, sample, scripted, table

from curation_db.enums import ItemStatus, NegationType, Stage
from curation_db.language.negation_cues import find_cues
from curation_db.lint.minimal_edit import insertion_fault
from workbench.demo.experiment.exam_files import judged_rows
from workbench.demo.simulation.corpus import DemoImage as Drawn
from workbench.demo.simulation.corpus import make_corpus
from workbench.demo.simulation.judges import JUDGES, ask_judge
from workbench.demo.simulation.scripted_engine import DrawnWorld, make
from workbench.demo.simulation.scripted_rewrites import rewrite
from workbench.demo.world.world import make_scene
from workbench.errors import UsageError
from workbench.generation.budget import Budget, BudgetReached
from workbench.generation.engines.protocol import EngineContext
from workbench.generation.engines.requests import AnswerFormat, ImagePayload, ModelAnswer, ModelRequest, Sampling
from workbench.generation.models import CaptionItem, EngineRequest, ImageTask, ItemResult, QuestionItem
from workbench.generation.pipelines.object_absence import object_absence
from workbench.generation.pipelines.proposals import concept_words
from workbench.generation.pipelines.vqa_negation import vqa_negation
from workbench.generation.pipelines.vqa_questions import question_parts
from workbench.generation.prompts.cue_mix import CUES, POSITIONS
from workbench.generation.prompts.loader import find_prompts
from workbench.generation.recipe import Recipe
from workbench.workspace.settings.engines import ANNOTATIONS, EngineSettings, JudgeSettings, Pipeline

ENGINES = {"a": scripted(judge="a"), "b": scripted(judge="b")}
P1, P2 = find_prompts("negwb-p1-1"), find_prompts("negwb-p2-1")
RECIPE = Recipe(
    prompts=P1.version,
    proposer="a",
    judges=(JudgeSettings(name="a"), JudgeSettings(name="b"), JudgeSettings(name=ANNOTATIONS)),
    rewrites=1,
)

NOTHING_EXCLUDED = {"found": ""}
"""The prompt variable for concepts that are already excluded."""


def answer_of(request: EngineRequest) -> ModelAnswer:
    return ENGINES[request.engine].reply(request.request)


def request(stage: Stage, picture: str = "demo/1", seed: int = 1, **facts: str) -> ModelRequest:
    answer_format = AnswerFormat.TEXT if stage in {Stage.PROPOSE, Stage.REWRITE} else AnswerFormat.YES_NO
    # fmt: off
    return ModelRequest(
        stage=stage, answer_format=answer_format, prompt="x", messages=(), sampling=Sampling(seed=seed), subject="x",
        picture=ImagePayload(key=picture, blank=stage is Stage.PRIOR), facts=facts,
    )
    # fmt: on


def unit_of(drawn: Drawn, *questions: str) -> ImageTask:
    captions = tuple(
        CaptionItem(drawn.index * 10 + at, str(at), caption.text) for at, caption in enumerate(drawn.captions)
    )
    asked = tuple(QuestionItem(drawn.index * 10 + at, str(at), question) for at, question in enumerate(questions))
    return ImageTask(
        picture=ImagePayload(key=f"demo/{drawn.index + 1}"),
        source_id=1,
        source="demo",
        captions=captions,
        questions=asked,
        wanted=frozenset(one.item for one in (asked or captions)),
        objects={},
    )


@pytest.fixture(scope="module")
def generated() -> list[tuple[Drawn, ItemResult]]:
    """Generate for a hundred demo images with P1."""
    return [
        (drawn, outcome)
        for drawn in make_corpus(pictures=100)
        for outcome in drive(object_absence(unit_of(drawn), RECIPE, P1), answer_of).outcomes
    ]


def test_demo_images_give_candidates_and_some_are_false(generated: list[tuple[Drawn, ItemResult]]):
    draft = [(drawn, outcome.draft) for drawn, outcome in generated if outcome.draft is not None]
    assert len(draft) > 0.85 * len(generated)
    false = sum(drawn.scene.has(one.concept or "") for drawn, one in draft)
    assert 0.04 < false / len(draft) < 0.25
    assert {outcome.status for _, outcome in generated} <= {ItemStatus.KEPT, ItemStatus.DROPPED}


def test_its_judges_are_the_demo_judges(generated: list[tuple[Drawn, ItemResult]]):
    for drawn, outcome in generated:
        if outcome.draft is not None:
            data = {verdicts.judge: verdicts.p for verdicts in outcome.verdicts if verdicts.question == "present"}
            concept = outcome.draft.concept or ""
            assert data["a"] == ask_judge(JUDGES[0], drawn.scene, concept).p_present
            assert data["b"] == ask_judge(JUDGES[1], drawn.scene, concept).p_present


def test_rewrites_have_the_requested_cue_and_position(generated: list[tuple[Drawn, ItemResult]]):
    right: Counter[str] = Counter()
    total = 0
    for _, outcome in generated:
        if outcome.draft is not None:
            extra, cues = outcome.draft.extra, find_cues(outcome.draft.text)
            total += 1
            right["position"] += str(cues[0].position) == extra["asked_position"]
            word = {"lacking": "lack", "isn't": "not"}.get(extra["asked_cue"], extra["asked_cue"])
            right["cue"] += any(cue.word == word for cue in cues)
    assert right["cue"] > 0.97 * total
    assert right["position"] > 0.75 * total


@pytest.mark.parametrize("cue", CUES)
@pytest.mark.parametrize("position", POSITIONS)
def test_every_cue_can_be_written_at_every_position(cue: str, position: str):
    engine = scripted(clumsy=0)
    caption, concept = "A group of men standing around on a beach near the water.", "person"
    facts = {"caption": caption, "concept": concept, "cue": cue, "position": position}
    text = engine.reply(request(Stage.REWRITE, **facts)).text
    word = {"lacking": "lack", "isn't": "not", "no one": "no"}.get(cue, cue)
    (findings,) = [each for each in find_cues(text) if each.word == word]
    assert findings.position == position


@pytest.mark.parametrize("cue", [cue for cue in CUES if cue not in {"nobody", "no one"}])
@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize(
    "caption", ["A half eaten pastry on a plate.", "a half eaten pastry on a plate", "A dog runs!"]
)
def test_a_denial_is_of_the_scene_and_keeps_capital_and_full_stop(cue: str, position: str, caption: str):
    facts = {"caption": caption, "concept": "backpack", "cue": cue, "position": position}
    text = scripted(clumsy=0).reply(request(Stage.REWRITE, **facts)).text.removeprefix("Here is the edited caption: ")
    text = text.strip('"')
    assert (text[0].isupper(), text[-1].isalnum()) == (caption[0].isupper(), caption[-1].isalnum())
    assert insertion_fault(caption, text, "backpack") is None
    before = text.lower().partition("backpack")[0].split()
    attached = {"without", "lacking", "no", "never"} & set(before[-2:])
    assert not attached or re.search(r"in sight|in a scene", text.lower()), text


def test_a_denied_action_belongs_to_its_subject():
    concept, parts = concept_words("wearing a hat"), question_parts("Is the man wearing a hat?")
    text = rewrite("A bus parked near a man", concept, parts, "without", "end", random.Random(0))
    assert text == "A bus parked near a man, and the man is not wearing a hat"


def test_questions_become_denials_of_their_type():
    questions = ("Is there an umbrella?", "Is the man wearing a hat?", "Is the man in a red shirt?")
    recipe = replace(RECIPE, pipeline=Pipeline.P2, prompts=P2.version, rewrites=2)
    kinds = Counter(
        outcome.draft.negation_type
        for drawn in make_corpus(pictures=40)
        for outcome in drive(vqa_negation(unit_of(drawn, *questions), recipe, P2), answer_of).outcomes
        if outcome.draft
    )
    assert kinds[NegationType.ABSENCE] > 10
    assert len(kinds) >= 3


def test_judges_cannot_answer_about_other_images():
    for picture, concept in (("coco/7", "hat"), ("demo/1", "zebra"), ("demo/x.jpg", "hat")):
        answer = scripted().reply(request(Stage.PRESENCE, picture, concept=concept))
        assert answer.p is None
        assert "cannot tell" in answer.text
    assert scripted().reply(request(Stage.ACCEPTABLE, "coco/7", concept="hat", text="no hat", original="x")).p is None


def test_an_image_is_found_by_id_or_name_and_the_truth_file_has_precedence(tmp_path: Path):
    by_number = scripted().reply(request(Stage.PRESENCE, "demo/5", concept="hat"))
    assert by_number == scripted().reply(request(Stage.PRESENCE, "demo/demo_000004.jpg", concept="hat"))
    other = next(scene for seed in range(9) if (scene := make_scene(seed)).has("hat") is not _sees(by_number))
    (tmp_path / "corpus").mkdir()
    truth = {"file_name": "demo_000004.jpg", "scene": other.to_dict(), "decisions": {}}
    (tmp_path / "corpus" / "truth.jsonl").write_text(json.dumps(truth) + "\n", encoding="utf-8")
    engine = asyncio.run(
        make(EngineSettings(name="s", kind="scripted"), EngineContext(budget=Budget(), folder=tmp_path))
    )
    assert (
        engine.reply(request(Stage.PRESENCE, "demo/5", concept="hat")).p == ask_judge(JUDGES[0], other, "hat").p_present
    )
    assert engine.reply(request(Stage.PRESENCE, "demo/6", concept="hat")).p is None


def _sees(answer: ModelAnswer) -> bool:
    assert answer.p is not None
    return answer.p >= 0.5


def test_an_image_file_of_the_workspace_is_known_without_the_record(tmp_path: Path):
    scene = make_scene(7)
    folder = tmp_path / "pictures"
    folder.mkdir()
    (tmp_path / "corpus").mkdir()
    truth = {"file_name": "demo_000001.jpg", "scene": scene.to_dict()}
    (tmp_path / "corpus" / "truth.jsonl").write_text(json.dumps(truth) + "\n")
    world = DrawnWorld(tmp_path)
    key = f"sha256/{64 * 'a'}"
    assert world.scene(ImagePayload(key=key, path=folder / "demo_000001.jpg")) == scene
    assert world.scene(ImagePayload(key=key, path=tmp_path / "demo_000001.jpg")) is None
    assert world.scene(ImagePayload(key=key)) is None


def test_the_judges_understand_every_question_of_the_judged_exam():
    scene = make_scene(7)
    for _, denied, rest in judged_rows():
        for question in (denied, rest):
            parts = question_parts(question)
            assert parts is not None
            assert isinstance(scene.has(parts.concept or ""), bool), question


def test_acceptability_needs_a_true_and_well_formed_text():
    for drawn in make_corpus(pictures=20):
        caption = drawn.captions[0].text
        picture, thing = f"demo/{drawn.index + 1}", "umbrella"
        seen = scripted().reply(request(Stage.PRESENCE, picture, concept=thing)).p
        facts = {"concept": thing, "original": caption}
        fine = scripted().reply(
            request(Stage.ACCEPTABLE, picture, text=f"{caption}, and there is no umbrella", **facts)
        )
        chat = scripted().reply(request(Stage.ACCEPTABLE, picture, text=f"Sure! {caption} with no umbrella", **facts))
        assert seen is not None and fine.p is not None and chat.p is not None  # noqa: PT018
        assert fine.p == pytest.approx(1 - seen)
        assert chat.p <= 0.2


def test_without_an_image_the_judges_answer_their_prior():
    data = {name: engine.reply(request(Stage.PRIOR, concept="hat")).p for name, engine in ENGINES.items()}
    assert data["a"] is not None and data["b"] is not None  # noqa: PT018
    assert data["a"] < data["b"]
    assert scripted().reply(request(Stage.PRIOR, concept="zebra")).p is None


def test_a_seed_gives_the_same_answers_and_another_seed_others():
    verdicts = [
        scripted().reply(request(Stage.PROPOSE, seed=seed, caption="a man on a street", **NOTHING_EXCLUDED)).text
        for seed in range(40)
    ]
    again = [
        scripted().reply(request(Stage.PROPOSE, seed=seed, caption="a man on a street", **NOTHING_EXCLUDED)).text
        for seed in range(40)
    ]
    assert verdicts == again
    assert len(set(verdicts)) > 5


def test_the_model_name_says_script_and_the_budget_is_spent():
    budget = Budget(max_requests=2)
    engine = asyncio.run(make(EngineSettings(name="s", kind="scripted"), EngineContext(budget=budget)))
    assert engine.simulated
    assert "script" in engine.model
    assert engine.model != ENGINES["b"].model
    stored: list[int] = []

    async def store(index: int, answer: ModelAnswer) -> None:
        stored.append(index)

    with pytest.raises(BudgetReached):
        asyncio.run(engine.answer([request(Stage.PROPOSE, caption="a dog", **NOTHING_EXCLUDED)] * 3, store))
    assert stored == [0, 1]
    assert budget.requests == 2


@pytest.mark.parametrize("options", [{"judge": "c"}, {"clumsy": 2}, {"clumsy": True}, {"speed": 1}])
def test_unknown_options_are_refused(options: dict[str, object]):
    with pytest.raises(UsageError, match=r"\[engines.script.options\]"):
        scripted(**options)


def plain_captions() -> list[str]:
    """Return 400 sentences about things in an image."""
    who = ("a man", "a woman", "two children", "a brown dog", "a cat", "three birds", "an old couple", "a cyclist")
    does = ("is standing", "is sitting", "is waiting", "can be seen", "is resting")
    # fmt: off
    where = ("on a bench", "in a kitchen", "near a red bus", "beside a lake", "under a tree", "at a table",
             "on a sandy beach", "in front of a shop", "by a window", "on a snowy street")
    # fmt: on
    return [f"{one.capitalize()} {two} {three}." for one in who for two in does for three in where]


def test_captions_are_rewritten_and_the_checks_find_flawed_ones():
    counts = lint_yield(plain_captions())
    assert counts.total() == 400
    assert counts["kept"] > 0.9 * counts.total()
    results = {reason for reason in counts if reason.startswith("lint:")}
    assert {"lint:chatter", "lint:no-cue", "lint:double-negation"} <= results
    assert sum(counts[reason] for reason in results) < 0.08 * counts.total()


def test_real_captions_are_rewritten_and_the_checks_find_flawed_ones(shared_data: Path):
    folder = shared_data / "sugarcrepe"
    if not folder.is_dir():
        pytest.skip(f"no SugarCrepe at {folder}")
    counts = lint_yield(sample(read_captions(folder), 400))
    print(table(counts))  # noqa: T201
    assert counts["kept"] > 0.9 * counts.total()
    results = {reason for reason in counts if reason.startswith("lint:")}
    assert {"lint:chatter", "lint:no-cue", "lint:double-negation"} <= results
    assert sum(counts[reason] for reason in results) < 0.08 * counts.total()
