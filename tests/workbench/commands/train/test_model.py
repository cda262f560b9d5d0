"""`negwb model route` and `negwb train --routed`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.clip_models import make_tiny
from support.commands import negwb
from support.loops import make_workspace

from trainers.errors import TrainerError
from trainers.loop.finetune import run_training
from trainers.models.loading import load_model
from trainers.models.saving import save_model
from trainers.settings import read_config
from workbench.errors import UsageError
from workbench.jobs.training.run_monitor import RunMonitor
from workbench.jobs.training.runs import prepare_run
from workbench.tui.rendering.runs import facts
from workbench.workspace.layout import Workspace
from workbench.workspace.models import base_model, find_model, runs_folder

SMALL = {"steps": 2, "batch": 4, "lr": 1e-3, "threads": 1, "val_share": 0.2}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Workspace with the finished run `first`, and the routed run `first-routed` made of it."""
    created = make_workspace(tmp_path_factory.mktemp("model"))
    run_training(prepare_run(created, "set-001", model=str(tiny(created)), name="first", settings=SMALL))
    done = negwb(created, "model", "route", "first", "--json")
    assert done.exit_code == 0, done.output
    (created.root / "route.json").write_text(done.stdout)
    return created


def tiny(workspace: Workspace) -> Path:
    return workspace.root.parent / "tiny"


def test_a_run_is_routed(workspace: Workspace) -> None:
    shown = json.loads((workspace.root / "route.json").read_text())
    parts = {name: load_model(find_model(workspace, name).spec) for name in ("base", "first", "first-routed")}
    assert shown["run"] == "first-routed"
    assert Path(shown["model"]) == runs_folder(workspace) / "first-routed" / "model"
    assert shown["base"] == {"name": str(tiny(workspace)), "model_hash": parts["base"].model_hash}
    assert shown["tuned"]["model_hash"] == parts["first"].model_hash
    assert shown["model_hash"] == parts["first-routed"].model_hash
    assert load_model(find_model(workspace, "tuned:first-routed").spec).model_hash == parts["first"].model_hash


def test_the_screens_show_that_a_run_is_routed(workspace: Workspace) -> None:
    detail = RunMonitor(runs_folder(workspace)).snapshot("first-routed").detail
    assert detail is not None
    assert "routed" in str(facts(detail))
    other = RunMonitor(runs_folder(workspace)).snapshot("first").detail
    assert other is not None
    assert "routed" not in str(facts(other))


def test_the_base_of_a_training_on_a_tuned_part(workspace: Workspace) -> None:
    """The name `base` follows the runs back to the model that no run trained."""
    prepare_run(workspace, "set-001", model="tuned:first-routed", name="second", settings=SMALL)
    assert base_model(workspace) == str(tiny(workspace))


def test_two_models_become_a_folder(workspace: Workspace, tmp_path: Path) -> None:
    trained = find_model(workspace, "first").spec
    done = negwb(workspace, "model", "route", trained, "--base", tiny(workspace), "--out", tmp_path / "new")
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(tmp_path / "new")
    assert (
        load_model(str(tmp_path / "new")).model_hash
        == load_model(find_model(workspace, "first-routed").spec).model_hash
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "there is no model 'nothing'"),
        (["{tiny}"], "is not a run"),
        (["first"], "first-routed exists already"),
        (["first", "--name", "base"], "invalid run name"),
        (["first", "--name", "../x"], "invalid run name"),
        (["first", "--name", "x", "--out", "y"], "--name names a run"),
        (["first-routed", "--name", "x"], "routed already"),
        (["first", "--base", "{other}", "--name", "x"], "differ in their image tower"),
    ],
)
def test_refusals(workspace: Workspace, tmp_path: Path, arguments: list[str], message: str) -> None:
    save_model(make_tiny(7), tmp_path / "other")
    before = sorted(runs_folder(workspace).iterdir())
    words = [word.format(tiny=tiny(workspace), other=tmp_path / "other") for word in arguments]
    refused = negwb(workspace, "model", "route", *words)
    assert isinstance(refused.exception, UsageError | TrainerError)
    assert message in refused.exception.message
    assert refused.exception.hint
    assert sorted(runs_folder(workspace).iterdir()) == before


def test_train_passes_routed_on(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    configs = []

    def no_training(folder: Path, **_: object) -> None:
        configs.append(read_config(folder))

    monkeypatch.setattr("workbench.commands.train._train", no_training)
    for extra in ([], ["--routed"]):
        done = negwb(workspace, "train", "set-001", "--model", tiny(workspace), "--steps", 2, *extra)
        assert done.exit_code == 0, done.output
    assert [config.routed for config in configs] == [False, True]
    assert isinstance(negwb(workspace, "train", "--resume", "first", "--routed").exception, UsageError)
