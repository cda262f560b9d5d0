"""Trainings as the command, the demo and the Runs screen begin them: what is meant by a name, and a run folder made.

Imports no typer, no textual and no torch. `workbench.jobs.training` starts the process, which reads only the run's
config.json with its absolute paths: it knows nothing of workspaces.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from curation_db.processes import command_line
from trainers.errors import TrainerError
from trainers.runlog import LOCK, METRICS, Status, read_run, saved_place
from trainers.settings import RunConfig, TrainSettings, create_run, read_config
from workbench.errors import NothingToDo, UsageError
from workbench.installation import install_hint
from workbench.jobs.process import lock_holders, stop_command
from workbench.paths import Workspace

MODEL = "model"
"""Of a finished run: its folder with the trained model."""
BASE = "base"
"""How one asks for the untrained model, whatever it is; a result bears its own name."""
DEFAULT_MODEL = "ViT-B-32:openai"
"""What the published NegationCLIP was made of."""

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")


@dataclass(frozen=True, slots=True)
class Model:
    """A model that was asked for."""

    spec: str
    """As `trainers.clip_models.load_model` takes it."""
    label: str
    """What reports call it."""


def runs_folder(workspace: Workspace) -> Path:
    """Trainings, a folder each."""
    return workspace.root / "runs"


def list_runs(workspace: Workspace) -> list[Path]:
    """The folders of all runs, by the time they were made."""
    made = [config for config in runs_folder(workspace).glob("*/config.json") if _NAME.fullmatch(config.parent.name)]
    return [config.parent for config in sorted(made, key=lambda config: (config.stat().st_mtime_ns, config.parent))]


def finished_runs(workspace: Workspace) -> list[Path]:
    """Those that have a model."""
    return [folder for folder in list_runs(workspace) if read_run(folder).status is Status.DONE]


def find_export(workspace: Workspace, export: str) -> Path:
    """The frozen set that is meant: a name in exports/, or a folder elsewhere.

    Raises:
        UsageError: there is none.
    """
    from curation_db.manifest import MANIFEST_FILE, list_exports  # noqa: PLC0415

    for folder in (workspace.exports / export, Path(export)):
        if export and (folder / MANIFEST_FILE).is_file():
            return folder.resolve()
    known = ", ".join(list_exports(workspace.exports))
    hint = f"there are: {known}" if known else "make one with: negwb export"
    raise UsageError(f"there is no export {export!r}", hint=hint)


def find_model(workspace: Workspace, spec: str) -> Model:
    """The model that is meant: "base", a finished run, a folder, a file, or NAME:PRETRAINED of open_clip.

    Raises:
        UsageError: there is no such thing here; whether open_clip knows a name is found out when it is loaded.
    """
    if spec == BASE:
        return Model(base := base_model(workspace), short_name(base))
    run = runs_folder(workspace) / spec
    if _NAME.fullmatch(spec) and (run / "config.json").is_file():
        return Model(_model_of(run), spec)
    path = Path(spec.removeprefix("local-dir:")).expanduser()
    if _exists(path) and (path / "config.json").is_file() and (path / MODEL).is_dir():
        return Model(_model_of(path.resolve()), path.resolve().name)
    if spec and _exists(path):
        return Model(str(path.resolve()), spec)
    name, _, pretrained = spec.partition(":")
    if not (name and pretrained):
        known = [folder.name for folder in finished_runs(workspace)]
        hint = "a finished run, a folder, a .pth file, or NAME:PRETRAINED of open_clip"
        raise UsageError(
            f"there is no model {spec!r}", hint=f"{hint}; runs here: {', '.join(known)}" if known else hint
        )
    if (architectures := _architectures()) and _architecture(name) not in architectures:
        near = ", ".join(get_close_matches(name, architectures, n=6))
        hint = f"open_clip knows {near}" if near else "NAME:PRETRAINED of open_clip, a folder, or a .pth file"
        raise UsageError(f"there is no model, file or folder {spec!r}", hint=hint)
    weights = Path(pretrained).expanduser()
    return Model(f"{name}:{weights.resolve()}" if weights.is_file() else spec, spec)


def _architectures() -> frozenset[str]:
    """The names that open_clip knows, by its files: importing it takes seconds. Empty where it is not installed."""
    found = importlib.util.find_spec("open_clip")
    folders = found.submodule_search_locations if found is not None else None
    return frozenset(file.stem for folder in folders or () for file in Path(folder).glob("model_configs/*.json"))


def _architecture(name: str) -> str:
    """The name as open_clip's files spell it; -gelu is an ending of ours (`trainers.clip_models`)."""
    return name.replace("/", "-").removesuffix("-gelu")


