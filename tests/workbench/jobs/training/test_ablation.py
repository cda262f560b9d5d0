"""The arms of an ablation: their pairs, their exports and their runs; nothing is trained here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.commands import workspace_with_candidates

from curation_db.enums import Kind, Reason, Role
from curation_db.events.annotators import begin_session
from curation_db.exporting.manifest import list_exports, read_items, read_manifest
from curation_db.review.decisions import DecisionWriter
from curation_db.storage.store import Store, open_store
from trainers.settings import TrainSettings, read_config
from workbench.errors import NothingToDo, UsageError
from workbench.jobs.training import ablation
from workbench.jobs.training.ablation import make_plan, prepare_runs, updates
from workbench.workspace.layout import Workspace
from workbench.workspace.operations import freeze_set

SETTINGS = {"batch": 2, "epochs": 3, "threads": 1}


def _writer(store: Store, name: str, role: Role | None = None) -> DecisionWriter:
    return DecisionWriter(store, begin_session(store, name, version="test", role=role))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Ten candidates: 1 to 4 accepted, 5 and 6 rejected as present, 7 for its scope, 8 accepted by a policy."""
    created = workspace_with_candidates(tmp_path, 10)
    with open_store(created.database) as store:
        ana = _writer(store, "ana")
        for number in (1, 2, 3, 4):
            ana.decide(number, Kind.ACCEPT)
        for number, reason in ((5, Reason.PRESENT), (6, Reason.PRESENT), (7, Reason.SCOPE)):
            ana.decide(number, Kind.REJECT, reason=reason)
        _writer(store, "auto", Role.POLICY).decide(8, Kind.ACCEPT)
    return created


def _keys(folder: Path) -> list[str]:
    return sorted(item.text.rpartition(" ")[2] for item in read_items(folder))


def _prepare(workspace: Workspace, **more: Any) -> list[ablation.ArmRun]:
    plan = make_plan(workspace, more.pop("export", None), more.pop("names", ()))
    return prepare_runs(workspace, plan, settings={**SETTINGS, **more})


def test_the_arms_and_those_that_measure_nothing(workspace: Workspace) -> None:
    plan = make_plan(workspace)
    assert [(arm.name, arm.pairs, arm.added, arm.removed) for arm in plan.arms] == [
        ("accepted", 5, 0, 0),
        ("present", 7, 2, 0),
        ("scope", 6, 1, 0),
        ("without-auto", 4, 0, 1),
    ]
    assert [each.name for each in plan.omitted] == [
        "rest_false",
        "gratuitous",
        "ungrammatical",
        "duplicate",
        "bad_image",
    ]
    assert all("none is rejected" in each.why for each in plan.omitted)
    assert not list_exports(workspace.exports), "a plan writes nothing"


def test_each_arm_has_an_export_and_a_run_of_its_name(workspace: Workspace) -> None:
    runs = _prepare(workspace)
    assert [(run.arm.name, run.export, run.folder.name) for run in runs] == [
        ("accepted", "set-001", "set-001.ablate-accepted"),
        ("present", "set-001.ablate-present", "set-001.ablate-present"),
        ("scope", "set-001.ablate-scope", "set-001.ablate-scope"),
        ("without-auto", "set-001.ablate-without-auto", "set-001.ablate-without-auto"),
    ]
    texts = {run.arm.name: _keys(workspace.exports / run.export) for run in runs}
    assert texts == {
        "accepted": ["0", "1", "2", "3", "7"],
        "present": ["0", "1", "2", "3", "4", "5", "7"],
        "scope": ["0", "1", "2", "3", "6", "7"],
        "without-auto": ["0", "1", "2", "3"],
    }


def test_the_arms_differ_in_their_export_alone(workspace: Workspace) -> None:
    """4 accepted pairs train in 2 batches: 6 updates in 3 epochs, also with 7 pairs; no arm stops early."""
    configs = [read_config(run.folder) for run in _prepare(workspace, patience=2)]
    assert {config.settings for config in configs} == {
        TrainSettings(batch=2, epochs=3, threads=1, steps=6, patience=None)
    }
    assert len({config.model for config in configs}) == 1
    assert len({config.export for config in configs}) == 4


def test_a_second_call_finds_everything(workspace: Workspace) -> None:
    first = _prepare(workspace)
    assert _prepare(workspace) == first
    assert _prepare(workspace, export="set-001") == first
    assert len(list_exports(workspace.exports)) == 4
    assert len(list((workspace.root / "runs").iterdir())) == 4


