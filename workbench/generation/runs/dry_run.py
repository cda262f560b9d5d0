"""Dry run: the prompts of a run and an estimate of its cost, computed with placeholder answers. Sends no request."""

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
from curation_db.generation import endpoint_probes, runs
from curation_db.language.clip_tokenizer import count_tokens
from curation_db.storage.store import Store
from workbench.generation.engines.answer_identity import AnswerIdentity, RequestKind, settings_in_use
from workbench.generation.engines.openai.probing.capabilities import ProbedCapabilities
from workbench.generation.engines.protocol import StoreAnswer
from workbench.generation.engines.requests import AnswerFormat, ModelAnswer, ModelRequest
from workbench.generation.models import EngineRequest, Steps
from workbench.generation.pipelines.registry import steps_of
from workbench.generation.runs.blind_judges import check_sight
from workbench.generation.runs.plan import GenerationPlan
from workbench.generation.runs.record_writer import RecordWriter
from workbench.generation.runs.session import GenerationOptions, probes_of, scope_of
from workbench.generation.runs.work_source import read_image_tasks
from workbench.workspace.picture_folders import PictureFolders
from workbench.workspace.settings.engines import EngineSettings
from workbench.workspace.settings.server_address import plain_url

_SAMPLE: Final = 50
"""Images that are simulated; their mean is the estimate for the others."""
_ANSWER_TOKENS: Final[Mapping[Stage, int]] = {Stage.PROPOSE: 4, Stage.REWRITE: 24}
"""Assumed tokens of an answer; yes-or-no answers have one."""
_CHAT_TOKENS: Final = 8
"""Assumed tokens of the chat template per message."""


@dataclass(slots=True)
class EngineCost:
    """Estimated requests to an engine and their cost."""

    requests: float = 0
    remembered: float = 0
    """Requests whose answers are in the cache; they cost nothing."""
    prompt_tokens: float = 0
    completion_tokens: float = 0
    money: float | None = None

    def scaled(self, factor: float) -> EngineCost:
        """Return the estimate for `factor` times as many images."""
        return EngineCost(
            self.requests * factor,
            self.remembered * factor,
            self.prompt_tokens * factor,
            self.completion_tokens * factor,
            None if self.money is None else self.money * factor,
        )


@dataclass(slots=True)
class DryRun:
    """Estimate of a run."""

    items: int
    """Items to process, within the limit."""
    sampled: int
    """Items that were simulated."""
    first_requests: list[EngineRequest] = field(default_factory=list)
    """All requests about the first image."""
    costs: dict[str, EngineCost] = field(default_factory=dict)
    """Engine name to the estimate for all items."""

    def to_dict(self) -> dict[str, Any]:
        """Return the estimate as JSON values."""
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
                for each in self.first_requests
            ],
        }
        # fmt: on


class _UnopenedEngine:
    """Placeholder of an engine that is not opened."""

    simulated = False
    capacity = 1

    def __init__(self, model: str, settings: EngineSettings, capabilities: ProbedCapabilities | None) -> None:
        self.model = model
        self._settings, self._capabilities = settings, capabilities

    def answer_settings(self, kind: RequestKind) -> dict[str, Any]:
        """Return the values that the opened engine would use in place of its settings."""
        return settings_in_use(self._settings, self._capabilities, kind)

    async def answer(self, group: Sequence[ModelRequest], store_answer: StoreAnswer) -> None:
        raise AssertionError("a dry run sends no request")

    async def close(self) -> None:
        """Do nothing."""


