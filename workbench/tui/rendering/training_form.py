"""The cost of a training as text. Pure."""

from __future__ import annotations

from textual.content import Content

from curation_db.language.sanitize import counted
from trainers.cost import TrainingCost
from workbench.jobs.training.run_monitor import format_duration
from workbench.tui.rendering.card_content import QUIET


def cost_content(cost: TrainingCost) -> Content:
    """Return two lines: the time of the whole training with its steps; image features and validations."""
    steps = f"{counted(cost.steps, 'step')} of {short_duration(cost.step_s)}"
    parts = [features_line(cost)]
    if cost.validations:
        parts.append(f"{counted(cost.validations, 'validation')} {format_duration(cost.texts_s)}")
    return Content.assemble(
        (f"about {format_duration(cost.total_s)}", "bold"), f": {steps}", (f"\n{', '.join(parts)}", QUIET)
    )


def features_line(cost: TrainingCost) -> str:
    """Return the time for image features, or that all are stored."""
    if not cost.missing_images:
        return f"features of {counted(cost.images, 'image')} stored"
    return f"features of {cost.missing_images:,} of {counted(cost.images, 'image')} {format_duration(cost.features_s)}"


def short_duration(seconds: float) -> str:
    """Return seconds with two digits, or milliseconds; longer times as `format_duration`."""
    if seconds >= 10:
        return format_duration(seconds)
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"
