"""Judging: every judge is asked about every concept of a picture in one group. Pure."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from curation_db.enums import Question, Stage
from workbench.generation.engines.requests import ImagePayload, ModelAnswer
from workbench.generation.models import EngineRequest, ImageTask, JudgeVerdict
from workbench.generation.pipelines.annotation_judge import judge_by_annotations
from workbench.generation.pipelines.requests import RequestCache, build_request
from workbench.generation.prompts.cue_mix import seed_of
from workbench.generation.prompts.loader import PromptSet
from workbench.generation.recipe import Recipe
from workbench.workspace.engine_settings import ANNOTATIONS, Prior

BLANK: Final = ImagePayload(key="blank", blank=True)
STAGES: Final = {Question.PRESENT: Stage.PRESENCE, Question.ACCEPTABLE: Stage.ACCEPTABLE}
_STORED: Final = 2_000
"""Characters of an answer that are kept with a verdict."""


@dataclass(frozen=True, slots=True)
class JudgeTarget:
    """Something to be judged."""

    concept: str | None
    """For the annotations; None: they have nothing to say."""
    fields: Mapping[str, str]
    """For the prompt."""
    subject: str
    """For people."""


@dataclass(frozen=True, slots=True)
class JudgeResult:
    """What the judges said about a matter."""

    verdicts: tuple[JudgeVerdict, ...] = ()
    failed: str = ""
    """Why, where none of those that were asked answered."""
    detail: str = ""


_Told = tuple[EngineRequest, ModelAnswer, ModelAnswer | None]
"""What a judge was asked, what it said, and what it said of a blank picture."""
Judged = Generator[tuple[EngineRequest, ...], tuple[ModelAnswer, ...], tuple[JudgeResult, ...]]


def judge_all(
    image_task: ImageTask,
    recipe: Recipe,
    prompts: PromptSet,
    matters: Sequence[JudgeTarget],
    question: Question,
    asked: RequestCache,
) -> Judged:
    """What every judge says about each of `matters`, asked all at once, with the priors where they are wanted.

    Comes back with one judgement for each. Questions go judge by judge, so that at each server the picture that was
    just read is asked about again.
    """
    judges = _judges(recipe, prompts, question)
    priors = (False, True) if question is Question.PRESENT and recipe.prior is not Prior.OFF else (False,)
    places = [(judge, prior, at) for judge in judges for prior in priors for at in range(len(matters))]
    requests = [
        _request(image_task, recipe, prompts, question, matters[at], judge, prior) for judge, prior, at in places
    ]
    answers = yield from asked.resolve(requests)
    found = dict(zip(places, zip(requests, answers, strict=True), strict=True))
    return tuple(
        _judgement(
            image_task,
            recipe,
            matter,
            question,
            [(*found[judge, False, at], found[judge, True, at][1] if len(priors) > 1 else None) for judge in judges],
        )
        for at, matter in enumerate(matters)
    )


def _judges(recipe: Recipe, prompts: PromptSet, question: Question) -> list[str]:
    """Names of the models that are asked; none where the prompts have no such stage."""
    if prompts.stage(STAGES[question]) is None:
        return []
    return [judge.name for judge in recipe.judges if question in judge.questions and judge.name != ANNOTATIONS]


def _request(
    image_task: ImageTask,
    recipe: Recipe,
    prompts: PromptSet,
    question: Question,
    matter: JudgeTarget,
    judge: str,
    prior: bool,
) -> EngineRequest:
    stage = STAGES[question]
    prompt = prompts.stages[stage]
    # The likeliest words need no seed; without one the question is the same for all recipes, and is asked once.
    seed = seed_of(recipe.seed, image_task.picture.key, stage, matter.subject) if prompt.sampling.temperature else None
    request = build_request(
        prompts,
        prompt,
        Stage.PRIOR if prior else stage,
        matter.fields,
        picture=BLANK if prior else image_task.picture,
        seed=seed,
        subject=matter.subject,
    )
    return EngineRequest(judge, request)


def _judgement(
    image_task: ImageTask,
    recipe: Recipe,
    matter: JudgeTarget,
    question: Question,
    told: Sequence[_Told],
) -> JudgeResult:
    verdicts = [_said(question, *one) for one in told if not one[1].failed]
    if told and not verdicts:
        first = told[0][1]
        return JudgeResult(failed=first.error, detail=first.detail)
    return JudgeResult((*verdicts, *_from_annotations(image_task, recipe, matter, question)))


def _from_annotations(
    image_task: ImageTask, recipe: Recipe, matter: JudgeTarget, question: Question
) -> Iterator[JudgeVerdict]:
    if question is Question.PRESENT and any(
        judge.name == ANNOTATIONS and question in judge.questions for judge in recipe.judges
    ):
        yield judge_by_annotations(image_task, matter.concept)


def _said(question: Question, request: EngineRequest, answer: ModelAnswer, prior: ModelAnswer | None) -> JudgeVerdict:
    return JudgeVerdict(
        judge=request.engine,
        question=question,
        prompt=request.request.prompt,
        p=answer.p,
        label_mass=answer.label_mass,
        method=answer.method,
        prior=None if prior is None or prior.failed else prior.p,
        text=answer.text[:_STORED],
        latency_ms=answer.latency_ms,
        seed=request.request.sampling.seed,
    )
