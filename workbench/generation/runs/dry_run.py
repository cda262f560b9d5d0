"""A dry run: the prompts that would be sent and what they would cost, with made-up answers in between. Asks nothing."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection

from curation_db.enums import Method, Stage
from curation_db.generation import answer_cache as memory
from curation_db.generation import runs
from curation_db.language.clip_tokenizer import count_tokens
from curation_db.storage.store import Store
from workbench.generation.engines.protocol import StoreAnswer
from workbench.generation.engines.requests import AnswerFormat, ModelAnswer, ModelRequest
from workbench.generation.models import EngineRequest, Steps
from workbench.generation.pipelines.registry import steps_of
from workbench.generation.runs.plan import GenerationPlan
from workbench.generation.runs.record_writer import RecordWriter
from workbench.generation.runs.session import GenerationOptions, scope_of
from workbench.generation.runs.work_source import read_image_tasks
from workbench.workspace.engine_settings import EngineSettings
from workbench.workspace.picture_folders import PictureFolders

_SAMPLE: Final = 50
"""Pictures that are gone through; the estimate for the rest is their mean."""
_ANSWER_TOKENS: Final[Mapping[Stage, int]] = {Stage.PROPOSE: 4, Stage.REWRITE: 24}
"""What answers are taken for in the estimate; yes and no are one."""
_CHAT_TOKENS: Final = 8
"""Per message, for a chat template's own words."""


@dataclass(slots=True)
class EngineCost:
    """What an engine would be asked."""

    requests: float = 0
    remembered: float = 0
    """Answered before: they cost nothing."""
    prompt_tokens: float = 0
    completion_tokens: float = 0
    money: float | None = None

    def scaled(self, factor: float) -> EngineCost:
        """For more pictures."""
        return EngineCost(
            self.requests * factor,
            self.remembered * factor,
            self.prompt_tokens * factor,
            self.completion_tokens * factor,
            None if self.money is None else self.money * factor,
        )


@dataclass(slots=True)
class DryRun:
    """What a run would be."""

    items: int
    """To be done, within the limit."""
    sampled: int
    """Of which so many were gone through."""
    shown: list[EngineRequest] = field(default_factory=list)
    """All requests for the first picture."""
    costs: dict[str, EngineCost] = field(default_factory=dict)
    """By engine, for all items."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        # fmt: off
        return {
            "items": self.items,
            "sampled": self.sampled,
            "engines": {
                name: {
                    "requests": round(cost.requests), "remembered": round(cost.remembered),
                    "prompt_tokens": round(cost.prompt_tokens), "completion_tokens": round(cost.completion_tokens),
                    "cost": None if cost.money is None else round(cost.money, 6),
                }
                for name, cost in sorted(self.costs.items())
            },
            "requests": [
                {
                    "engine": each.engine, "stage": str(each.request.stage), "prompt": each.request.prompt,
                    "messages": [{"role": m.role, "text": m.text} for m in each.request.messages],
                    "picture": each.request.picture.key if each.request.picture else None,
                    "temperature": each.request.sampling.temperature, "top_p": each.request.sampling.top_p,
                    "max_tokens": each.request.sampling.max_tokens, "seed": each.request.sampling.seed,
                }
                for each in self.shown
            ],
        }
        # fmt: on


class _UnopenedEngine:
    """Stands for an engine that is not opened: only its model's name is asked for."""

    simulated = False
    capacity = 1

    def __init__(self, model: str) -> None:
        self.model = model

    async def answer(self, group: Sequence[ModelRequest], store_answer: StoreAnswer) -> None:
        raise AssertionError("a rehearsal asks nobody")

    async def close(self) -> None:
        """Nothing is open."""


def estimate_run(
    store: Store,
    plan: GenerationPlan,
    options: GenerationOptions,
    folders: PictureFolders,
    *,
    progress: Callable[[str, int, int], None] = lambda name, done, total: None,
) -> DryRun:
    """Go through the first pictures, and say what all of them would ask."""
    return asyncio.run(_estimate_run(store, plan, options, folders, progress))


