"""Judging: one group of requests per image, for all judges and all concepts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from curation_db.enums import Question, Stage
from workbench.generation.engines.requests import ImagePayload, ModelAnswer, RequestFailure
from workbench.generation.models import EngineRequest, ImageTask, JudgeVerdict, SubSteps
from workbench.generation.pipelines.annotation_judge import judge_by_annotations
from workbench.generation.pipelines.requests import RequestCache, build_request
from workbench.generation.prompts.cue_mix import seed_of
from workbench.generation.prompts.loader import PromptSet
from workbench.generation.recipe import Recipe
from workbench.workspace.settings.engines import ANNOTATIONS, JudgeRule, Prior

BLANK: Final = ImagePayload(key="blank", blank=True)
STAGES: Final = {Question.PRESENT: Stage.PRESENCE, Question.ACCEPTABLE: Stage.ACCEPTABLE}
_STORED: Final = 2_000
"""Characters of an answer that are stored with a verdict."""


@dataclass(frozen=True, slots=True)
class JudgeTarget:
    """What the judges are asked about."""

    concept: str | None
    """For the judge "annotations"; None: that judge is not asked."""
    fields: Mapping[str, str]
    """Prompt fields."""
    subject: str
    """For display."""


@dataclass(frozen=True, slots=True)
class JudgeResult:
    """The judges' verdicts on one target."""

    verdicts: tuple[JudgeVerdict, ...] = ()
    failed: str = ""
    """Failure code, if no judge answered."""
    detail: str = ""


_Response = tuple[EngineRequest, ModelAnswer, ModelAnswer | None]
"""Request, answer, and answer for a blank image (the prior)."""


def judge_all(
    image_task: ImageTask,
    recipe: Recipe,
    prompts: PromptSet,
    targets: Sequence[JudgeTarget],
    question: Question,
    cache: RequestCache,
) -> SubSteps[tuple[JudgeResult, ...]]:
    """Ask every judge about each target in one group of requests, with priors if the recipe wants them.

    Returns one result per target. The requests are ordered by judge, so that each server can reuse the image that it
    has just read.
    """
    judges = _judges(recipe, prompts, question)
    priors = (False, True) if question is Question.PRESENT and recipe.prior is not Prior.OFF else (False,)
    keys = [(judge, prior, index) for judge in judges for prior in priors for index in range(len(targets))]
    requests = [
        _request(image_task, recipe, prompts, question, targets[index], judge, prior) for judge, prior, index in keys
    ]
    answered = yield from _ask(recipe, requests, cache)
    by_key = dict(zip(keys, answered, strict=True))
    return tuple(
        _judge_result(
            image_task,
            recipe,
            target,
            question,
            [
                (*by_key[judge, False, index], by_key[judge, True, index][1] if len(priors) > 1 else None)
                for judge in judges
            ],
        )
        for index, target in enumerate(targets)
    )


def _ask(
    recipe: Recipe, requests: Sequence[EngineRequest], cache: RequestCache
) -> SubSteps[list[tuple[EngineRequest, ModelAnswer]]]:
    """Return each request with its answer. A judge that answers nothing is asked once more; then it is unclear."""
    answers = yield from cache.resolve(requests)
    answered = list(zip(requests, answers, strict=True))
    empty = [at for at, answer in enumerate(answers) if answer.error == RequestFailure.EMPTY]
    again = [_with_other_seed(recipe, requests[at]) for at in empty]
    retried = yield from cache.resolve(again)
    for at, request, answer in zip(empty, again, retried, strict=True):
        nothing = answer.error == RequestFailure.EMPTY
        answered[at] = request, replace(answer, error="", detail="", p=None) if nothing else answer
    return answered


def _with_other_seed(recipe: Recipe, request: EngineRequest) -> EngineRequest:
    """Return the request with another seed, hence another key: the answer cache and a batch file send it again."""
    ask = request.request
    seed = seed_of(recipe.seed, ask.picture.key if ask.picture else "", ask.stage, ask.subject, "again")
    return replace(request, request=replace(ask, sampling=replace(ask.sampling, seed=seed)))


def _judges(recipe: Recipe, prompts: PromptSet, question: Question) -> list[str]:
    """Return the engines that judge `question`; none if the prompts have no such stage."""
    if prompts.stage(STAGES[question]) is None:
        return []
    return [judge.name for judge in recipe.judges if question in judge.questions and judge.name != ANNOTATIONS]


def _request(
    image_task: ImageTask,
    recipe: Recipe,
    prompts: PromptSet,
    question: Question,
    target: JudgeTarget,
    judge: str,
    prior: bool,
) -> EngineRequest:
    stage = STAGES[question]
    prompt = prompts.stages[stage]
    # Greedy decoding needs no seed; without one the request is equal for all recipes and is sent once.
    seed = seed_of(recipe.seed, image_task.picture.key, stage, target.subject) if prompt.sampling.temperature else None
    request = build_request(
        prompts,
        prompt,
        Stage.PRIOR if prior else stage,
        target.fields,
        picture=BLANK if prior else image_task.picture,
        seed=seed,
        subject=target.subject,
    )
    return EngineRequest(judge, request)


def _judge_result(
    image_task: ImageTask,
    recipe: Recipe,
    target: JudgeTarget,
    question: Question,
    responses: Sequence[_Response],
) -> JudgeResult:
    verdicts = [_verdict(recipe, question, *one) for one in responses if not one[1].failed]
    if responses and not verdicts:
        first = responses[0][1]
        return JudgeResult(failed=first.error, detail=first.detail)
    return JudgeResult((*verdicts, *_from_annotations(image_task, recipe, target, question)))


def _from_annotations(
    image_task: ImageTask, recipe: Recipe, target: JudgeTarget, question: Question
) -> Iterator[JudgeVerdict]:
    if question is Question.PRESENT and any(
        judge.name == ANNOTATIONS and question in judge.questions for judge in recipe.judges
    ):
        yield judge_by_annotations(image_task, target.concept)


def _verdict(
    recipe: Recipe, question: Question, request: EngineRequest, answer: ModelAnswer, prior: ModelAnswer | None
) -> JudgeVerdict:
    return JudgeVerdict(
        judge=request.engine,
        question=question,
        prompt=request.request.prompt,
        p=answer.p,
        label_mass=answer.label_mass,
        method=answer.method,
        prior=None if prior is None or prior.failed else prior.p,
        text=answer.text if recipe.rule is JudgeRule.OFFICIAL else answer.text[:_STORED],  # the rule reads all of it
        latency_ms=answer.latency_ms,
        seed=request.request.sampling.seed,
    )
