"""A workspace with an ablation whose arms are finished and evaluated, without any training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.commands import workspace_with_candidates
from support.results import make_result

from curation_db.enums import Kind, Reason
from curation_db.events.annotators import begin_session
from curation_db.exporting.manifest import read_manifest
from curation_db.review.decisions import DecisionWriter
from curation_db.storage.store import open_store
from trainers.run_files import DONE, RunWriter
from workbench.jobs.training.ablation import make_plan, prepare_runs
from workbench.workspace.layout import Workspace

SETTINGS = {"batch": 2, "epochs": 3, "threads": 1}
SCORES = {"accepted": 16, "present": 10, "scope": 15}
"""Right answers of the arms, of 20."""


def decide(workspace: Workspace, name: str, *decisions: tuple[int, Kind, Reason | None]) -> None:
    with open_store(workspace.database) as store:
        writer = DecisionWriter(store, begin_session(store, name, version="test"))
        for number, kind, reason in decisions:
            writer.decide(number, kind, reason=reason)


def finish(workspace: Workspace, folder: Path, export: str, right: int | None) -> None:
    """Complete a run with the hash of its export and, with `right`, a result of its model."""
    result: dict[str, Any] = {"steps": 1, "export_sha256": read_manifest(workspace.exports / export).export_sha256}
    if right is not None:
        stored = make_result(workspace, "demo-negref", folder.name, [at < right for at in range(20)])
        result["model"] = {"model_hash": stored.result["model"]["hash"]}
    RunWriter(folder).end(DONE, result)


def ablated_workspace(folder: Path) -> Workspace:
    """Return a workspace with 1 to 4 accepted, 5 and 6 rejected as present by bob, 7 for its scope, and three arms."""
    created = workspace_with_candidates(folder, 10)
    decide(created, "ana", *((number, Kind.ACCEPT, None) for number in (1, 2, 3, 4)), (7, Kind.REJECT, Reason.SCOPE))
    decide(created, "bob", (5, Kind.REJECT, Reason.PRESENT), (6, Kind.REJECT, Reason.PRESENT))
    for run in prepare_runs(created, make_plan(created), settings=SETTINGS):
        finish(created, run.folder, run.export, SCORES[run.arm.name])
    return created
