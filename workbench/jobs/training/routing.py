"""Makes a routed model of a base and a tuned one, in this process, because nothing is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainers.settings import read_config
from workbench.errors import UsageError
from workbench.jobs.training.runs import new_run_folder
from workbench.workspace.layout import Workspace
from workbench.workspace.models import MODEL, find_model, find_run, require_torch

if TYPE_CHECKING:
    from trainers.models.routed import RoutedClipModel


@dataclass(frozen=True, slots=True)
class Routed:
    run: str | None
    """Name of the new run; None: the model was written to a folder of its own."""
    folder: Path
    """The folder of the model."""
    model: RoutedClipModel


def route(
    workspace: Workspace,
    tuned: str,
    *,
    base: str | None = None,
    name: str | None = None,
    out: Path | None = None,
    device: str = "cpu",
    started: Callable[[str], None] = lambda line: None,
) -> Routed:
    """Make a routed model, as a new run, or in the folder `out`.

    Args:
        tuned: A finished run; with `base` and `out`, any model as for `find_model`.
        base: Model as for `find_model`; None: the model that the run started from.
        name: Name of the new run; None: that of the run with the ending -routed.
        started: Called with a line before each step that takes seconds.

    Raises:
        UsageError: a model or run does not exist, or the name is taken or invalid.
        TrainerError: a model cannot be loaded, the two do not fit, or the folder exists or cannot be written.
    """
    tuned_model, run = find_model(workspace, tuned), find_run(workspace, tuned)
    if run is None and (base is None or out is None):
        raise UsageError(f"{tuned} is not a run", hint="name its base and a new folder: --base MODEL --out FOLDER")
    folder = new_run_folder(workspace, name or f"{tuned_model.label}-routed") if out is None else out.absolute()
    if folder.exists():
        raise UsageError(f"{folder} exists already", hint="choose another one: --name NAME, or --out FOLDER")
    base_spec = read_config(run).model if base is None and run is not None else find_model(workspace, str(base)).spec
    require_torch()
    from trainers.models.loading import load_model  # noqa: PLC0415  # torch takes seconds to import
    from trainers.models.routed import route_models  # noqa: PLC0415
    from trainers.routed_run import save_routed_folder, save_routed_run  # noqa: PLC0415

    started(f"reading the base {base_spec}")
    loaded_base = load_model(base_spec, device=device)
    started(f"reading {tuned}")
    routed = route_models(loaded_base, load_model(tuned_model.spec, device=device), name=str(folder))
    started(f"writing {folder}")
    if out is not None or run is None:
        save_routed_folder(routed, folder)
        return Routed(None, folder, routed)
    save_routed_run(run, routed, folder, base=base_spec)
    return Routed(folder.name, folder / MODEL, routed)
