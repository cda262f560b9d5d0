"""The trackers that a run can report to. Imports only the standard library, because screens and commands import it."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from enum import StrEnum

from trainers.errors import TrainerError


class TrackerName(StrEnum):
    """Names of trackers: the packages that have to be installed, and the extras of negwb that install them."""

    TENSORBOARD = "tensorboard"
    WANDB = "wandb"
    TRACKIO = "trackio"


NONE = "none"
"""Switches off the trackers of [train] report_to."""


def parse_report_to(value: str | Sequence[str]) -> tuple[str, ...]:
    """Return the trackers named in "tensorboard,wandb" or in a list, each once, in the order of `TrackerName`.

    Raises:
        TrainerError: a name is unknown, or `none` is combined with another name.
    """
    parts = value.split(",") if isinstance(value, str) else value
    names = {part.strip().lower() for part in parts}
    if unknown := sorted(names - {NONE, *TrackerName}):
        near = get_close_matches(unknown[0], [*TrackerName], n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(TrackerName)}, {NONE}"
        raise TrainerError(f"report_to: unknown tracker {unknown[0]!r}", hint=hint)
    if NONE in names and len(names) > 1:
        raise TrainerError(f"report_to: {NONE} cannot be combined with another name")
    return tuple(name.value for name in TrackerName if name in names)
