"""The engine without a model: a scripted proposer and two scripted judges, for the drawn world, tests and rehearsals.

It does not read prompts; it works from `ModelRequest.facts`. Its judges know the drawn world (`workbench.demo`) and
err at their stated rates; of any other picture they say that they cannot tell. Everything is a function of the
question and seed.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from curation_db.enums import Method, Stage
from curation_db.lint.linter import Rule
from workbench.demo.simulation import scripted_rewrites as rewrites
from workbench.demo.simulation.corpus import SEED
from workbench.demo.simulation.judges import JUDGES, SimulatedJudge
from workbench.demo.simulation.judges import ask_judge as judge_says
from workbench.demo.simulation.scripted_proposals import as_chat_reply, propose
from workbench.demo.world.world import Scene, make_scene
from workbench.errors import UsageError
from workbench.generation.engines.protocol import EngineContext, StoreAnswer
from workbench.generation.engines.requests import ImagePayload, ModelAnswer, ModelRequest
from workbench.generation.models import CaptionItem, ImageTask
from workbench.generation.pipelines.proposals import concept_words
from workbench.generation.pipelines.rewrite_checks import check_rewrite
from workbench.generation.pipelines.vqa_questions import question_parts
from workbench.generation.prompts.cue_mix import seed_of
from workbench.workspace.engine_settings import EngineSettings

MODEL: Final = "a script, not a model"
SOURCE: Final = "demo"
"""Pictures of this source are looked for in the drawn world."""
TRUTH: Final = Path("corpus") / "truth.jsonl"
_CAPACITY: Final = 256
_CANNOT_TELL: Final = "I cannot tell: this picture is not of the drawn world."
_FILE: Final = re.compile(r"demo_(\d{1,9})\.jpg")
_BLANK_SHARES: Final = {"sim-judge-a (simulated)": (0.1, 0.4), "sim-judge-b (simulated)": (0.3, 0.6)}
"""What P(present) they give without a picture: least and most; B expects things to be there."""


async def make(settings: EngineSettings, context: EngineContext) -> ScriptedEngine:
    """The scripted engine; options: judge ("a" or "b"), clumsy (share of rewrites broken on purpose).

    Raises:
        UsageError: an option that there is not.
    """
    options = dict(settings.options)
    named = "judge" in options
    judge = options.pop("judge", "a")
    clumsy = options.pop("clumsy", rewrites.CLUMSY)
    where = f"[engines.{settings.name}.options]"
    if judge not in {"a", "b"}:
        raise UsageError(f'{where} judge = {judge!r}: "a" or "b" is expected')
    if isinstance(clumsy, bool) or not isinstance(clumsy, int | float) or not 0 <= clumsy <= 1:
        raise UsageError(f"{where} clumsy = {clumsy!r}: a share from 0 to 1 is expected")
    if options:
        raise UsageError(f"{where} has no {next(iter(options))!r}: judge and clumsy are known")
    chosen = JUDGES[judge == "b"]
    model = f"{MODEL} ({chosen.name.removesuffix(' (simulated)')})" if named else MODEL
    return ScriptedEngine(model, chosen, float(clumsy), DrawnWorld(context.folder), context)


@dataclass(slots=True)
class DrawnWorld:
    """The drawn world's scenes: as a workspace keeps them, or else as they are drawn by default."""

    folder: Path
    _scenes: dict[str, Scene] | None = field(default=None, init=False)

    def scene(self, picture: ImagePayload | None) -> Scene | None:
        """What a picture shows; None: it is not of the drawn world."""
        if picture is None or not picture.key.startswith(f"{SOURCE}/"):
            return None
        name = _file_name(picture)
        if self._scenes is None:
            self._scenes = _read_scenes(self.folder / TRUTH)
        if self._scenes:
            return self._scenes.get(name)
        found = _FILE.fullmatch(name)
        return make_scene(SEED * 1_000_000 + int(found[1])) if found else None


def _file_name(picture: ImagePayload) -> str:
    key = picture.key.split("/", 1)[1]
    if key.isascii() and key.isdecimal() and int(key) > 0:  # as its COCO file numbers them
        return f"demo_{int(key) - 1:06d}.jpg"
    return key.rsplit("/", 1)[-1]


def _read_scenes(path: Path) -> dict[str, Scene]:
    if not path.is_file():
        return {}
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {row["file_name"]: Scene.from_dict(row["scene"]) for row in rows}


