"""Engine without a model: a scripted proposer and two simulated judges, for the demo, tests and dry runs.

The engine reads `ModelRequest.facts`, not the prompts. Its judges know the scenes of the demo and err at fixed rates;
about any other image they answer that they cannot tell. An answer depends only on the request and its seed.
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
from workbench.demo.simulation.judges import JUDGES, SimulatedJudge, ask_judge
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
from workbench.workspace.settings.engines import Edits, EngineSettings

MODEL: Final = "a script, not a model"
SOURCE: Final = "demo"
"""Source whose images are scenes of the demo."""
PICTURES: Final = "pictures"
"""Folder of the images in the workspace."""
TRUTH: Final = Path("corpus") / "truth.jsonl"
_CAPACITY: Final = 256
_CANNOT_TELL: Final = "I cannot tell: this picture is not of the drawn world."
_FILE: Final = re.compile(r"demo_(\d{1,9})\.jpg")
_BLANK_SHARES: Final = {"sim-judge-a (simulated)": (0.1, 0.4), "sim-judge-b (simulated)": (0.3, 0.6)}
"""Minimum and maximum of P(present) without an image; B has a higher prior."""


async def make(settings: EngineSettings, context: EngineContext) -> ScriptedEngine:
    """Make the scripted engine; options: judge ("a" or "b"), clumsy (share of rewrites with a flaw on purpose).

    Raises:
        UsageError: an unknown option or an invalid value.
    """
    options = dict(settings.options)
    is_named = "judge" in options
    judge = options.pop("judge", "a")
    clumsy = options.pop("clumsy", rewrites.CLUMSY)
    where = f"[engines.{settings.name}.options]"
    if judge not in {"a", "b"}:
        raise UsageError(f'{where} judge = {judge!r}: expected "a" or "b"')
    if isinstance(clumsy, bool) or not isinstance(clumsy, int | float) or not 0 <= clumsy <= 1:
        raise UsageError(f"{where} clumsy = {clumsy!r}: expected a share from 0 to 1")
    if options:
        raise UsageError(f"{where} has no {next(iter(options))!r}; known options: judge, clumsy")
    chosen = JUDGES[judge == "b"]
    model = f"{MODEL} ({chosen.name.removesuffix(' (simulated)')})" if is_named else MODEL
    return ScriptedEngine(model, chosen, float(clumsy), DrawnWorld(context.folder), context)


@dataclass(slots=True)
class DrawnWorld:
    """Scenes by image: from the workspace's truth file, else those of the default corpus."""

    folder: Path
    _scenes: dict[str, Scene] | None = field(default=None, init=False)

    def scene(self, image: ImagePayload | None) -> Scene | None:
        """Return the scene of an image, by its source or by its folder; None if the image is not of the demo."""
        if image is None:
            return None
        if image.key.startswith(f"{SOURCE}/"):
            name = _file_name(image)
        elif image.path is not None and image.path.resolve().parent == (self.folder / PICTURES).resolve():
            name = image.path.name  # an image that a benchmark reads as a file
        else:
            return None
        if self._scenes is None:
            self._scenes = _read_scenes(self.folder / TRUTH)
        if self._scenes:
            return self._scenes.get(name)
        match = _FILE.fullmatch(name)
        return make_scene(SEED * 1_000_000 + int(match[1])) if match else None


def _file_name(image: ImagePayload) -> str:
    key = image.key.split("/", 1)[1]
    if key.isascii() and key.isdecimal() and int(key) > 0:  # an image id of the corpus's COCO file
        return f"demo_{int(key) - 1:06d}.jpg"
    return key.rsplit("/", 1)[-1]


def _read_scenes(path: Path) -> dict[str, Scene]:
    if not path.is_file():
        return {}
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {row["file_name"]: Scene.from_dict(row["scene"]) for row in rows}


