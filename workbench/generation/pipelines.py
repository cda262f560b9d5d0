"""Which pipeline a recipe runs."""

from __future__ import annotations

from collections.abc import Callable

from workbench.generation.diversity import diversity
from workbench.generation.object_absence import object_absence
from workbench.generation.prompt_sets import PromptSet
from workbench.generation.recipe import Pipeline, Recipe
from workbench.generation.units import Steps, Unit


def steps_for(prompts: PromptSet, recipe: Recipe) -> Callable[[Unit], Steps]:
    """What is done to each unit."""
    pipeline = object_absence if recipe.pipeline is Pipeline.P1 else diversity

    def steps(unit: Unit) -> Steps:
        return pipeline(unit, recipe, prompts)

    return steps
