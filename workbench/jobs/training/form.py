"""Checks of the form that starts a training: one problem per field, by the same rules as `negwb train`. No widgets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any, Final

from trainers.errors import TrainerError
from trainers.recipes.recipe import read_recipe
from trainers.settings import RunConfig, TrainSettings
from workbench.console.key_values import pairs
from workbench.errors import NegwbError
from workbench.jobs.training.runs import check_name, find_export, make_config, settings_of
from workbench.jobs.training.training import TrainingOrder
from workbench.workspace.layout import Workspace
from workbench.workspace.models import BASE, find_model


class FormField(StrEnum):
    EXPORT = "export"
    MODEL = "model"
    RECIPE = "recipe"
    EPOCHS = "epochs"
    STEPS = "steps"
    BATCH = "batch"
    LR = "lr"
    SEED = "seed"
    OTHER = "other"
    """Further settings as NAME=VALUE, separated by spaces."""
    NAME = "name"
    DEVICE = "device"


NUMBERS: Final = (FormField.EPOCHS, FormField.STEPS, FormField.BATCH, FormField.LR, FormField.SEED)
"""Fields with the value of one setting of the same name."""


@dataclass(frozen=True, slots=True)
class CheckedForm:
    problems: Mapping[FormField, NegwbError]
    order: TrainingOrder | None = None
    """None where there is a problem."""
    config: RunConfig | None = None
    """The configuration of the training; None where there is a problem."""
    defaults: Mapping[FormField, str] = field(default_factory=dict)
    """The values of `NUMBERS` that apply where the field is empty."""


def check_form(workspace: Workspace, values: Mapping[FormField, str]) -> CheckedForm:
    """Check the texts of all fields; an empty text means the default."""
    texts = {name: values.get(name, "").strip() for name in FormField}
    problems: dict[FormField, NegwbError] = {}
    model, recipe = texts[FormField.MODEL] or BASE, texts[FormField.RECIPE] or None
    checks: dict[FormField, Callable[[], object]] = {
        FormField.EXPORT: lambda: find_export(workspace, texts[FormField.EXPORT]),
        FormField.MODEL: lambda: find_model(workspace, model),
    }
    if recipe is not None:
        checks[FormField.RECIPE] = lambda: read_recipe(recipe)
    if texts[FormField.NAME]:
        checks[FormField.NAME] = partial(check_name, workspace, texts[FormField.NAME])
    for name, check in checks.items():
        try:
            check()
        except (NegwbError, TrainerError) as error:
            problems[name] = _as_negwb(error)
    changes, wrong = _changes(texts)
    problems |= wrong
    if FormField.RECIPE in problems:
        return CheckedForm(problems)
    defaults = _settings_or_error(workspace, recipe, {})
    problems |= _setting_problems(workspace, recipe, changes)
    known = {} if isinstance(defaults, NegwbError) else _texts_of(defaults)
    if problems:
        return CheckedForm(problems, defaults=known)
    order = TrainingOrder(
        texts[FormField.EXPORT],
        model,
        texts[FormField.NAME] or None,
        changes,
        recipe=recipe,
        device=texts[FormField.DEVICE] or "cpu",
    )
    try:
        config = make_config(workspace, order.export, model=model, recipe=recipe, settings=changes, device=order.device)
    except NegwbError as error:  # of no single field, like an unreadable negwb.toml
        return CheckedForm({FormField.OTHER: error}, defaults=known)
    return CheckedForm({}, order, config, known)


def _changes(texts: Mapping[FormField, str]) -> tuple[dict[str, Any], dict[FormField, NegwbError]]:
    """Return the settings that the form changes, and the problems of fields that cannot be parsed."""
    changes: dict[str, Any] = {}
    problems: dict[FormField, NegwbError] = {}
    for name in NUMBERS:
        if texts[name]:
            changes[name.value] = pairs([f"{name}={texts[name]}"])[name.value]
    try:
        changes |= pairs(texts[FormField.OTHER].split())
    except NegwbError as error:
        problems[FormField.OTHER] = error
    return changes, problems


def _setting_problems(
    workspace: Workspace, recipe: str | None, changes: Mapping[str, Any]
) -> dict[FormField, NegwbError]:
    """Return the problem of each number that is wrong by itself, or else that of all settings together."""
    together = _settings_or_error(workspace, recipe, changes)
    if isinstance(together, TrainSettings):
        return {}
    alone = {
        name: _settings_or_error(workspace, recipe, {name.value: changes[name.value]})
        for name in NUMBERS
        if name.value in changes
    }
    problems = {name: error for name, error in alone.items() if isinstance(error, NegwbError)}
    return problems or {FormField.OTHER: together}


def _settings_or_error(
    workspace: Workspace, recipe: str | None, changes: Mapping[str, Any]
) -> TrainSettings | NegwbError:
    try:
        return settings_of(workspace, recipe=recipe, settings=changes)
    except (NegwbError, TrainerError) as error:
        return _as_negwb(error)


def _texts_of(settings: TrainSettings) -> dict[FormField, str]:
    values = settings.to_dict()
    texts = {name: values[name.value] for name in NUMBERS}
    if texts[FormField.STEPS] is not None:
        texts[FormField.EPOCHS] = None  # steps replace epochs
    return {
        name: "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in texts.items()
    }


def _as_negwb(error: NegwbError | TrainerError) -> NegwbError:
    return error if isinstance(error, NegwbError) else NegwbError(error.message, hint=error.hint)