def estimate_run(
    store: Store,
    plan: GenerationPlan,
    options: GenerationOptions,
    folders: PictureFolders,
    *,
    progress: Callable[[str, int, int], None] = lambda name, done, total: None,
) -> DryRun:
    """Simulate the pipeline on the first images and estimate the requests of the whole run."""
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
        unopened = await writer.read(partial(_unopened_engines, plan))
        check_sight(plan, {name: engine.model for name, engine in unopened.items()}, probes_of(store))
        identities = plan.identities(unopened)
        recipe = plan.recipe(identities)
        scope = scope_of(plan, recipe, options)
        total = await writer.read(scope.count)
        report = DryRun(math.ceil(total / options.shard.of), 0)
        if options.limit is not None:
            report.items = min(report.items, options.limit)
        costs, done = {name: EngineCost() for name in plan.engines}, 0
        async for image_task in read_image_tasks(writer, scope, folders, shard=options.shard, limit=options.limit):
            requests = await _requests_of(steps_of(image_task, recipe, plan.prompts), plan, writer, identities, costs)
            report.first_requests = report.first_requests or requests
            report.sampled += len(image_task.wanted)
            done += 1
            progress("images simulated", done, _SAMPLE)
            if done >= _SAMPLE:
                break
    finally:
        await asyncio.to_thread(writer.close)
    factor = report.items / report.sampled if report.sampled else 0.0
    report.costs = {name: cost.scaled(factor) for name, cost in costs.items()}
    return report


def _unopened_engines(plan: GenerationPlan, connection: Connection) -> dict[str, _UnopenedEngine]:
    known = _models(connection)
    models = {
        name: (each.model if each.kind == "openai" else "") or known.get(name) or each.model or name
        for name, each in plan.engines.items()
    }
    return {
        name: _UnopenedEngine(
            models[name], each, endpoint_probes.read_probe(connection, plain_url(each.url), models[name])
        )
        for name, each in plan.engines.items()
    }


def _models(connection: Connection) -> dict[str, str]:
    """Return the model of each engine in its last run: settings may not name it, or without the hash of its weights,
    but the recipe's hash needs it."""
    latest: dict[str, str] = {}
    for run in runs.list_runs(connection):
        recipe = run.settings.get("recipe")
        models = recipe.get("models") if isinstance(recipe, Mapping) else None
        for name, model in models.items() if isinstance(models, Mapping) else ():
            latest.setdefault(str(name), str(model))
    return latest


async def _requests_of(
    steps: Steps,
    plan: GenerationPlan,
    writer: RecordWriter,
    identities: Mapping[str, AnswerIdentity],
    costs: Mapping[str, EngineCost],
) -> list[EngineRequest]:
    """Return all requests of a pipeline on one image, with placeholder answers that find the concepts absent."""
    all_requests: list[EngineRequest] = []
    counts: Counter[bytes] = Counter()
    try:
        requests = next(steps)
        while True:
            answers = []
            keys = [identities[each.engine].key(each.request) for each in requests]
            known = await writer.read(partial(memory.load_answers, keys=keys))
            for key, request in zip(keys, requests, strict=True):
                all_requests.append(request)
                if not counts[key]:
                    _count(
                        request.request, plan.engines[request.engine], costs[request.engine], remembered=key in known
                    )
                counts[key] += 1
                answers.append(_placeholder_answer(request.request))
            requests = steps.send(tuple(answers))
    except StopIteration:
        return all_requests
    finally:
        steps.close()


def _count(request: ModelRequest, settings: EngineSettings, cost: EngineCost, *, remembered: bool) -> None:
    if remembered:
        cost.remembered += 1
        return
    prompt = sum(count_tokens(message.text) + _CHAT_TOKENS for message in request.messages)
    prompt += settings.picture_tokens if request.picture else 0
    answer_tokens = _ANSWER_TOKENS.get(request.stage, 1)
    cost.requests += 1
    cost.prompt_tokens += prompt
    cost.completion_tokens += answer_tokens
    if settings.price_in is not None or settings.price_out is not None:
        money = (prompt * (settings.price_in or 0.0) + answer_tokens * (settings.price_out or 0.0)) / 1e6
        cost.money = (cost.money or 0.0) + money


def _placeholder_answer(request: ModelRequest) -> ModelAnswer:
    """Return a plausible answer, so that the next stage can be first_requests."""
    if request.answer_format is AnswerFormat.YES_NO:
        p = 0.9 if request.stage is Stage.ACCEPTABLE else 0.1
        return ModelAnswer(text="yes" if p > 0.5 else "no", p=p, label_mass=1.0, method=Method.BARE)
    if request.stage is Stage.PROPOSE:
        return ModelAnswer(text="unicycle")
    concept = request.facts.get("concept", "unicycle")
    return ModelAnswer(text=f"{request.facts.get('caption', 'a picture')} with no {concept}")
