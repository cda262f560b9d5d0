"""Comparison of training runs by their settings: which differ, and groups of equal values. Pure.

A value is the text of its JSON in config.json, so that two runs are compared as they were configured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainers.settings import RunConfig

if TYPE_CHECKING:
    from workbench.jobs.training.run_monitor import RunRow

UNKNOWN = ""
"""The value of a setting that a run's config.json does not have."""


def settings_of(config: RunConfig) -> dict[str, str]:
    """Return everything that a person chose for a run, by name: model, export, recipe, device, and all settings."""
    texts = {
        "model": config.model,
        "export": config.export,
        "recipe": config.recipe.name if config.recipe else "none",
        "device": config.device,
    }
    return texts | {name: _text(value) for name, value in config.settings.to_dict().items()}


def _text(value: object) -> str:
    return value if isinstance(value, str) else "none" if value is None else json.dumps(value)


def differing(settings: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the names of the settings with two or more values, in the order of the first run that has them."""
    names = dict.fromkeys(name for each in settings for name in each)
    return [name for name in names if len({each.get(name, UNKNOWN) for each in settings}) > 1]


@dataclass(frozen=True, slots=True)
class RunGroup:
    value: str
    rows: tuple[RunRow, ...]
    mean_best: float | None
    """Mean of the best validations; None where a run has none, or where the criteria differ."""


def group_runs(rows: Sequence[RunRow], setting: str) -> list[RunGroup]:
    """Group the runs by the value of a setting, numbers in numeric order; within a group the order stays.

    Args:
        rows: the runs; those whose config.json cannot be read come last, with the value `UNKNOWN`.
        setting: name as in `settings_of`.
    """
    by_value: dict[str, list[RunRow]] = {}
    for row in rows:
        by_value.setdefault(row.settings.get(setting, UNKNOWN), []).append(row)
    ordered = sorted(by_value.items(), key=lambda item: _order(item[0]))
    return [RunGroup(value, tuple(members), _mean_best(members)) for value, members in ordered]


def _order(value: str) -> tuple[int, float, str]:
    try:
        return (0, float(value), value)
    except ValueError:
        return (1 if value else 2, 0.0, value)


def _mean_best(rows: Sequence[RunRow]) -> float | None:
    best = [row.best[1] for row in rows if row.best is not None]
    if len(best) < len(rows) or len({row.criterion for row in rows}) > 1:
        return None
    return sum(best) / len(best)