def test_an_interrupted_call_is_continued(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    freeze: Callable[..., Any] = ablation.freeze_set

    def interrupted(*arguments: Any, **more: Any) -> Any:
        calls.append("")
        if len(calls) == 3:
            raise KeyboardInterrupt
        return freeze(*arguments, **more)

    monkeypatch.setattr(ablation, "freeze_set", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _prepare(workspace)
    monkeypatch.undo()
    assert [run.export for run in _prepare(workspace)] == list_exports(workspace.exports)
    assert len(list_exports(workspace.exports)) == 4


def test_an_export_is_taken_as_of_its_event(workspace: Workspace) -> None:
    freeze_set(workspace, "early")
    with open_store(workspace.database) as store:
        ana = _writer(store, "ana")
        ana.decide(9, Kind.REJECT, reason=Reason.PRESENT)
        ana.decide(10, Kind.ACCEPT)
    assert {arm.name: arm.pairs for arm in make_plan(workspace, "early").arms}["present"] == 7
    assert {arm.name: arm.pairs for arm in make_plan(workspace).arms}["present"] == 9
    runs = _prepare(workspace, export="early", names=["present"])
    assert [run.folder.name for run in runs] == ["early.ablate-accepted", "early.ablate-present"]
    assert _keys(workspace.exports / runs[1].export) == ["0", "1", "2", "3", "4", "5", "7"]
    assert len({read_manifest(workspace.exports / run.export).event_seq for run in runs}) == 1


def test_the_seed_and_other_settings_give_runs_of_their_own(workspace: Workspace) -> None:
    first = _prepare(workspace, names=["scope"])
    seeded = _prepare(workspace, names=["scope"], seed=1)
    assert [run.folder.name for run in seeded] == ["set-001.ablate-accepted-seed-1", "set-001.ablate-scope-seed-1"]
    changed = _prepare(workspace, names=["scope"], lr=0.5)
    assert [run.folder.name for run in changed] == ["set-001.ablate-accepted-2", "set-001.ablate-scope-2"]
    assert _prepare(workspace, names=["scope"]) == first


@pytest.mark.parametrize(
    ("settings", "pairs", "expected"),
    [
        ({"steps": 7}, 100, 7),
        ({"batch": 8, "epochs": 2, "val_share": 0.2}, 100, 20),
        ({"batch": 8, "epochs": 2, "val_share": 0.2, "replay_share": 0.5}, 100, 40),
        ({"batch": 512, "epochs": 3}, 4, 3),
    ],
)
def test_the_number_of_updates(settings: dict[str, Any], pairs: int, expected: int) -> None:
    assert updates(TrainSettings(**settings), pairs) == expected


def test_early_stops_of_a_recipe_are_switched_off(workspace: Workspace, tmp_path: Path) -> None:
    recipe = tmp_path / "early.toml"
    recipe.write_text('summary = "stops early"\n[settings]\nepochs = 2\npatience = 1\n')
    plan = make_plan(workspace, names=["scope"])
    runs = prepare_runs(workspace, plan, recipe=str(recipe), settings={"batch": 2, "threads": 1})
    config = read_config(runs[0].folder)
    assert config.settings.patience is None
    assert config.recipe is not None
    assert config.recipe.overridden == dict.fromkeys(("batch", "threads", "steps", "patience"), "command line")


def test_a_damaged_export_of_an_arm_is_refused(workspace: Workspace) -> None:
    _prepare(workspace, names=["scope"])
    manifest = workspace.exports / "set-001.ablate-scope" / "manifest.json"
    content = json.loads(manifest.read_text())
    manifest.chmod(0o644)
    manifest.write_text(json.dumps({**content, "event_seq": 1}))
    with pytest.raises(UsageError, match="damaged or holds other pairs"):
        _prepare(workspace, names=["scope"])


class TestRefusals:
    def test_unknown_arm(self, workspace: Workspace) -> None:
        with pytest.raises(UsageError, match="unknown arm 'rejected'"):
            make_plan(workspace, names=["rejected"])

    def test_unknown_export(self, workspace: Workspace) -> None:
        with pytest.raises(UsageError, match="unknown export"):
            make_plan(workspace, "set-009")

    def test_an_export_of_other_pairs(self, workspace: Workspace) -> None:
        plan = make_plan(workspace, names=["scope"])
        freeze_set(workspace, "more", selection=plan.arms[1].selection)
        with pytest.raises(UsageError, match="does not hold all accepted pairs and no others"):
            make_plan(workspace, "more")

    def test_an_export_of_another_record(self, workspace: Workspace, tmp_path: Path) -> None:
        other = workspace_with_candidates(tmp_path / "other", 3)
        with open_store(other.database) as store:
            _writer(store, "ana").decide(1, Kind.ACCEPT)
        manifest = freeze_set(other)
        with pytest.raises(UsageError, match="does not come from the record"):
            make_plan(workspace, str(other.exports / manifest.name))

    def test_no_accepted_pair(self, tmp_path: Path) -> None:
        with pytest.raises(NothingToDo, match="no pair is accepted"):
            make_plan(workspace_with_candidates(tmp_path, 2))

    def test_no_arm_that_differs(self, workspace: Workspace) -> None:
        with pytest.raises(NothingToDo, match="no arm differs") as caught:
            make_plan(workspace, names=["duplicate"])
        assert "duplicate: it would have the accepted pairs only" in caught.value.hint


def test_two_arms_with_the_same_pairs_are_one(workspace: Workspace) -> None:
    """GIVEN pairs that two people reject for two reasons THEN the arms of both reasons are equal."""
    with open_store(workspace.database) as store:
        eva = _writer(store, "eva")
        eva.decide(7, Kind.REJECT, reason=Reason.DUPLICATE)
    omitted = {each.name: each.why for each in make_plan(workspace).omitted}
    assert omitted["duplicate"] == "it would have the same pairs as scope"


def test_all_accepted_by_a_policy(tmp_path: Path) -> None:
    workspace = workspace_with_candidates(tmp_path, 2)
    with open_store(workspace.database) as store:
        _writer(store, "auto", Role.POLICY).decide(1, Kind.ACCEPT)
        _writer(store, "ana").decide(2, Kind.REJECT, reason=Reason.SCOPE)
    plan = make_plan(workspace)
    assert [arm.name for arm in plan.arms] == ["accepted", "scope"]
    assert {each.name: each.pairs for each in plan.omitted}["without-auto"] == 0