class ScriptedEngine:
    """See the module."""

    def __init__(
        self, model: str, judge: SimulatedJudge, clumsy: float, world: DrawnWorld, context: EngineContext
    ) -> None:
        self._model, self._judge = model, judge
        self._clumsy = clumsy
        self._world = world
        self._budget = context.budget

    @property
    def model(self) -> str:
        """Says what it is, and which judge where one was named."""
        return self._model

    @property
    def simulated(self) -> bool:
        """It is."""
        return True

    @property
    def capacity(self) -> int:
        """As many as come: nothing is waited for."""
        return _CAPACITY

    async def answer(self, group: Sequence[ModelRequest], store_answer: StoreAnswer) -> None:
        """Answer each question in turn."""
        for index, ask in enumerate(group):
            self._budget.reserve()
            answer = self.say(ask)
            self._budget.spend((answer.prompt_tokens or 0) + (answer.completion_tokens or 0), None)
            await store_answer(index, answer)

    async def close(self) -> None:
        """Nothing is held."""

    def say(self, ask: ModelRequest) -> ModelAnswer:
        """The answer to one question."""
        match ask.stage:
            case Stage.PROPOSE:
                return _words(ask, self._proposal(ask.facts, _rng(ask)))
            case Stage.REWRITE:
                return _words(ask, self._rewrite(ask.facts, _rng(ask)))
            case Stage.PRIOR:
                return self._blind(ask)
            case Stage.ACCEPTABLE:
                return self._whole(ask)
        return self._presence(ask)

    def _proposal(self, facts: Mapping[str, str], rng: random.Random) -> str:
        found = [one for one in facts.get("found", "").split(", ") if one]
        concept = propose(facts.get("caption", ""), found, rng, at_random="random" in facts)
        return as_chat_reply(concept, rng) if concept else "I have no other idea."

    def _rewrite(self, facts: Mapping[str, str], rng: random.Random) -> str:
        caption, concept = facts.get("caption", ""), concept_words(facts.get("concept", "") or "thing")
        parts = question_parts(facts["question"]) if "question" in facts else None
        text = rewrites.rewrite(caption, concept, parts, facts.get("cue", ""), facts.get("position", ""), rng)
        if rng.random() < self._clumsy:
            return rewrites.clumsy(text, caption, concept, rng)
        return rewrites.as_chat_reply(text, rng)

    def _presence(self, ask: ModelRequest) -> ModelAnswer:
        scene = self._world.scene(ask.picture)
        try:
            said = judge_says(self._judge, scene, ask.facts.get("concept", "")) if scene else None
        except ValueError:  # a concept that the drawn world does not know
            said = None
        return _words(ask, _CANNOT_TELL) if said is None else _words(ask, said.text, said.p_present)

    def _whole(self, ask: ModelRequest) -> ModelAnswer:
        """True as far as the judge sees the concept, and well formed as far as the checks do."""
        seen = self._presence(ask)
        if seen.p is None:
            return seen
        text, caption = ask.facts.get("text", ""), CaptionItem(0, "", ask.facts.get("original", ""))
        # fmt: off
        unit = ImageTask(picture=ask.picture or ImagePayload(key=""), source_id=0, source="", captions=(caption,),
                    wanted=frozenset(), objects={})
        # fmt: on
        check = check_rewrite(unit, caption, text, ask.facts.get("concept"), denies_thing=False)
        bad = not check.ok and not (check.rule == Rule.UNCHANGED and not caption.text)
        p = round(min(1 - seen.p, 0.2 if bad else 1.0), 3)
        return _words(ask, "Yes." if p >= 0.5 else "No.", p)

    def _blind(self, ask: ModelRequest) -> ModelAnswer:
        concept = ask.facts.get("concept", "")
        try:
            make_scene(0).has(concept)
        except ValueError:
            return _words(ask, _CANNOT_TELL)
        least, most = _BLANK_SHARES[self._judge.name]
        luck = seed_of("blank", self._judge.name, concept) / 2**31
        p = round(least + (most - least) * luck, 3)
        return _words(ask, "Yes." if p >= 0.5 else "No.", p)


def _rng(ask: ModelRequest) -> random.Random:
    return random.Random(seed_of(ask.stage, ask.sampling.seed, ask.subject))


def _words(ask: ModelRequest, text: str, p: float | None = None) -> ModelAnswer:
    """Tokens are counted as words are."""
    return ModelAnswer(
        text=text,
        p=p,
        label_mass=None if p is None else 1.0,
        method=None if p is None else Method.SCORE,
        prompt_tokens=sum(len(message.text.split()) for message in ask.messages),
        completion_tokens=len(text.split()),
        latency_ms=0.0,
    )
