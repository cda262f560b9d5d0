"""Model requests of pipelines: built from prompts and fields, with seeds, each sent once per image. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from curation_db.enums import Stage
from curation_db.language.sanitize import display_text
from workbench.generation.engines.requests import (
    CUT_OR_EMPTY,
    AnswerFormat,
    ImagePayload,
    ModelAnswer,
    ModelRequest,
    RequestFailure,
    answer_format_of,
)
from workbench.generation.models import EngineRequest, ItemResult, SubSteps
from workbench.generation.prompts.cue_mix import seed_of
from workbench.generation.prompts.loader import PromptSet, StagePrompt
from workbench.workspace.settings.engines import JudgeRule

_SUBJECT: Final = 200


def build_request(
    prompts: PromptSet,
    prompt: StagePrompt,
    stage: Stage,
    fields: Mapping[str, str],
    *,
    picture: ImagePayload | None = None,
    seed: int | None = None,
    subject: str = "",
) -> ModelRequest:
    """Build the request of a stage from its prompt and `fields`."""
    messages, raw = prompt.filled(fields)
    return ModelRequest(
        stage=stage,
        answer_format=answer_format_of(stage),
        prompt=prompts.version,
        messages=messages,
        sampling=replace(prompt.sampling, seed=seed),
        picture=picture if prompt.picture else None,
        subject=display_text(subject, limit=_SUBJECT),
        raw=raw,
        facts=dict(fields),
    )


def item_seed(seed: int, item: str, stage: Stage, attempt: int) -> int:
    """Return the 31-bit seed of one attempt at one item."""
    return seed_of(seed, item, stage, attempt)


def errors_taken_as_answers(rule: JudgeRule) -> frozenset[str]:
    """Return the failures that are answers under `rule`: the published code reads a cut answer and an empty one."""
    return CUT_OR_EMPTY if rule is JudgeRule.OFFICIAL else frozenset()


def is_final(rule: JudgeRule, request: ModelRequest, answer: ModelAnswer) -> bool:
    """Return whether a stored answer to `request` stands: a resumed run or a batch round does not request it again.

    A judge's empty answer stands, because the pipeline asks again with another seed.
    """
    empty_verdict = request.answer_format is AnswerFormat.YES_NO and answer.error == RequestFailure.EMPTY
    return not answer.failed or empty_verdict or answer.error in errors_taken_as_answers(rule)


@dataclass(slots=True)
class RequestCache:
    """Answers to the requests about one image so far, so that no request is sent twice."""

    rule: JudgeRule
    answers: dict[tuple[str, bytes], ModelAnswer] = field(default_factory=dict)

    def resolve(self, requests: Sequence[EngineRequest]) -> SubSteps[tuple[ModelAnswer, ...]]:
        """Yield the new requests, each once, and return the answers to all, as the rule takes them."""
        keys = [(request.engine, request.request.key(request.engine)) for request in requests]
        new = {key: request for key, request in zip(keys, requests, strict=True) if key not in self.answers}
        if new:
            answers = yield tuple(new.values())
            self.answers.update(zip(new, map(self._as_taken, answers), strict=True))
        return tuple(self.answers[key] for key in keys)

    def _as_taken(self, answer: ModelAnswer) -> ModelAnswer:
        return replace(answer, error="", detail="") if answer.error in errors_taken_as_answers(self.rule) else answer


def in_order(wanted: Iterable[str], results: Mapping[str, ItemResult]) -> tuple[ItemResult, ...]:
    """Return the results of the wanted items, ordered by ID, in the same order in every run."""
    return tuple(results[item] for item in sorted(wanted, key=_by_number))


def _by_number(item: str) -> tuple[str, int, str]:
    kind, _, number = item.partition("/")
    return kind, int(number) if number.isdecimal() else -1, number
