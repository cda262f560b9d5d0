"""Trainings as the command, the demo and the Runs screen begin them: what is meant by a name, and a run folder made.

Imports no typer, no textual and no torch. `workbench.jobs.training` starts the process, which reads only the run's
config.json with its absolute paths: it knows nothing of workspaces.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curation_db.processes import command_line
from trainers.errors import TrainerError
from trainers.run_files import LOCK, METRICS, TrainingStatus, read_run, read_saved_steps
from trainers.settings import RunConfig, TrainSettings, create_run
from workbench.errors import NothingToDo, UsageError
from workbench.jobs.process import lock_holders, stop_command
from workbench.workspace.layout import Workspace
from workbench.workspace.models import BASE, MODEL, RUN_NAME, find_model, list_runs, runs_folder


def find_export(workspace: Workspace, export: str) -> Path:
    """The frozen set that is meant: a name in exports/, or a folder elsewhere.

    Raises:
        UsageError: there is none.
    """
    from curation_db.exporting.manifest import MANIFEST_FILE, list_exports  # noqa: PLC0415

    for folder in (workspace.exports / export, Path(export)):
        if export and (folder / MANIFEST_FILE).is_file():
            return folder.resolve()
    known = ", ".join(list_exports(workspace.exports))
    hint = f"there are: {known}" if known else "make one with: negwb export"
    raise UsageError(f"there is no export {export!r}", hint=hint)


def make_config(
    workspace: Workspace,
    export: str,
    *,
    model: str | None = None,
    settings: Mapping[str, Any] | None = None,
    device: str = "cpu",
    save_pth: bool = False,
) -> RunConfig:
    """What a new training is to do.

    Args:
        workspace: where exports/ and the picture folders are.
        export: name or folder of the frozen set.
        model: as `find_model` takes it; none: the base model.
        settings: of `trainers.settings.TrainSettings`; what is not said stands in the workspace's [train], and what
            is not there either is the published recipe.
        device: of torch.
        save_pth: also keep the model as an openai-style state dict.

    Raises:
        UsageError: something of this is not there or contradicts itself.
    """
    from workbench.workspace.picture_folders import PictureFolders  # noqa: PLC0415
    from workbench.workspace.settings import read_settings  # noqa: PLC0415

    told = read_settings(workspace.settings)
    folders = PictureFolders(workspace.root, told.pictures, follow_links=told.follow_links)
    try:
        return RunConfig(
            model=find_model(workspace, BASE if model is None else model).spec,
            export=str(find_export(workspace, export)),
            pictures={source: tuple(map(str, folders.folders(source))) for source in told.pictures},
            follow_links=told.follow_links,
            cache=str(workspace.cache),
            device=device,
            save_pth=save_pth,
            settings=TrainSettings.from_dict(_recipe(workspace, told.train, settings or {})),
        )
    except TrainerError as refused:
        raise UsageError(refused.message, hint=refused.hint) from refused


def _recipe(workspace: Workspace, own: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for on top of the workspace's [train], whose paths become whole."""
    recipe = dict(own)
    if isinstance(pool := recipe.get("replay_pool"), str):
        recipe["replay_pool"] = str(workspace.root / pool)  # the child knows nothing of workspaces
    if "epochs" in asked:
        recipe.pop("steps", None)  # else the steps of [train] would win silently
    return recipe | dict(asked)


def prepare_run(
    workspace: Workspace,
    export: str,
    *,
    model: str | None = None,
    name: str | None = None,
    settings: Mapping[str, Any] | None = None,
    device: str = "cpu",
    save_pth: bool = False,
) -> Path:
    """Make the folder of a new training, ready for `workbench.jobs.training`; its words are those of `make_config`.

    Args:
        name: of the run; none: the next free one like run-001.

    Raises:
        UsageError: something is not there, is taken, or contradicts itself; nothing was made.
    """
    config = make_config(workspace, export, model=model, settings=settings, device=device, save_pth=save_pth)
    try:
        return _create(runs_folder(workspace), name, config)
    except TrainerError as refused:
        raise UsageError(refused.message, hint=refused.hint) from refused


def discard_run(folder: Path) -> None:
    """Remove the folder of a new run of which the model was refused; a run with a saved state stays."""
    if read_saved_steps(folder) is None:
        shutil.rmtree(folder, ignore_errors=True)


def _create(runs: Path, name: str | None, config: RunConfig) -> Path:
    if name is not None:
        if not RUN_NAME.fullmatch(name) or name == BASE:
            raise UsageError(f"{name!r} is no name for a run", hint="letters, digits, and . _ - within")
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
    """The folder of a run that can go on, ready for `start_child`.

    Raises:
        UsageError: there is none of this name, or somebody trains it right now.
        NothingToDo: it is finished.
    """
    folder = runs_folder(workspace) / name
    if not RUN_NAME.fullmatch(name) or not (folder / "config.json").is_file():
        known = ", ".join(run.name for run in list_runs(workspace))
        raise UsageError(
            f"there is no run {name!r}", hint=f"there are: {known}" if known else "see: negwb train --help"
        )
    state = read_run(folder)
    if state.status is TrainingStatus.DONE:
        steps = state.result.get("steps", state.step)
        raise NothingToDo(f"the run {name} is finished ({steps} steps)", hint=f"its model: {folder / MODEL}")
    if state.status is TrainingStatus.RUNNING:
        pid = trainer_pid(folder)
        stop = f"stop it with: {stop_command(pid)}; " if pid is not None else ""
        raise UsageError(
            f"another process trains {name} right now", hint=f"{stop}watch it with: tail -f {folder / METRICS}"
        )
    return folder


def trainer_pid(folder: Path) -> int | None:
    """The process of this host that trains the run; None: there is none, or the system does not report it."""
    return next((pid for pid in lock_holders(folder / LOCK) if "trainers" in command_line(pid)), None)
