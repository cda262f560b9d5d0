"""From a run to its export to the decisions behind it, and `negwb report training`; nothing is trained here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.ablated import SCORES, ablated_workspace, decide
from support.commands import workspace_with_candidates
from typer.testing import CliRunner

from curation_db.enums import Kind, Reason
from workbench.cli import app
from workbench.errors import NothingToDo, UsageError
from workbench.reports.run_origin import count_by, read_origins
from workbench.workspace.ablation_names import ARMS, ArmName, arm_of
from workbench.workspace.layout import Workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return ablated_workspace(tmp_path_factory.mktemp("origin"))


@pytest.fixture
def own_workspace(tmp_path: Path) -> Workspace:
    """A workspace that the test may change."""
    return ablated_workspace(tmp_path)


def origins(workspace: Workspace) -> dict[str, Any]:
    folders = sorted((workspace.root / "runs").iterdir())
    return {origin.run.rpartition("ablate-")[2]: origin for origin in read_origins(workspace, folders)}


def training(workspace: Workspace, *words: str) -> Any:
    return CliRunner().invoke(app, ["-w", str(workspace.root), "report", "training", *words])


def test_a_run_leads_to_its_pairs_and_to_the_rejected_ones(workspace: Workspace) -> None:
    found = origins(workspace)
    figures = {name: (each.accepted, each.rejected, len(each.left_out)) for name, each in found.items()}
    assert figures == {"accepted": (4, 0, 3), "present": (4, 2, 1), "scope": (4, 1, 2)}
    assert count_by(found["accepted"].left_out, "reason") == {"present": 2, "scope": 1}
    assert count_by(found["present"].items, "reason") == {"present": 2}
    assert count_by(found["present"].items, "decider") == {"ana": 4, "bob": 2}
    assert all(each.problem == "" for each in found.values())


def test_later_decisions_change_nothing(own_workspace: Workspace) -> None:
    decide(own_workspace, "ana", (8, Kind.REJECT, Reason.DUPLICATE), (1, Kind.REJECT, Reason.PRESENT))
    accepted = origins(own_workspace)["accepted"]
    assert (accepted.accepted, count_by(accepted.left_out, "reason")) == (4, {"present": 2, "scope": 1})


@pytest.mark.long
def test_a_moved_workspace_is_read_at_its_new_place(own_workspace: Workspace, tmp_path: Path) -> None:
    moved = Workspace(tmp_path / "moved")
    own_workspace.root.rename(moved.root)
    assert origins(moved)["accepted"].export.folder == moved.exports / "set-001"


def test_a_missing_or_another_export_is_named(own_workspace: Workspace) -> None:
    folder = own_workspace.exports / "set-001"
    other = own_workspace.exports / "set-001.ablate-scope"
    shutil.rmtree(folder)
    assert "does not exist" in origins(own_workspace)["accepted"].problem
    shutil.copytree(other, folder)
    found = origins(own_workspace)["accepted"]
    assert (found.items, found.left_out) == ((), None)
    assert "hash differs" in found.problem


def test_a_record_without_the_history_gives_no_left_out_pairs(own_workspace: Workspace, tmp_path: Path) -> None:
    other = workspace_with_candidates(tmp_path / "other", 10)
    decide(other, "eve", *((number, Kind.REJECT, Reason.SCOPE) for number in range(1, 9)))
    shutil.copyfile(other.database, own_workspace.database)
    found = origins(own_workspace)["accepted"]
    assert (found.accepted, found.left_out) == (4, None)
    assert "history" in found.problem


def test_the_arms_stand_side_by_side_against_the_accepted_pairs(workspace: Workspace) -> None:
    runs = json.loads(training(workspace, "--json").stdout)["runs"]
    rows = {run["arm"]["arm"]: run["results"][0] for run in runs}
    assert {arm: row["correct"] for arm, row in rows.items()} == SCORES
    differences = {arm: row["base"] and round(row["base"]["difference"]["estimate"], 2) for arm, row in rows.items()}
    assert differences == {"accepted": None, "present": -0.3, "scope": -0.05}


def test_the_tables_show_pairs_and_scores_by_training_cue(workspace: Workspace) -> None:
    output = training(workspace).stdout
    lines = [line.split() for line in output.splitlines()]
    assert ["set-001.ablate-present", "present", "set-001.ablate-present"] in [line[:3] for line in lines]
    cues = {line[0]: line[2:4] for line in lines if "set-001.ablate-present" in line and line[0] in ("no", "without")}
    assert cues == {"without": ["6", "5/10"], "no": ["0", "5/10"]}
    assert ["present", "set-001.ablate-accepted", "0", "2"] in lines


def test_a_task_that_a_run_was_trained_on_is_named(own_workspace: Workspace) -> None:
    for path in (own_workspace.root / "results").glob("*.json"):
        content = json.loads(path.read_text())
        overlap = {"runs": ["r"], "training_images": 9, "images": 1, "by_id": 1, "by_content": 0, "items": 1}
        path.write_text(json.dumps(content | ({"overlap": overlap} if "scope" in content["model"]["name"] else {})))
    assert "demo-negref is left out: trained on 1 of its 20 images" in training(own_workspace).stdout
    for path in (own_workspace.root / "results").glob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"overlap": overlap}))
    assert training(own_workspace).stdout.count("demo-negref is left out") == 3


def test_decisions_are_listed_with_a_filter(workspace: Workspace) -> None:
    words = ("set-001.ablate-accepted", "--decisions", "9", "--only", "reason=present")
    (run,) = json.loads(training(workspace, *words, "--json").stdout)["runs"]
    assert [(each["deciders"], each["in_export"]) for each in run["decisions"]] == [(["bob"], False)] * 2
    assert "2 OF 2 DECISIONS, REASON PRESENT" in training(workspace, *words).stdout


@pytest.mark.long
def test_a_run_without_a_result_is_listed(own_workspace: Workspace) -> None:
    shutil.rmtree(own_workspace.root / "results")
    done = training(own_workspace)
    assert done.exit_code == 0, done.output
    assert "set-001.ablate-scope" in done.stdout


@pytest.mark.parametrize("words", [("no-such-run",), ("--only", "cue"), ("--only", "colour=red")])
def test_wrong_words_are_named(workspace: Workspace, words: tuple[str, ...]) -> None:
    assert isinstance(training(workspace, *words).exception, UsageError)


def test_without_a_finished_run_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert isinstance(training(workspace_with_candidates(tmp_path, 2)).exception, NothingToDo)


@pytest.mark.parametrize("arm", ARMS)
def test_the_name_of_a_run_names_its_arm(arm: str) -> None:
    assert arm_of(f"my.set-1.ablate-{arm}") == ArmName("my.set-1", arm, None)
    assert arm_of(f"set-001.ablate-{arm}-seed-7") == ArmName("set-001", arm, 7)
    assert arm_of(f"set-001.ablate-{arm}-2") == ArmName("set-001", arm, None)
    assert arm_of(f"set-001-{arm}") is None
