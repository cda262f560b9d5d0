"""The demo's experiments: training data, export and run folder of each; existing exports and runs are reused.

`tuned` learns from the accepted pairs. `trained-on-all` learns from everything that the judges passed, the result of
skipping human curation. `negated-only` reads no affirmative caption: it scores high on denied phrases and at chance on
affirmed ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curation_db.enums import State
from curation_db.exporting.manifest import Manifest, ManifestError, list_exports, read_manifest, verify
from curation_db.exporting.selection import ExportFilter
from trainers.settings import read_config
from workbench import demo, version
from workbench.jobs.runs import make_config, prepare_run
from workbench.workspace.layout import Workspace
from workbench.workspace.models import runs_folder
from workbench.workspace.operations import freeze_set

MODEL = Path(demo.__file__).resolve().with_name("model")
"""Folder of the tiny CLIP that comes with the demo."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """A training with its data and its changes to the demo's recipe."""

    name: str
    """Name of its runs and of its models in the report."""
    states: tuple[State, ...]
    """States of the pairs to train on."""
    edits: bool = True
    """Whether to train on texts that an annotator edited."""
    changes: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Settings that replace those of the demo's recipe."""

    @property
    def key(self) -> str:
        """Key in the demo's JSON."""
        return self.name.replace("-", "_")


TUNED = Experiment("tuned", (State.ACCEPTED,))
ALL = Experiment("trained-on-all", tuple(State), edits=False)
NEGATED_ONLY = Experiment(
    "negated-only",
    (State.ACCEPTED,),
    changes={"replay_share": 0.0, "replay_pool": None, "anchor_weight": 0.0},  # the anchor term needs replayed captions
)


def find_or_freeze(workspace: Workspace, experiment: Experiment, event: int) -> Manifest:
    """Return the experiment's export as of `event`: a valid existing one, or a new one."""
    wanted = ExportFilter(experiment.states, experiment.edits).to_dict()
    for name in list_exports(workspace.exports):
        folder = workspace.exports / name
        try:
            manifest = read_manifest(folder)
        except ManifestError:
            continue
        existing = (manifest.event_seq, manifest.selection, manifest.tool_version)
        if existing == (event, wanted, version()) and not verify(folder):
            return manifest
    return freeze_set(workspace, at=event, states=experiment.states, edits=experiment.edits)


def find_or_make_run(workspace: Workspace, experiment: Experiment, export: str, seed: int) -> Path:
    """Return the run folder of the experiment and seed; a run with an equal configuration is continued."""
    settings = {**experiment.changes, "seed": seed}
    config = make_config(workspace, export, model=str(MODEL), settings=settings)
    stem = f"{experiment.name}-seed-{seed}" if seed else experiment.name
    number = 1
    while True:
        name = stem if number == 1 else f"{stem}-{number}"
        folder = runs_folder(workspace) / name
        if not folder.exists():
            return prepare_run(workspace, export, model=str(MODEL), name=name, settings=settings)
        if _is_run(folder) and read_config(folder) == config:
            return folder
        number += 1


def _is_run(folder: Path) -> bool:
    return (folder / "config.json").is_file()
