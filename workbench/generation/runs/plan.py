"""From what a person asked for to what is run: engines by their names, judges, prompts, the recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from curation_db.enums import Question
from curation_db.language.sanitize import display_text
from workbench.errors import UsageError
from workbench.generation.budget import Budget
from workbench.generation.engines.protocol import Engine
from workbench.generation.pipelines.registry import check_prompts
from workbench.generation.prompts.loader import PromptSet, find_prompts
from workbench.generation.recipe import Recipe
from workbench.workspace.engine_settings import ANNOTATIONS, EngineSettings, JudgeRule, JudgeSettings, Pipeline
from workbench.workspace.generation_settings import GenerateSettings, inline_engine, judge_of, judges_of

_NO_ENGINE = (
    "name one in negwb.toml ([engines.NAME] and [generate] proposer), or say it here, as in:"
    " --proposer openai:http://localhost:8000/v1"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationPlan:
    """What is run, as far as it can be said without opening an engine."""

    pipeline: Pipeline
    settings: GenerateSettings
    prompts: PromptSet
    proposer: str
    """"" where only judges are asked."""
    judges: tuple[JudgeSettings, ...]
    engines: Mapping[str, EngineSettings]
    """Those that are used."""
    random_concept: bool = False

    def recipe(self, opened: Mapping[str, Engine]) -> Recipe:
        """What decides what comes out, with the models that the engines run."""
        told = self.settings
        return Recipe(
            pipeline=self.pipeline,
            prompts=self.prompts.version,
            proposer=self.proposer,
            judges=self.judges,
            rule=told.rule,
            threshold=told.threshold,
            attempts=told.attempts,
            rewrites=told.rewrites,
            mix=told.mix,
            random_concept=self.random_concept,
            unclear=told.unclear,
            prior=told.prior,
            least_label_mass=told.least_label_mass,
            seed=told.seed,
            models={name: engine.model for name, engine in opened.items()},
        )


def make_plan(
    settings: GenerateSettings,
    *,
    pipeline: Pipeline = Pipeline.P1,
    proposer: str = "",
    judges: Sequence[str] = (),
    prompts: str = "",
    random_concept: bool = False,
    only_judges: bool = False,
) -> GenerationPlan:
    """The plan for what was asked for, on top of the settings.

    Raises:
        UsageError: an engine that is not there, no proposer, a prompt set that cannot be read.
    """
    engines = dict(settings.engines)
    used: dict[str, EngineSettings] = {}

    def engine(words: str) -> str:
        if words not in engines:
            inline = inline_engine(words, tuple(engines))
            if inline is None:
                known = ", ".join(engines) or "none in negwb.toml"
                raise UsageError(f"there is no engine {words!r}", hint=f"there are: {known}; {_NO_ENGINE}")
            same = next((n for n, e in used.items() if replace(e, name="") == replace(inline, name="")), None)
            if same is not None:
                return same
            engines[inline.name] = inline
            words = inline.name
        used[words] = engines[words]
        return words

    chosen_proposer = proposer or settings.proposer
    if not chosen_proposer and not only_judges:
        raise UsageError("no engine proposes", hint=_NO_ENGINE)
    chosen_proposer = "" if only_judges else engine(chosen_proposer)
    asked: list[tuple[str, frozenset[Question]]] = []
    for words in judges or settings.judges:
        name, questions = judge_of(words)
        asked.append((name if name == ANNOTATIONS else engine(name), questions))
    if only_judges and not asked:
        raise UsageError("no judge is named", hint="as in: --judge llava, or [generate] judges in negwb.toml")
    if doubled := sorted({name for name, _ in asked if [n for n, _ in asked].count(name) > 1}):
        raise UsageError(f"the judge {doubled[0]} is named twice")
    chosen = find_prompts(prompts or settings.prompts(pipeline))
    if not only_judges:
        check_prompts(pipeline, chosen)
    if settings.rule is JudgeRule.OFFICIAL:  # it reads words, and a typed decision has none
        for name in {name for name, _ in asked} & used.keys():
            used[name] = replace(used[name], method="bare") if used[name].method == "auto" else used[name]
    return GenerationPlan(
        pipeline=pipeline,
        settings=settings,
        prompts=chosen,
        proposer=chosen_proposer,
        judges=judges_of(asked, {name: each.kind for name, each in engines.items()}),
        engines=used,
        random_concept=random_concept,
    )


def check_prices(plan: GenerationPlan, budget: Budget) -> None:
    """Raise UsageError where a cap on money could never be reached."""
    for name, each in plan.engines.items():
        if budget.max_cost is not None and each.kind == "openai" and each.price_in is None and each.price_out is None:
            raise UsageError(
                f"[engines.{name}] has no prices: --max-cost would never be reached",
                hint="price_in and price_out, per million tokens (0 where it costs nothing); or --max-requests",
            )


def check_judges(recipe: Recipe) -> None:
    """Raise UsageError where two judges would be asked one thing by one model's name: answers are kept by that name, so
    the second would be given what the first said."""
    for one, other in combinations(recipe.judges, 2):
        model = recipe.models.get(one.name)
        if model is not None and model == recipe.models.get(other.name) and one.questions & other.questions:
            raise UsageError(
                f"the judges {one.name} and {other.name} both run a model called {display_text(model, limit=80)}",
                hint="leave one out; or where they are two models, have a server name its own (--served-model-name)",
            )