class ScriptedEngine:
    """Engine of the kind "scripted"; see the module docstring."""

    def __init__(
        self, model: str, judge: SimulatedJudge, clumsy: float, world: DrawnWorld, context: EngineContext
    ) -> None:
        self._model, self._judge = model, judge
        self._clumsy = clumsy
        self._world = world
        self._budget = context.budget

    @property
    def model(self) -> str:
        """Model name: says that the engine is a script, and which judge it is."""
        return self._model

    @property
    def simulated(self) -> bool:
        """Always true."""
        return True

    @property
    def capacity(self) -> int:
        """Maximum number of concurrent requests; answers take no time."""
        return _CAPACITY

    async def answer(self, group: Sequence[ModelRequest], store_answer: StoreAnswer) -> None:
        """Answer the requests one after another."""
        for index, request in enumerate(group):
            self._budget.reserve()
            answer = self.reply(request)
            self._budget.spend((answer.prompt_tokens or 0) + (answer.completion_tokens or 0), None)
            await store_answer(index, answer)

    async def close(self) -> None:
        """Do nothing: there are no resources to close."""

    def reply(self, request: ModelRequest) -> ModelAnswer:
        match request.stage:
            case Stage.PROPOSE:
                return _answer(request, self._proposal(request.facts, _rng(request)))
            case Stage.REWRITE:
                return _answer(request, self._rewrite(request.facts, _rng(request)))
            case Stage.PRIOR:
                return self._prior(request)
            case Stage.ACCEPTABLE:
                return self._acceptable(request)
        return self._presence(request)

    def _proposal(self, facts: Mapping[str, str], rng: random.Random) -> str:
        previous = [name for name in facts.get("found", "").split(", ") if name]
        concept = propose(facts.get("caption", ""), previous, rng, at_random="random" in facts)
        return as_chat_reply(concept, rng) if concept else "I have no other idea."

    def _rewrite(self, facts: Mapping[str, str], rng: random.Random) -> str:
        caption, concept = facts.get("caption", ""), concept_words(facts.get("concept", "") or "thing")
        parts = question_parts(facts["question"]) if "question" in facts else None
        text = rewrites.rewrite(caption, concept, parts, facts.get("cue", ""), facts.get("position", ""), rng)
        if rng.random() < self._clumsy:
            return rewrites.clumsy(text, caption, concept, rng)
        return rewrites.as_chat_reply(text, rng)

    def _presence(self, request: ModelRequest) -> ModelAnswer:
        scene = self._world.scene(request.picture)
        try:
            verdict = ask_judge(self._judge, scene, request.facts.get("concept", "")) if scene else None
        except ValueError:  # a concept that the demo world does not know
            verdict = None
        return _answer(request, _CANNOT_TELL) if verdict is None else _answer(request, verdict.text, verdict.p_present)

    def _acceptable(self, request: ModelRequest) -> ModelAnswer:
        """Answer P(acceptable): 1 - P(present), at most 0.2 if a rewrite check fails."""
        presence = self._presence(request)
        if presence.p is None:
            return presence
        text, caption = request.facts.get("text", ""), CaptionItem(0, "", request.facts.get("original", ""))
        image = request.picture or ImagePayload(key="")
        task = ImageTask(picture=image, source_id=0, source="", captions=(caption,), wanted=frozenset(), objects={})
        check = check_rewrite(task, caption, text, request.facts.get("concept"), denies_thing=False, edits=Edits.FREE)
        fails = not check.ok and not (check.rule == Rule.UNCHANGED and not caption.text)
        p = round(min(1 - presence.p, 0.2 if fails else 1.0), 3)
        return _answer(request, "Yes." if p >= 0.5 else "No.", p)

    def _prior(self, request: ModelRequest) -> ModelAnswer:
        """Answer P(present) without the image: a hash of judge and concept, within the judge's range."""
        concept = request.facts.get("concept", "")
        try:
            make_scene(0).has(concept)
        except ValueError:
            return _answer(request, _CANNOT_TELL)
        low, high = _BLANK_SHARES[self._judge.name]
        draw = seed_of("blank", self._judge.name, concept) / 2**31
        p = round(low + (high - low) * draw, 3)
        return _answer(request, "Yes." if p >= 0.5 else "No.", p)


def _rng(request: ModelRequest) -> random.Random:
    return random.Random(seed_of(request.stage, request.sampling.seed, request.subject))


def _answer(request: ModelRequest, text: str, p: float | None = None) -> ModelAnswer:
    """Build the answer; the number of words stands for the number of tokens."""
    return ModelAnswer(
        text=text,
        p=p,
        label_mass=None if p is None else 1.0,
        method=None if p is None else Method.SCORE,
        prompt_tokens=sum(len(message.text.split()) for message in request.messages),
        completion_tokens=len(text.split()),
        latency_ms=0.0,
    )
