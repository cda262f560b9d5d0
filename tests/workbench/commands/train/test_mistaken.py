"""`negwb mistaken`: the folds of a finished run, and their margins in the record, in Browse and in Curate."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from support.loops import make_workspace, negwb
from typer.testing import CliRunner

from trainers.loop.finetune import run_training
from trainers.run_files import TrainingStatus, checkpoints_of, read_run, take_lock
from trainers.settings import read_config
from workbench.cli import app
from workbench.errors import NothingToDo, UsageError
from workbench.jobs.training.margins import prepare_folds, train_folds
from workbench.jobs.training.runs import prepare_run
from workbench.workspace.layout import Workspace

SETTINGS = {"batch": 4, "lr": 1e-3, "threads": 1, "steps": 4, "epochs": 1}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with a finished run `first`, whose folds of 2 are trained; the record has no margins."""
    created = make_workspace(tmp_path_factory.mktemp("mistaken"), captions=True)
    tiny = str(created.root.parent / "tiny")
    run_training(prepare_run(created, "set-001", model=tiny, name="first", settings=SETTINGS, save_pth=True))
    for fold in prepare_folds(created, "first", folds=2, steps=3).folds:
        run_training(fold)
    return created


def invoke(workspace: Workspace, *arguments: str) -> Any:
    return CliRunner().invoke(app, ["-w", str(workspace.root), *arguments], standalone_mode=False)


def test_without_margins_the_line_names_the_command(workspace: Workspace) -> None:
    for order in (["curate", "--plain", "--order", "mistaken"], ["browse", "margin:<0", "--json"]):
        error = invoke(workspace, *order).exception
        assert isinstance(error, NothingToDo)
        assert "compute them: negwb mistaken RUN" in f"{error.message} {error.hint}"


def test_margins_are_stored_and_listed(workspace: Workspace) -> None:
    """GIVEN trained folds WHEN the command runs THEN every pair of the export has a margin, in Browse and in Curate."""
    done = invoke(workspace, "mistaken", "first", "--folds", "2", "--steps", "3", "--json")
    result = json.loads(done.stdout)
    margins = [
        json.loads(line)["margin"]
        for fold in (workspace.root / "runs" / "first" / "margins").glob("fold-*-of-2")
        for line in (fold / "margins.jsonl").read_text().splitlines()
    ]
    below = sum(margin < 0 for margin in margins)
    assert result == {
        "run": "first", "folds": 2, "steps": 3, "margins": 24, "below_zero": below, "stored": 24, "unknown": 0,
        "second_looks": 24,
    }  # fmt: skip
    listed = [json.loads(line) for line in invoke(workspace, "browse", "sort:mistaken", "--json").stdout.splitlines()]
    assert [row["margin"] for row in listed] == sorted(margins)
    middle = sorted(margins)[12]
    filtered = invoke(workspace, "browse", f"margin:<{middle:.12f}", "--json").stdout.splitlines()
    assert len(filtered) == sum(margin < float(f"{middle:.12f}") for margin in margins)
    plain = negwb(workspace, "curate", "--plain", "--order", "mistaken", "--annotator", "ben")
    assert f"CARD {listed[0]['id']}," in plain.stdout
    assert "STATE second look" in plain.stdout


def test_a_fold_has_the_settings_of_the_run(workspace: Workspace) -> None:
    """The run has chosen its steps and its interpolation; a fold chooses nothing and saves no model."""
    run = workspace.root / "runs" / "first"
    validation = prepare_folds(workspace, "first", folds=3)
    config, fold = read_config(run), read_config(validation.folds[0])
    assert validation.steps == read_run(run).result["kept_step"] == fold.settings.steps
    assert (fold.settings.keep, fold.settings.patience, fold.save_pth, fold.fold) == ("last", None, False, fold.fold)
    assert fold.fold is not None
    assert (fold.fold.number, fold.fold.of) == (1, 3)
    assert (fold.model, fold.export, fold.settings.lr) == (config.model, config.export, config.settings.lr)


def test_trained_folds_stay_and_other_steps_start_again(workspace: Workspace) -> None:
    first = prepare_folds(workspace, "first", folds=4, steps=3).folds[0]
    (first / "log.txt").write_text("trained\n")
    assert prepare_folds(workspace, "first", folds=4, steps=3).folds[0] == first
    assert (first / "log.txt").is_file()
    lock = take_lock(first)
    assert lock is not None
    with lock, pytest.raises(UsageError, match="another process trains"):
        prepare_folds(workspace, "first", folds=4, steps=5)
    prepare_folds(workspace, "first", folds=4, steps=5)
    assert not (first / "log.txt").exists()


def test_only_a_finished_run_has_margins(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="no finished run 'second'") as error:
        prepare_folds(workspace, "second")
    assert error.value.hint == "finished: first"


def test_damaged_margins_are_named(workspace: Workspace) -> None:
    path = prepare_folds(workspace, "first", folds=2, steps=3).folds[1] / "margins.jsonl"
    whole = path.read_bytes()
    try:
        path.write_bytes(b'{"source": "small"}\n')
        error = invoke(workspace, "mistaken", "first", "--folds", "2", "--steps", "3").exception
        assert str(path) in error.message
    finally:
        path.write_bytes(whole)


@pytest.mark.long
def test_a_killed_fold_continues(workspace: Workspace) -> None:
    """GIVEN a child that is killed with kill -9 THEN the line says how to continue, and the folds end all the same."""
    validation = prepare_folds(workspace, "first", folds=2, steps=150)

    def kill(folder: Path, pid: int) -> None:
        while not checkpoints_of(folder):
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)

    with pytest.raises(Exception, match="was killed by signal 9") as error:
        train_folds(validation, started=kill)
    assert "continue with: negwb mistaken first" in getattr(error.value, "hint", "")
    train_folds(validation)
    assert all(read_run(folder).status is TrainingStatus.DONE for folder in validation.folds)
    assert any("resumed at step" in (folder / "log.txt").read_text() for folder in validation.folds)
