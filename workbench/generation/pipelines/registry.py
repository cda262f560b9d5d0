"""The pipeline that a recipe names. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from workbench.errors import UsageError
from workbench.generation.engines.requests import RequestFailure
from workbench.generation.models import ImageTask, Steps
from workbench.generation.pipelines.acceptance import failed
from workbench.generation.pipelines.judging import STAGES
from workbench.generation.pipelines.object_absence import object_absence
from workbench.generation.pipelines.requests import in_order
from workbench.generation.pipelines.vqa_negation import vqa_negation
from workbench.generation.prompts.loader import PromptSet
from workbench.generation.recipe import Recipe
from workbench.workspace.engine_settings import ANNOTATIONS, Pipeline

_IMAGE_ENGINE_KINDS: Final = frozenset({"openai", "transformers", "clip"})
"""Kinds of engines that cannot judge a picture without its file."""


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


def steps_of(image_task: ImageTask, recipe: Recipe, prompts: PromptSet) -> Steps:
    """The recipe's pipeline at work on `unit`; `check_prompts` was asked before."""
    if recipe.pipeline is Pipeline.P1:
        return object_absence(image_task, recipe, prompts)
    return vqa_negation(image_task, recipe, prompts)


def needs_image(recipe: Recipe, prompts: PromptSet, kinds: Mapping[str, str]) -> bool:
    """Whether one of the questions is put to none but judges that look: of an item whose picture is missing nothing can
    come then, and nothing about it is worth paying for. `kinds`: of the engines, by name."""
    for question, stage in STAGES.items():
        said = prompts.stage(stage)
        asked = [judge.name for judge in recipe.judges if question in judge.questions and judge.name != ANNOTATIONS]
        if (
            said is not None
            and said.picture
            and asked
            and all(kinds.get(name) in _IMAGE_ENGINE_KINDS for name in asked)
        ):
            return True
    return False


def image_missing(image_task: ImageTask) -> Steps:
    """What becomes of a unit whose picture is missing, before anything is asked."""
    yield from ()
    told = {item: failed(item, RequestFailure.PICTURE_MISSING, "the picture is missing") for item in image_task.wanted}
    return in_order(image_task.wanted, told)
