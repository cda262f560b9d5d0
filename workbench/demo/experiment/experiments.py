"""The demo's trainings: what each learns from, its frozen set, its run folder; all of it found again where it is there.

`tuned` learns from what a person accepted; `trained-on-all` from everything that the judges passed, which is what
skipping the person would have given; `negated-only` never reads an affirmative caption: on denied phrases it looks like
a success, on affirmed ones it guesses.
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
"""The tiny CLIP that comes with the demo, whatever else is trained in its workspace."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """One way of training."""

    name: str
    """Of its runs, and so of its models in the report."""
    states: tuple[State, ...]
    """What of the record it learns from."""
    edits: bool = True
    """Whether texts that a person wrote are among it."""
    changes: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Of the demo's recipe."""

    @property
    def key(self) -> str:
        """In the demo's JSON."""
        return self.name.replace("-", "_")


TUNED = Experiment("tuned", (State.ACCEPTED,))
ALL = Experiment("trained-on-all", tuple(State), edits=False)
NEGATED_ONLY = Experiment(
    "negated-only",
    (State.ACCEPTED,),
    changes={"replay_share": 0.0, "replay_pool": None, "anchor_weight": 0.0},  # the anchor is of replayed captions
)


def find_or_freeze(workspace: Workspace, arm: Experiment, event: int) -> Manifest:
    """The arm's set as of `event`: a sound one that was frozen before, or a new one."""
    wanted = ExportFilter(arm.states, arm.edits).to_dict()
    for name in list_exports(workspace.exports):
        folder = workspace.exports / name
        try:
            manifest = read_manifest(folder)
        except ManifestError:
            continue
        asked = (manifest.event_seq, manifest.selection, manifest.tool_version)
        if asked == (event, wanted, version()) and not verify(folder):
            return manifest
    return freeze_set(workspace, at=event, states=arm.states, edits=arm.edits)


def find_or_make_run(workspace: Workspace, arm: Experiment, export: str, seed: int) -> Path:
    """The run folder of the arm under this seed; one with the very same configuration is gone on with."""
    settings = {**arm.changes, "seed": seed}
    config = make_config(workspace, export, model=str(MODEL), settings=settings)
    stem = f"{arm.name}-seed-{seed}" if seed else arm.name
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
