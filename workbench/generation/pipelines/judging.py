"""Judging: every judge is asked about every concept of a picture in one group. Pure."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from curation_db.enums import Question, Stage
from workbench.generation.engines.requests import ImagePayload, ModelAnswer
from workbench.generation.models import ImageTask, JudgeVerdict, Request
from workbench.generation.pipelines.annotation_judge import look_up
from workbench.generation.pipelines.requests import RequestCache, make_ask
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

    said: tuple[JudgeVerdict, ...] = ()
    failed: str = ""
    """Why, where none of those that were asked answered."""
    detail: str = ""


_Told = tuple[Request, ModelAnswer, ModelAnswer | None]
"""What a judge was asked, what it said, and what it said of a blank picture."""
Judged = Generator[tuple[Request, ...], tuple[ModelAnswer, ...], tuple[JudgeResult, ...]]


def judge_all(
    unit: ImageTask,
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
    requests = [_request(unit, recipe, prompts, question, matters[at], judge, prior) for judge, prior, at in places]
    answers = yield from asked.ask(requests)
    found = dict(zip(places, zip(requests, answers, strict=True), strict=True))
    return tuple(
        _judgement(
            unit,
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
    unit: ImageTask,
    recipe: Recipe,
    prompts: PromptSet,
    question: Question,
    matter: JudgeTarget,
    judge: str,
    prior: bool,
) -> Request:
    stage = STAGES[question]
    said = prompts.stages[stage]
    # The likeliest words need no seed; without one the question is the same for all recipes, and is asked once.
    seed = seed_of(recipe.seed, unit.picture.key, stage, matter.subject) if said.sampling.temperature else None
    ask = make_ask(
        prompts,
        said,
        Stage.PRIOR if prior else stage,
        matter.fields,
        picture=BLANK if prior else unit.picture,
        seed=seed,
        subject=matter.subject,
    )
    return Request(judge, ask)


def _judgement(
    unit: ImageTask,
    recipe: Recipe,
    matter: JudgeTarget,
    question: Question,
    told: Sequence[_Told],
) -> JudgeResult:
    said = [_said(question, *one) for one in told if not one[1].failed]
    if told and not said:
        first = told[0][1]
        return JudgeResult(failed=first.error, detail=first.detail)
    return JudgeResult((*said, *_from_annotations(unit, recipe, matter, question)))


def _from_annotations(
    unit: ImageTask, recipe: Recipe, matter: JudgeTarget, question: Question
) -> Iterator[JudgeVerdict]:
    if question is Question.PRESENT and any(
        judge.name == ANNOTATIONS and question in judge.questions for judge in recipe.judges
    ):
        yield look_up(unit, matter.concept)


def _said(question: Question, request: Request, answer: ModelAnswer, prior: ModelAnswer | None) -> JudgeVerdict:
    return JudgeVerdict(
        judge=request.engine,
        question=question,
        prompt=request.ask.prompt,
        p=answer.p,
        label_mass=answer.label_mass,
        method=answer.method,
        prior=None if prior is None or prior.failed else prior.p,
        text=answer.text[:_STORED],
        latency_ms=answer.latency_ms,
        seed=request.ask.sampling.seed,
    )