def short_name(spec: str) -> str:
    """What tells a model in a report: NAME:PRETRAINED as it is, of a path its last part that says something."""
    path = Path(spec)
    if not path.is_absolute():
        return spec
    return path.parent.name if path.name == MODEL else path.name


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long for a name, or no name at all
        return False


def _model_of(run: Path) -> str:
    if read_run(run).status is not Status.DONE:
        raise UsageError(f"the run {run.name} is not finished", hint=f"go on with: negwb train --resume {run.name}")
    return str(run / MODEL)


def base_model(workspace: Workspace) -> str:
    """What the newest run was trained from, from its first ancestor on; before any run: the demo's model, or CLIP.

    A run that failed says nothing: its model may be what it failed at.
    """
    told = (_model_told(folder) for folder in reversed(list_runs(workspace)) if not _failed(folder))
    spec = next((model for model in told if model), "")
    seen: set[str] = set()
    while spec not in seen and Path(spec).name == MODEL and (earlier := _model_told(Path(spec).parent)):
        seen.add(spec)
        spec = earlier
    return spec or _demo_model(workspace) or DEFAULT_MODEL


def _failed(folder: Path) -> bool:
    return read_run(folder).status is Status.FAILED


def _model_told(folder: Path) -> str:
    """What the run in `folder` trains from; nothing where there is no run, or none that can be read."""
    try:
        return read_config(folder).model
    except TrainerError:
        return ""


def base_hash(workspace: Workspace) -> str | None:
    """The hash of the model that `base_model` names, as a finished run on it tells; None where none does."""
    spec = base_model(workspace)
    for folder in reversed(finished_runs(workspace)):
        if _model_told(folder) == spec:
            told = read_run(folder).result.get("base", {})
            return str(told["model_hash"]) if isinstance(told, dict) and "model_hash" in told else None
    return None


def _demo_model(workspace: Workspace) -> str:
    """The model that comes with the demo, in a workspace of the demo."""
    shipped = Path(__file__).parent / "demo" / "model"
    is_demo = (workspace.root / "corpus" / "truth.jsonl").is_file()
    return str(shipped) if is_demo and shipped.is_dir() else ""


def require_torch() -> None:
    """Refuse where the part of negwb that loads models is not installed.

    Raises:
        UsageError: it is not.
    """
    if not all(map(importlib.util.find_spec, ("torch", "open_clip"))):
        raise UsageError("models need torch and open_clip", hint=install_hint("train"))


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
    from workbench.pictures import PictureFolders  # noqa: PLC0415
    from workbench.settings import read_settings  # noqa: PLC0415

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
    if saved_place(folder) is None:
        shutil.rmtree(folder, ignore_errors=True)


def _create(runs: Path, name: str | None, config: RunConfig) -> Path:
    if name is not None:
        if not _NAME.fullmatch(name) or name == BASE:
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
    if not _NAME.fullmatch(name) or not (folder / "config.json").is_file():
        known = ", ".join(run.name for run in list_runs(workspace))
        raise UsageError(
            f"there is no run {name!r}", hint=f"there are: {known}" if known else "see: negwb train --help"
        )
    state = read_run(folder)
    if state.status is Status.DONE:
        steps = state.result.get("steps", state.step)
        raise NothingToDo(f"the run {name} is finished ({steps} steps)", hint=f"its model: {folder / MODEL}")
    if state.status is Status.RUNNING:
        pid = trainer_pid(folder)
        stop = f"stop it with: {stop_command(pid)}; " if pid is not None else ""
        raise UsageError(
            f"another process trains {name} right now", hint=f"{stop}watch it with: tail -f {folder / METRICS}"
        )
    return folder


def trainer_pid(folder: Path) -> int | None:
    """The process of this host that trains the run; None: there is none, or the system does not report it."""
    return next((pid for pid in lock_holders(folder / LOCK) if "trainers" in command_line(pid)), None)
