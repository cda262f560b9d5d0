"""The pipeline that a recipe names. Pure."""

from __future__ import annotations

from workbench.errors import UsageError
from workbench.generation.diversity import diversity
from workbench.generation.object_absence import object_absence
from workbench.generation.prompt_sets import PromptSet
from workbench.generation.recipe import Pipeline, Recipe
from workbench.generation.units import Steps, Unit


def check_prompts(pipeline: Pipeline, prompts: PromptSet) -> None:
    """Whether the pipeline can be run with these prompts.

    Raises:
        UsageError: they are another pipeline's.
    """
    if prompts.pipeline is not pipeline:
        raise UsageError(
            f"the prompts {prompts.name} are for {prompts.pipeline}, not for {pipeline}",
            hint=f"name others with --prompts, or say --pipeline {prompts.pipeline}",
        )


def steps_of(unit: Unit, recipe: Recipe, prompts: PromptSet) -> Steps:
    """The recipe's pipeline at work on `unit`; `check_prompts` was asked before."""
    if recipe.pipeline is Pipeline.P1:
        return object_absence(unit, recipe, prompts)
    return diversity(unit, recipe, prompts)
