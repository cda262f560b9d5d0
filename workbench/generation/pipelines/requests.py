"""How pipelines ask: questions from prompts and fields, seeds, and each question once in a unit. Pure."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from curation_db.enums import Stage
from curation_db.language.sanitize import display_text
from workbench.generation.engines.requests import ImagePayload, ModelAnswer, ModelRequest, answer_format_of
from workbench.generation.models import EngineRequest, ItemResult
from workbench.generation.prompts.cue_mix import seed_of
from workbench.generation.prompts.loader import PromptSet, StagePrompt

_SUBJECT: Final = 200

Asking = Generator[tuple[EngineRequest, ...], tuple[ModelAnswer, ...], tuple[ModelAnswer, ...]]
"""A part of a pipeline that comes back with the answers to what it was given."""


def build_request(
    prompts: PromptSet,
    said: StagePrompt,
    stage: Stage,
    fields: Mapping[str, str],
    *,
    picture: ImagePayload | None = None,
    seed: int | None = None,
    subject: str = "",
) -> ModelRequest:
    """The question of a stage with its prompt filled; `fields` are also its facts."""
    messages, raw = said.filled(fields)
    return ModelRequest(
        stage=stage,
        answer_format=answer_format_of(stage),
        prompt=prompts.version,
        messages=messages,
        sampling=replace(said.sampling, seed=seed),
        picture=picture if said.picture else None,
        subject=display_text(subject, limit=_SUBJECT),
        raw=raw,
        facts=dict(fields),
    )


def item_seed(seed: int, item: str, stage: Stage, attempt: int) -> int:
    """31 bits for one attempt at one item."""
    return seed_of(seed, item, stage, attempt)


@dataclass(slots=True)
class RequestCache:
    """What was asked in a unit so far: nothing is asked twice."""

    answers: dict[tuple[str, bytes], ModelAnswer] = field(default_factory=dict)

    def resolve(self, requests: Sequence[EngineRequest]) -> Asking:
        """Yields those that were not asked before, once each, and comes back with an answer to every one."""
        keys = [(request.engine, request.request.key(request.engine)) for request in requests]
        new = {key: request for key, request in zip(keys, requests, strict=True) if key not in self.answers}
        if new:
            answers = yield tuple(new.values())
            self.answers.update(zip(new, answers, strict=True))
        return tuple(self.answers[key] for key in keys)


def in_order(wanted: Iterable[str], outcomes: Mapping[str, ItemResult]) -> tuple[ItemResult, ...]:
    """The outcomes of the wanted items, by their numbers; the same order in every run."""
    return tuple(outcomes[item] for item in sorted(wanted, key=_by_number))


def _by_number(item: str) -> tuple[str, int, str]:
    kind, _, number = item.partition("/")
    return kind, int(number) if number.isdecimal() else -1, number
