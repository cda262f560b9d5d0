"""Resolution of model names: finished runs, the base model, folders, files, and names of open_clip.

Imports no typer, textual or torch, so that processes that only name a model stay small.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import workbench
from trainers.errors import TrainerError
from trainers.run_files import TrainingStatus, read_run
from trainers.settings import read_config
from workbench.errors import UsageError
from workbench.installation import install_hint
from workbench.workspace.layout import Workspace

MODEL = "model"
"""Folder of a finished run with the trained model."""
BASE = "base"
"""The name of the untrained model on the command line; a result has the model's own name."""
DEFAULT_MODEL = "ViT-B-32:openai"
"""The base model of the published NegationCLIP."""
DEMO = "demo"
"""The value in negwb.toml for the model of the demo."""
ACTIVATIONS = ("quickgelu", "gelu")
"""Prefixes of a file, and endings of names of open_clip, that ask for an activation."""
TUNED = "tuned:"
"""Prefix of a routed model that asks for its tuned part alone (`trainers.models.routed_folder`)."""
HUB = "hf-hub"
"""Prefix of repositories of the Hugging Face hub."""
RUN_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")
"""Allowed names of runs."""


@dataclass(frozen=True, slots=True)
class Model:
    spec: str
    """The argument of `trainers.models.loading.load_model`."""
    label: str
    """The name in reports."""


def runs_folder(workspace: Workspace) -> Path:
    return workspace.root / "runs"


def list_runs(workspace: Workspace) -> list[Path]:
    """Return the folders of all runs, the oldest first."""
    configs = [
        config for config in runs_folder(workspace).glob("*/config.json") if RUN_NAME.fullmatch(config.parent.name)
    ]
    return [config.parent for config in sorted(configs, key=lambda config: (config.stat().st_mtime_ns, config.parent))]


def finished_runs(workspace: Workspace) -> list[Path]:
    """Return the folders of the runs that have a trained model, the oldest first."""
    return [folder for folder in list_runs(workspace) if read_run(folder).status is TrainingStatus.DONE]


def find_model(workspace: Workspace, spec: str) -> Model:
    """Resolve "base", a finished run, a folder, a file, [quickgelu:|gelu:]FILE, NAME:PRETRAINED, or hf-hub:OWNER/NAME.

    "tuned:" before a run or folder asks for the tuned part of a routed model.

    Raises:
        UsageError: There is no such model. Unknown weights of open_clip are noticed only when they are loaded.
    """
    if spec == BASE:
        return Model(base := base_model(workspace), short_name(base))
    if spec.startswith(TUNED):
        return Model(TUNED + find_model(workspace, spec.removeprefix(TUNED)).spec, spec)
    if (run := find_run(workspace, spec)) is not None:
        return Model(_model_of(run), run.name)
    path = Path(spec.removeprefix("local-dir:")).expanduser()
    if spec and _exists(path):
        return Model(str(path.resolve()), spec)
    return Model(_named(workspace, spec), spec)


def find_run(workspace: Workspace, spec: str) -> Path | None:
    """Return the folder of the run that `spec` names, finished or not, by its name or its folder."""
    run = runs_folder(workspace) / spec
    if RUN_NAME.fullmatch(spec) and (run / "config.json").is_file():
        return run
    path = Path(spec.removeprefix("local-dir:")).expanduser()
    if _exists(path) and (path / "config.json").is_file() and (path / MODEL).is_dir():
        return path.resolve()
    return None


def _named(workspace: Workspace, spec: str) -> str:
    """Return the spec of a file with its activation, of a repository of the hub, or of a name of open_clip."""
    name, _, pretrained = spec.partition(":")
    weights = Path(pretrained).expanduser()
    if name in ACTIVATIONS and _exists(weights):
        return f"{name}:{weights.resolve()}"
    if name == HUB and pretrained:
        return spec
    if not (name and pretrained):
        runs = [folder.name for folder in finished_runs(workspace)]
        hint = "a finished run, a folder, a .pth file, NAME:PRETRAINED of open_clip, or hf-hub:OWNER/NAME"
        raise UsageError(f"there is no model {spec!r}", hint=f"{hint}; runs here: {', '.join(runs)}" if runs else hint)
    if (architectures := _architectures()) and _architecture(name) not in architectures:
        near = ", ".join(get_close_matches(name, architectures, n=6))
        hint = f"open_clip knows {near}" if near else "NAME:PRETRAINED of open_clip, a folder, or a .pth file"
        raise UsageError(f"there is no model, file or folder {spec!r}", hint=hint)
    return f"{name}:{weights.resolve()}" if pretrained and _exists(weights) else spec


def _architectures() -> frozenset[str]:
    """Return the architectures of open_clip by its files, since importing it takes seconds; empty: not installed."""
    spec = importlib.util.find_spec("open_clip")
    folders = spec.submodule_search_locations if spec is not None else None
    return frozenset(file.stem for folder in folders or () for file in Path(folder).glob("model_configs/*.json"))


