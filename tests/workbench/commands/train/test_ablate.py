"""`negwb ablate`: the plan, the order of the trainings, interruption and refusal; one real ablation in a long run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands import negwb as in_process
from support.loops import make_workspace, negwb

from curation_db.enums import Kind, Reason
from curation_db.events.annotators import begin_session
from curation_db.exporting.manifest import list_exports
from curation_db.review.decisions import DecisionWriter
from curation_db.storage.store import open_store
from trainers.errors import RunRefused
from trainers.run_files import DONE, RunState, RunWriter, read_run
from workbench.commands import train
from workbench.errors import NothingToDo
from workbench.workspace.layout import Workspace

OPTIONS = ("--set", "batch=4", "--set", "threads=1", "--set", "val_share=0.2", "--steps", 2)
ARMS = ["accepted", "present", "scope"]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """24 pairs of which two are rejected as present and one for its scope."""
    created = make_workspace(tmp_path)
    with open_store(created.database) as store:
        ana = DecisionWriter(store, begin_session(store, "ana", version="test"))
        for number, reason in ((1, Reason.PRESENT), (2, Reason.PRESENT), (3, Reason.SCOPE)):
            ana.decide(number, Kind.REJECT, reason=reason)
    return created


class Trainings:
    """Trainings that only write done.json."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        self.failures: dict[str, BaseException] = {}
        monkeypatch.setattr(train, "train_run", self._train)

    def _train(self, folder: Path) -> RunState:
        self.names.append(folder.name.rpartition("ablate-")[2])
        if (failure := self.failures.pop(self.names[-1], None)) is not None:
            raise failure
        RunWriter(folder).end(DONE, {"steps": 2, "model": {}})
        return read_run(folder)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    return Trainings(monkeypatch)


def test_a_dry_run_writes_nothing(workspace: Workspace) -> None:
    before = sorted(path for path in workspace.root.rglob("*") if "curation.db" not in path.name)
    shown = in_process(workspace, "ablate", "--dry-run")
    assert [line.split() for line in shown.stdout.splitlines()[2:5]] == [
        ["accepted", "21", "+0", "-0"],
        ["present", "23", "+2", "-0"],
        ["scope", "22", "+1", "-0"],
    ]
    assert "duplicate is left out: it would have the accepted pairs only" in shown.stderr
    report = json.loads(in_process(workspace, "ablate", "--dry-run", "--json").stdout)
    assert [arm["arm"] for arm in report["arms"]] == ARMS
    assert {each["name"] for each in report["omitted"]} >= {"duplicate", "without-auto"}
    assert sorted(path for path in workspace.root.rglob("*") if "curation.db" not in path.name) == before


def test_finished_arms_are_not_trained_again(workspace: Workspace, trainings: Trainings) -> None:
    tiny = ("--model", workspace.root.parent / "tiny")
    trainings.failures["present"] = KeyboardInterrupt()
    stopped = in_process(workspace, "ablate", *OPTIONS, *tiny)
    assert stopped.exit_code == 130
    assert trainings.names == ["accepted", "present"]
    assert "the same negwb ablate continues" in stopped.stderr

    done = in_process(workspace, "ablate", *OPTIONS, *tiny, "--json")
    assert trainings.names == ["accepted", "present", "present", "scope"]
    report = json.loads(done.stdout)
    assert [arm["run"] for arm in report["arms"]] == [f"set-002.ablate-{name}" for name in ARMS]
    assert [arm["pairs"] for arm in report["arms"]] == [21, 23, 22]
    assert {arm["status"] for arm in report["arms"]} == {"done"}
    assert report["export"] == "set-002", "set-001 holds the pairs before the rejections"
    assert list_exports(workspace.exports) == ["set-001", "set-002", "set-002.ablate-present", "set-002.ablate-scope"]

    shown = in_process(workspace, "ablate", *OPTIONS, *tiny)
    assert len(trainings.names) == 4
    assert "set-002.ablate-scope" in shown.stdout
    assert "--model base --model set-002.ablate-accepted --model set-002.ablate-present" in shown.stderr


def test_a_refused_training_leaves_no_run(workspace: Workspace, trainings: Trainings) -> None:
    trainings.failures["present"] = RunRefused("no")
    done = in_process(workspace, "ablate", *OPTIONS, "--model", workspace.root.parent / "tiny")
    assert isinstance(done.exception, RunRefused)
    assert [run.name for run in (workspace.root / "runs").iterdir()] == ["set-002.ablate-accepted"]


def test_without_another_arm_there_is_nothing_to_do(workspace: Workspace, trainings: Trainings) -> None:
    done = in_process(workspace, "ablate", "set-001")
    assert isinstance(done.exception, NothingToDo)
    assert not trainings.names


@pytest.mark.long
def test_the_arms_are_trained_with_the_same_number_of_updates(workspace: Workspace) -> None:
    done = negwb(workspace, "ablate", "--arm", "present", *OPTIONS, "--model", workspace.root.parent / "tiny", "--json")
    assert done.returncode == 0, done.stderr
    accepted, present = json.loads(done.stdout)["arms"]
    assert accepted["steps"] == present["steps"] == 2
    assert accepted["base_hash"] == present["base_hash"]
    assert accepted["model_hash"] != present["model_hash"]
    assert accepted["export_sha256"] != present["export_sha256"]
    again = negwb(
        workspace, "ablate", "--arm", "present", *OPTIONS, "--model", workspace.root.parent / "tiny", "--json"
    )
    assert json.loads(again.stdout)["arms"] == [accepted, present]
