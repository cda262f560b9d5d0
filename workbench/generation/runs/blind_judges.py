"""Judges of images that the probe proved blind: another image does not change their answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from curation_db.language.sanitize import display_text
from workbench.errors import UsageError
from workbench.generation.engines.openai.probing.capabilities import is_blind
from workbench.generation.pipelines.judging import STAGES
from workbench.generation.runs.plan import GenerationPlan
from workbench.workspace.settings.server_address import plain_url

Probes = Callable[[str, str], Mapping[str, Any] | None]
"""Address and model to the stored result of the probe; None: never probed."""


def check_sight(plan: GenerationPlan, models: Mapping[str, str], probes: Probes) -> frozenset[str]:
    """Return the judges that were proved blind and that the user insists on.

    Args:
        models: Model of each engine of the plan.

    Raises:
        UsageError: a judge of images was proved blind, and `plan.allow_blind` is false.
    """
    blind = [name for name in _image_judges(plan) if _is_blind(plan, name, models[name], probes)]
    if blind and not plan.allow_blind:
        name, model = blind[0], display_text(models[blind[0]], limit=80)
        raise UsageError(
            f"[engines.{name}] {model} does not see images: the probe got the same answer for a black and a white one",
            hint="load the model with its image part and probe it again, name another judge, or insist: --allow-blind",
        )
    return frozenset(blind)


def _image_judges(plan: GenerationPlan) -> list[str]:
    """Return the judges on servers that get images."""
    stages = {question: plan.prompts.stage(stage) for question, stage in STAGES.items()}
    return [
        judge.name
        for judge in plan.judges
        if judge.name in plan.engines
        and plan.engines[judge.name].kind == "openai"
        and any((stage := stages[question]) is not None and stage.picture for question in judge.questions)
    ]


def _is_blind(plan: GenerationPlan, name: str, model: str, probes: Probes) -> bool:
    settings = plan.engines[name]
    return any(is_blind(settings.method, probes(plain_url(url), model)) for url in settings.servers)
