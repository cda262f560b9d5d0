"""Preparation of trainings for the command, the demo and the Runs screen: resolve names and create the run folder.

Imports no typer, no textual and no torch. `workbench.jobs.training.training` starts the process, which reads only the
run's config.json with absolute paths and does not depend on the workspace.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation_db.processes import command_line
from trainers.errors import TrainerError
from trainers.run_files import LOCK, TrainingStatus, read_run, read_saved_steps
from trainers.settings import (
    AppliedRecipe,
    RunConfig,
    TrainSettings,
    check_precision,
    check_threads,
    create_run,
    read_config,
)
from trainers.tracking.names import parse_report_to
from workbench.errors import NothingToDo, UsageError
from workbench.jobs.process import lock_holders, stop_command
from workbench.workspace.layout import Workspace
from workbench.workspace.models import BASE, MODEL, RUN_NAME, find_model, list_runs, require_peft, runs_folder

if TYPE_CHECKING:
    from workbench.workspace.settings.settings import Settings


def find_export(workspace: Workspace, export: str) -> Path:
    """Find an export by its name in exports/ or by its folder.

    Raises:
        UsageError: the export does not exist.
    """
    from curation_db.exporting.manifest import MANIFEST_FILE, list_exports  # noqa: PLC0415

    for folder in (workspace.exports / export, Path(export)):
        if export and (folder / MANIFEST_FILE).is_file():
            return folder.resolve()
    known = ", ".join(list_exports(workspace.exports))
    hint = f"known: {known}" if known else "create one with: negwb export"
    raise UsageError(f"unknown export {export!r}", hint=hint)


def make_config(
    workspace: Workspace,
    export: str,
    *,
    model: str | None = None,
    recipe: str | None = None,
    settings: Mapping[str, Any] | None = None,
    device: str = "cpu",
    save_pth: bool = False,
    save_hf: bool = False,
    report_to: str | None = None,
    routed: bool = False,
) -> RunConfig:
    """Build the configuration of a new training.

    Args:
        workspace: Workspace with exports/ and the image folders.
        export: Name or folder of the export.
        model: Model as for `find_model`; None: the base model.
        recipe: Name of a recipe, or a TOML file, as for `read_recipe`; None: the recipe of the workspace's [train], or
            else the published recipe, split by image.
        settings: Fields of `trainers.settings.TrainSettings`; missing ones come from the workspace's [train], or else
            from the recipe.
        save_pth: Also save the model as an OpenAI-style state dict.
        save_hf: Also save the model as a CLIPModel folder of transformers.
        report_to: Trackers as for `parse_report_to`; None: those of the workspace's [train].
        routed: Save a routed model: the base encodes the texts that negate nothing.

    Raises:
        UsageError: something does not exist, or the settings contradict each other.
    """
    from workbench.workspace.picture_folders import PictureFolders  # noqa: PLC0415
    from workbench.workspace.settings.settings import read_settings  # noqa: PLC0415

    workspace_settings = read_settings(workspace.settings)
    folders = PictureFolders(workspace.root, workspace_settings.pictures, follow_links=workspace_settings.follow_links)
    try:
        train_settings, applied = _train_settings(workspace, recipe, workspace_settings, settings or {})
        check_threads(train_settings)
        check_precision(train_settings, device)
        if train_settings.lora_rank is not None:
            require_peft()
        return RunConfig(
            model=find_model(workspace, BASE if model is None else model).spec,
            export=str(find_export(workspace, export)),
            pictures={source: tuple(map(str, folders.folders(source))) for source in workspace_settings.pictures},
            follow_links=workspace_settings.follow_links,
            cache=str(workspace.cache),
            device=device,
            save_pth=save_pth,
            save_hf=save_hf,
            report_to=workspace_settings.report_to if report_to is None else parse_report_to(report_to),
            routed=routed,
            settings=train_settings,
            recipe=applied,
        )
    except TrainerError as error:
        raise UsageError(error.message, hint=error.hint) from error


def settings_of(
    workspace: Workspace, *, recipe: str | None = None, settings: Mapping[str, Any] | None = None
) -> TrainSettings:
    """Return the settings that `make_config` gives a training.

    Raises:
        UsageError: the recipe does not exist, or the settings contradict each other.
    """
    from workbench.workspace.settings.settings import read_settings  # noqa: PLC0415

    try:
        train_settings, _ = _train_settings(workspace, recipe, read_settings(workspace.settings), settings or {})
        check_threads(train_settings)
    except TrainerError as error:
        raise UsageError(error.message, hint=error.hint) from error
    return train_settings


def check_name(workspace: Workspace, name: str) -> None:
    """Check that a new run can have this name.

    Raises:
        UsageError: the name is invalid or taken.
    """
    if new_run_folder(workspace, name).exists():
        raise UsageError(f"the run {name} exists already", hint="choose another name, or resume this run")


def _train_settings(
    workspace: Workspace, recipe: str | None, defaults: Settings, overrides: Mapping[str, Any]
) -> tuple[TrainSettings, AppliedRecipe | None]:
    """Return the settings of a recipe, overridden by the workspace's [train], overridden by `overrides`.

    Args:
        recipe: None: that of [train], or else the defaults of `TrainSettings`.
    """
    from trainers.recipes.recipe import read_recipe  # noqa: PLC0415

    name = defaults.recipe or None if recipe is None else recipe
    base = None if name is None else read_recipe(name)
    values = dict(base.settings) if base is not None else {}
    origins = dict[str, str]()
    for origin, layer in (("negwb.toml", defaults.train), ("command line", overrides)):
        if "epochs" in layer and "steps" not in layer and values.pop("steps", None) is not None:
            origins["steps"] = origin  # otherwise the steps of the recipe or of [train] would override the epochs
        values |= layer
        origins |= dict.fromkeys(layer, origin)
        if layer is defaults.train and isinstance(pool := values.get("replay_pool"), str):
            values["replay_pool"] = str(workspace.root / pool)  # the child process does not know the workspace
    settings = TrainSettings.from_dict(values)
    return settings, None if base is None else base.applied(settings, origins)


def prepare_run(
    workspace: Workspace,
    export: str,
    *,
    model: str | None = None,
    name: str | None = None,
    recipe: str | None = None,
    settings: Mapping[str, Any] | None = None,
    device: str = "cpu",
    save_pth: bool = False,
    save_hf: bool = False,
    report_to: str | None = None,
    routed: bool = False,
) -> Path:
    """Create the run folder of a new training; the arguments are those of `make_config`.

    Args:
        name: Name of the run; None: the next free name like run-001.

    Raises:
        UsageError: something does not exist, the name is taken, or the settings are contradictory; no folder is left.
    """
    config = make_config(
        workspace,
        export,
        model=model,
        recipe=recipe,
        settings=settings,
        device=device,
        save_pth=save_pth,
        save_hf=save_hf,
        report_to=report_to,
        routed=routed,
    )
    try:
        return _create(runs_folder(workspace), name, config)
    except TrainerError as error:
        raise UsageError(error.message, hint=error.hint) from error


def find_or_create_run(workspace: Workspace, name: str, config: RunConfig) -> Path:
    """Return the run `name`, or the first of `name`-2, `name`-3 ..., with this configuration; create it if needed.

    Raises:
        UsageError: the folder cannot be created.
    """
    number = 1
    while True:
        folder = runs_folder(workspace) / (name if number == 1 else f"{name}-{number}")
        if not folder.exists():
            return _create_named(folder, config)
        if (folder / "config.json").is_file() and _has_config(folder, config):
            return folder
        number += 1


def _has_config(folder: Path, config: RunConfig) -> bool:
    try:
        return read_config(folder) == config
    except TrainerError:  # damaged, or of a newer negwb
        return False


def _create_named(folder: Path, config: RunConfig) -> Path:
    try:
        create_run(folder, config)
    except TrainerError as error:
        raise UsageError(error.message, hint=error.hint) from error
    return folder


def discard_run(folder: Path) -> None:
    """Remove the folder of a run that was refused, unless it has a saved state."""
    if read_saved_steps(folder) is None:
        shutil.rmtree(folder, ignore_errors=True)


def new_run_folder(workspace: Workspace, name: str) -> Path:
    """Return the folder for a new run.

    Raises:
        UsageError: the name is invalid.
    """
    _check_name(name)
    return runs_folder(workspace) / name


def _check_name(name: str) -> None:
    if not RUN_NAME.fullmatch(name) or name == BASE:
        raise UsageError(f"invalid run name {name!r}", hint="use letters and digits, with . _ - inside")


def _create(runs: Path, name: str | None, config: RunConfig) -> Path:
    if name is not None:
        _check_name(name)
        create_run(runs / name, config)
        return runs / name
    number = 1
    while True:
        folder = runs / f"run-{number:03}"
        try:
            create_run(folder, config)
        except TrainerError:
            if not folder.exists():
                raise
            number += 1
        else:
            return folder


def resume(workspace: Workspace, name: str) -> Path:
    """Return the folder of a run that can be resumed, for `start_child`.

    Raises:
        UsageError: the run does not exist, or a process trains it.
        NothingToDo: the run is finished.
    """
    folder = runs_folder(workspace) / name
    if not RUN_NAME.fullmatch(name) or not (folder / "config.json").is_file():
        known = ", ".join(run.name for run in list_runs(workspace))
        raise UsageError(f"unknown run {name!r}", hint=f"known: {known}" if known else "see: negwb train --help")
    state = read_run(folder)
    if state.status is TrainingStatus.DONE:
        steps = state.result.get("steps", state.step)
        raise NothingToDo(f"the run {name} is finished ({steps} steps)", hint=f"its model: {folder / MODEL}")
    if state.status is TrainingStatus.RUNNING:
        pid = trainer_pid(folder)
        stop = f"stop it with: {stop_command(pid)}; " if pid is not None else ""
        raise UsageError(f"another process is training {name}", hint=f"{stop}watch it with: negwb report --runs")
    return folder


def trainer_pid(folder: Path) -> int | None:
    """Return the ID of the process on this host that trains the run; None: none, or the system does not report it."""
    return next((pid for pid in lock_holders(folder / LOCK) if "trainers" in command_line(pid)), None)
