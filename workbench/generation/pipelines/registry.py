"""Selection of the pipeline of a recipe. Pure."""

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
from workbench.workspace.settings.engines import ANNOTATIONS, Pipeline

_IMAGE_ENGINE_KINDS: Final = frozenset({"openai", "transformers", "clip"})
"""Engine kinds that need the image file to judge."""


def check_prompts(pipeline: Pipeline, prompts: PromptSet) -> None:
    """Check that the prompt set belongs to the pipeline.

    Raises:
        UsageError: it belongs to another pipeline.
    """
    if prompts.pipeline is not pipeline:
        raise UsageError(
            f"the prompts {prompts.name} are for {prompts.pipeline}, not for {pipeline}",
            hint=f"use another set with --prompts, or --pipeline {prompts.pipeline}",
        )


def steps_of(image_task: ImageTask, recipe: Recipe, prompts: PromptSet) -> Steps:
    """Start the recipe's pipeline on one image; call `check_prompts` first."""
    if recipe.pipeline is Pipeline.P1:
        return object_absence(image_task, recipe, prompts)
    return vqa_negation(image_task, recipe, prompts)


def needs_image(recipe: Recipe, prompts: PromptSet, kinds: Mapping[str, str]) -> bool:
    """Whether all judges of a question need the image file. An item without its file can then give no candidate, so no
    request about it should be paid for.

    Args:
        kinds: Engine name to engine kind.
    """
    for question, stage in STAGES.items():
        prompt = prompts.stage(stage)
        judges = [judge.name for judge in recipe.judges if question in judge.questions and judge.name != ANNOTATIONS]
        if (
            prompt is not None
            and prompt.picture
            and judges
            and all(kinds.get(name) in _IMAGE_ENGINE_KINDS for name in judges)
        ):
            return True
    return False


def image_missing(image_task: ImageTask) -> Steps:
    """Fail all items of an image without file, before any request."""
    yield from ()
    results = {item: failed(item, RequestFailure.PICTURE_MISSING, "the image is missing") for item in image_task.wanted}
    return in_order(image_task.wanted, results)
