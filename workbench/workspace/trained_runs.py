"""Join of a measured model with the run that trained it, and of a run with the export that it trained on.

Imports no typer, textual, torch or SQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from curation_db.exporting.manifest import Manifest, ManifestError, read_manifest
from trainers.run_files import read_run
from trainers.settings import RunConfig, read_config
from workbench.workspace.layout import Workspace
from workbench.workspace.models import finished_runs


def runs_by_model(workspace: Workspace) -> dict[str, Path]:
    """Return the folders of the finished runs by the hash of the model that they trained; of equal models the newest.

    A run of an older negwb, which did not write the hash, is left out.
    """
    runs: dict[str, Path] = {}
    for folder in finished_runs(workspace):
        model = read_run(folder).result.get("model")
        if isinstance(model, dict) and isinstance(digest := model.get("model_hash"), str):
            runs[digest] = folder
    return runs


@dataclass(frozen=True, slots=True)
class TrainedExport:
    """The export that a run trained on."""

    config: RunConfig
    name: str
    folder: Path | None = None
    """None: it is missing, or it no longer has the content that the run read."""
    manifest: Manifest | None = None
    problem: str = ""
    """Why there is no folder, on one line."""


def trained_export(workspace: Workspace, run: Path) -> TrainedExport:
    """Find the export of a run, at its path in config.json or by its name in exports/ (the workspace may have moved).

    Raises:
        TrainerError: config.json cannot be read.
    """
    config = read_config(run)
    name = Path(config.export).name
    wanted = read_run(run).result.get("export_sha256")
    problem = f"the export {name} does not exist here"
    for folder in (Path(config.export), workspace.exports / name):
        if not folder.is_dir():
            continue
        try:
            manifest = read_manifest(folder)
        except ManifestError as error:
            problem = str(error)
            continue
        if wanted in (None, manifest.export_sha256):
            return TrainedExport(config, name, folder, manifest)
        problem = f"the export {name} is not the one that the run read: its hash differs"
    return TrainedExport(config, name, problem=problem)
