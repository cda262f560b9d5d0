"""Plan of a run, from settings and command-line options: engines, judges, prompts and recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from curation_db.enums import Question, Stage
from curation_db.language.sanitize import display_text
from workbench.errors import UsageError
from workbench.generation.budget import Budget
from workbench.generation.engines.answer_identity import AnswerIdentity, RequestKind
from workbench.generation.engines.protocol import Engine
from workbench.generation.pipelines.judging import STAGES
from workbench.generation.pipelines.registry import check_prompts
from workbench.generation.prompts.loader import PromptSet, find_prompts
from workbench.generation.recipe import Recipe
from workbench.workspace.settings.engines import ANNOTATIONS, EngineSettings, JudgeRule, JudgeSettings, Pipeline
from workbench.workspace.settings.generation import GenerateSettings, answerable_judges, inline_engine, parse_judge

_JUDGED: Final = frozenset(str(stage) for stage in STAGES.values())
"""Stages that judges answer; the proposer answers the others."""
_NO_ENGINE = (
    "name one in negwb.toml ([engines.NAME] and [generate] proposer), or on the command line:"
    " --proposer openai:http://localhost:8000/v1"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationPlan:
    """Plan of a run, made without opening an engine."""

    pipeline: Pipeline
    settings: GenerateSettings
    prompts: PromptSet
    proposer: str
    """Empty if only judges are used."""
    judges: tuple[JudgeSettings, ...]
    engines: Mapping[str, EngineSettings]
    """Engines that the run uses."""
    random_concept: bool = False
    allow_blind: bool = False
    """Also use judges of images that were proved blind."""

    def identities(self, opened: Mapping[str, Engine]) -> dict[str, AnswerIdentity]:
        """Return what determines the answers of the opened engines."""
        return {name: AnswerIdentity.of(engine, self.engines[name]) for name, engine in opened.items()}

    def recipe(self, identities: Mapping[str, AnswerIdentity]) -> Recipe:
        """Return the recipe with the models and the settings of the opened engines."""
        settings = self.settings
        return Recipe(
            pipeline=self.pipeline,
            prompts=self.prompts.version,
            proposer=self.proposer,
            judges=self.judges,
            rule=settings.rule,
            threshold=settings.threshold,
            attempts=settings.attempts,
            rewrites=settings.rewrites,
            mix=settings.mix,
            edits=settings.edits,
            random_concept=self.random_concept,
            unclear=settings.unclear,
            prior=settings.prior,
            least_label_mass=settings.least_label_mass,
            seed=settings.seed,
            models={name: identity.model for name, identity in identities.items()},
            engines={
                name: {stage: identity.settings_for(kind) for stage, kind in self._request_kinds(name).items()}
                for name, identity in identities.items()
            },
        )

    def _request_kinds(self, engine: str) -> dict[str, RequestKind]:
        """Return the stages of the prompt set that the engine answers, with the kind of their requests."""
        questions = {question for judge in self.judges if judge.name == engine for question in judge.questions}
        judged = {str(STAGES[question]) for question in questions}
        return {
            name: RequestKind(
                yes_no=name in _JUDGED,
                image=prompt.picture,
                raw=prompt.raw is not None,
                presence=name == Stage.PRESENCE,
            )
            for name, prompt in self.prompts.stages.items()
            if (name in judged if name in _JUDGED else engine == self.proposer)
        }


def make_plan(
    settings: GenerateSettings,
    *,
    pipeline: Pipeline = Pipeline.P1,
    proposer: str = "",
    judges: Sequence[str] = (),
    prompts: str = "",
    random_concept: bool = False,
    allow_blind: bool = False,
    only_judges: bool = False,
    folder: Path | None = None,
) -> GenerationPlan:
    """Make the plan from the settings and the options that override them; `folder` is that of the workspace.

    Raises:
        UsageError: unknown engine, no proposer, or an invalid prompt set.
    """
    engines = dict(settings.engines)
    used: dict[str, EngineSettings] = {}

    def engine(name: str) -> str:
        if name not in engines:
            inline = inline_engine(name, tuple(engines))
            if inline is None:
                known = ", ".join(engines) or "none in negwb.toml"
                raise UsageError(f"unknown engine {name!r}", hint=f"known: {known}; {_NO_ENGINE}")
            same = next((n for n, e in used.items() if replace(e, name="") == replace(inline, name="")), None)
            if same is not None:
                return same
            engines[inline.name] = inline
            name = inline.name
        used[name] = engines[name]
        return name

    chosen_proposer = proposer or settings.proposer
    if not chosen_proposer and not only_judges:
        raise UsageError("no proposer is set", hint=_NO_ENGINE)
    chosen_proposer = "" if only_judges else engine(chosen_proposer)
    judge_questions: list[tuple[str, frozenset[Question]]] = []
    for judge in judges or settings.judges:
        name, questions = parse_judge(judge)
        judge_questions.append((name if name == ANNOTATIONS else engine(name), questions))
    if only_judges and not judge_questions:
        raise UsageError("no judge is named", hint="name one: --judge llava, or [generate] judges in negwb.toml")
    if doubled := sorted({name for name, _ in judge_questions if [n for n, _ in judge_questions].count(name) > 1}):
        raise UsageError(f"the judge {doubled[0]} is named twice")
    chosen = find_prompts(prompts or settings.prompts(pipeline), folder)
    if not only_judges:
        check_prompts(pipeline, chosen)
    if settings.rule is JudgeRule.OFFICIAL:  # the rule reads free text, which typed decisions do not have
        for name in {name for name, _ in judge_questions} & used.keys():
            method = "bare" if used[name].method == "auto" else used[name].method
            used[name] = replace(used[name], method=method, constrain=False)
    return GenerationPlan(
        pipeline=pipeline,
        settings=settings,
        prompts=chosen,
        proposer=chosen_proposer,
        judges=answerable_judges(judge_questions, {name: each.kind for name, each in engines.items()}),
        engines=used,
        random_concept=random_concept,
        allow_blind=allow_blind,
    )


def check_prices(plan: GenerationPlan, budget: Budget) -> None:
    """Raise UsageError if a cap on the cost cannot be enforced for lack of prices."""
    for name, each in plan.engines.items():
        if budget.max_cost is not None and each.kind == "openai" and each.price_in is None and each.price_out is None:
            raise UsageError(
                f"[engines.{name}] has no prices: --max-cost would never be reached",
                hint="set price_in and price_out per million tokens (0 if free), or use --max-requests",
            )


def check_judges(recipe: Recipe) -> None:
    """Raise UsageError if two judges of one question have the same model name and settings: their answers have the same
    keys in the answer cache, so the second judge would get the first one's answers."""
    for one, other in combinations(recipe.judges, 2):
        model = recipe.models.get(one.name)
        if model is None or model != recipe.models.get(other.name):
            continue
        stages = [STAGES[question] for question in one.questions & other.questions]
        if any(_settings(recipe, one, stage) == _settings(recipe, other, stage) for stage in stages):
            raise UsageError(
                f"the judges {one.name} and {other.name} both run a model called {display_text(model, limit=80)}",
                hint="remove one; if the models differ, name one on its server (--served-model-name)",
            )


def _settings(recipe: Recipe, judge: JudgeSettings, stage: Stage) -> Mapping[str, Any] | None:
    return recipe.engines.get(judge.name, {}).get(stage)