async def _estimate_run(
    store: Store,
    plan: GenerationPlan,
    options: GenerationOptions,
    folders: PictureFolders,
    progress: Callable[[str, int, int], None],
) -> DryRun:
    writer = RecordWriter(store)
    try:
        known = await writer.read(_models)
        stands = {name: _UnopenedEngine(known.get(name) or each.model or name) for name, each in plan.engines.items()}
        recipe = plan.recipe(stands)
        scope = scope_of(plan, recipe, options)
        total = await writer.read(scope.count)
        told = DryRun(math.ceil(total / options.shard.of), 0)
        if options.limit is not None:
            told.items = min(told.items, options.limit)
        costs, done = {name: EngineCost() for name in plan.engines}, 0
        async for image_task in read_image_tasks(writer, scope, folders, shard=options.shard, limit=options.limit):
            requests = await _requests_of(steps_of(image_task, recipe, plan.prompts), plan, writer, stands, costs)
            told.shown = told.shown or requests
            told.sampled += len(image_task.wanted)
            done += 1
            progress("pictures gone through", done, _SAMPLE)
            if done >= _SAMPLE:
                break
    finally:
        await asyncio.to_thread(writer.close)
    factor = told.items / told.sampled if told.sampled else 0.0
    told.costs = {name: cost.scaled(factor) for name, cost in costs.items()}
    return told


def _models(connection: Connection) -> dict[str, str]:
    """What each engine ran when it was last open, which no setting need tell: by it, what is done is known."""
    found: dict[str, str] = {}
    for run in runs.list_runs(connection):
        recipe = run.settings.get("recipe")
        models = recipe.get("models") if isinstance(recipe, Mapping) else None
        for name, model in models.items() if isinstance(models, Mapping) else ():
            found.setdefault(str(name), str(model))
    return found


async def _requests_of(
    steps: Steps,
    plan: GenerationPlan,
    writer: RecordWriter,
    stands: Mapping[str, _UnopenedEngine],
    costs: Mapping[str, EngineCost],
) -> list[EngineRequest]:
    """All requests of a unit whose concepts turn out to be absent."""
    seen: list[EngineRequest] = []
    asked: Counter[bytes] = Counter()
    try:
        requests = next(steps)
        while True:
            answers = []
            keys = [each.request.key(stands[each.engine].model) for each in requests]
            known = await writer.read(partial(memory.load_answers, keys=keys))
            for key, request in zip(keys, requests, strict=True):
                seen.append(request)
                if not asked[key]:
                    _count(
                        request.request, plan.engines[request.engine], costs[request.engine], remembered=key in known
                    )
                asked[key] += 1
                answers.append(_made_up(request.request))
            requests = steps.send(tuple(answers))
    except StopIteration:
        return seen
    finally:
        steps.close()


def _count(ask: ModelRequest, settings: EngineSettings, cost: EngineCost, *, remembered: bool) -> None:
    if remembered:
        cost.remembered += 1
        return
    prompt = sum(count_tokens(message.text) + _CHAT_TOKENS for message in ask.messages)
    prompt += settings.picture_tokens if ask.picture else 0
    said = _ANSWER_TOKENS.get(ask.stage, 1)
    cost.requests += 1
    cost.prompt_tokens += prompt
    cost.completion_tokens += said
    if settings.price_in is not None or settings.price_out is not None:
        money = (prompt * (settings.price_in or 0.0) + said * (settings.price_out or 0.0)) / 1e6
        cost.money = (cost.money or 0.0) + money


def _made_up(ask: ModelRequest) -> ModelAnswer:
    """What a model might say, so that the next stage can be shown."""
    if ask.answer_format is AnswerFormat.YES_NO:
        p = 0.9 if ask.stage is Stage.ACCEPTABLE else 0.1
        return ModelAnswer(text="yes" if p > 0.5 else "no", p=p, label_mass=1.0, method=Method.BARE)
    if ask.stage is Stage.PROPOSE:
        return ModelAnswer(text="unicycle")
    concept = ask.facts.get("concept", "unicycle")
    return ModelAnswer(text=f"{ask.facts.get('caption', 'a picture')} with no {concept}")
