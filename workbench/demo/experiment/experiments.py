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
from curation_db.exporting.selection import ExportFilter
from workbench import demo
from workbench.jobs.training.runs import find_or_create_run, make_config
from workbench.workspace.layout import Workspace

MODEL = Path(demo.__file__).resolve().with_name("model")
"""Folder of the tiny CLIP that comes with the demo."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """A training with its data and its changes to the demo's recipe."""

    name: str
    """Name of its runs and of its models in the report."""
    selection: ExportFilter
    """Pairs to train on."""
    changes: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Settings that replace those of the demo's recipe."""

    @property
    def key(self) -> str:
        """Key in the demo's JSON."""
        return self.name.replace("-", "_")


TUNED = Experiment("tuned", ExportFilter())
ALL = Experiment("trained-on-all", ExportFilter(tuple(State), edits=False))
NEGATED_ONLY = Experiment(
    "negated-only",
    ExportFilter(),
    changes={"replay_share": 0.0, "replay_pool": None, "anchor_weight": 0.0},  # the anchor term needs replayed captions
)


def find_or_make_run(workspace: Workspace, experiment: Experiment, export: str, seed: int) -> Path:
    """Return the run folder of the experiment and seed; a run with an equal configuration is continued."""
    name = f"{experiment.name}-seed-{seed}" if seed else experiment.name
    config = make_config(workspace, export, model=str(MODEL), settings={**experiment.changes, "seed": seed})
    return find_or_create_run(workspace, name, config)