def _architecture(name: str) -> str:
    """Return the name as open_clip's files spell it, without an activation (see `trainers.models.loading`)."""
    return re.sub(rf"-({'|'.join(ACTIVATIONS)})$", "", name.replace("/", "-"))


def short_name(spec: str) -> str:
    """Return the name of a model in reports: NAME:PRETRAINED, or the last part of a path that is not "model"."""
    path = Path(spec)
    if not path.is_absolute():
        return spec
    return path.parent.name if path.name == MODEL else path.name


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # not a valid file name
        return False


def _model_of(run: Path) -> str:
    if read_run(run).status is not TrainingStatus.DONE:
        raise UsageError(
            f"the run {run.name} is not finished", hint=f"continue it with: negwb train --resume {run.name}"
        )
    return str(run / MODEL)


def base_model(workspace: Workspace) -> str:
    """Return the model that the newest run, or its first ancestor, was trained from.

    Without a run it is the model of negwb.toml, or CLIP. Failed runs do not count, since the model may be the cause.

    Raises:
        UsageError: negwb.toml cannot be read.
    """
    starts = (_start_of(folder) for folder in reversed(list_runs(workspace)) if not _failed(folder))
    spec = next((model for model in starts if model), "")
    return _first_ancestor(spec) or _model_of_settings(workspace) or DEFAULT_MODEL


def _first_ancestor(spec: str) -> str:
    """Return the model that the first run was trained from of the runs that lead to `spec`; `spec` if it is no run."""
    seen: set[str] = set()
    while spec not in seen and Path(spec).name == MODEL and (earlier := _start_of(Path(spec).parent)):
        seen.add(spec)
        spec = earlier
    return spec


def base_of(model: Model) -> Model | None:
    """Return the untrained model that a run, or its first ancestor, was trained from; None: `model` is no run."""
    spec = model.spec.removeprefix(TUNED)
    base = _first_ancestor(spec)
    return None if base == spec else Model(base, short_name(base))


def _failed(folder: Path) -> bool:
    return read_run(folder).status is TrainingStatus.FAILED


def _start_of(folder: Path) -> str:
    """Return the model that the run in `folder` starts from; "" without a readable run."""
    try:
        return read_config(folder).model.removeprefix(TUNED)
    except TrainerError:
        return ""


def base_hash(workspace: Workspace) -> str | None:
    """Return the hash of the base model from a finished run on it; None: there is no such run."""
    try:
        spec = base_model(workspace)
    except UsageError:
        return None
    for folder in reversed(finished_runs(workspace)):
        if _start_of(folder) == spec:
            base = read_run(folder).result.get("base", {})
            return str(base["model_hash"]) if isinstance(base, dict) and "model_hash" in base else None
    return None


def run_bases(workspace: Workspace) -> dict[str, str]:
    """Return the hash of each trained model and of the model that its run, or its first ancestor, started from."""
    starts: dict[str, str] = {}
    for folder in finished_runs(workspace):
        result = read_run(folder).result
        trained, start = _hash_in(result.get("model")), _hash_in(result.get("base"))
        if trained and start:
            starts[trained] = start
    return {model: _first_of(base, starts) for model, base in starts.items()}


def _hash_in(description: object) -> str:
    value = description.get("model_hash") if isinstance(description, dict) else None
    return value if isinstance(value, str) else ""


def _first_of(model: str, starts: Mapping[str, str]) -> str:
    seen = {model}
    while (earlier := starts.get(model)) is not None and earlier not in seen:
        seen.add(model := earlier)
    return model


def _model_of_settings(workspace: Workspace) -> str:
    """Return the model of [train] in negwb.toml as a spec of `load_model`; "" without one."""
    from workbench.workspace.settings.settings import read_settings  # noqa: PLC0415

    if not workspace.settings.is_file():
        return ""
    return spec_of_settings(read_settings(workspace.settings).base_model, workspace.root)


def spec_of_settings(model: str, root: Path) -> str:
    """Return [train] model of the negwb.toml in `root` as a spec of `load_model`."""
    if model == DEMO:
        return str(Path(workbench.__file__).with_name("demo") / "model")
    inside = root / Path(model).expanduser()
    if model and _exists(inside):
        return str(inside)
    name, colon, file = model.partition(":")
    inside = root / Path(file).expanduser()
    return f"{name}:{inside}" if colon and file and _exists(inside) else model


def require_torch() -> None:
    """Check that torch and open_clip are installed.

    Raises:
        UsageError: One of them is missing.
    """
    if not all(map(importlib.util.find_spec, ("torch", "open_clip"))):
        raise UsageError("models need torch and open_clip", hint=install_hint("train"))


def require_peft() -> None:
    """Check that peft is installed.

    Raises:
        UsageError: It is missing.
    """
    if importlib.util.find_spec("peft") is None:
        raise UsageError("lora_rank needs peft", hint=install_hint("lora"))
