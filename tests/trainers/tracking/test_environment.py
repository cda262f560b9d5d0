"""The record of what a training ran on: the state of git, and nothing that fails or holds a secret."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from trainers.tracking.environment import describe_environment


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_commit_and_the_changed_files_are_recorded(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "negwb.toml").write_text("")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "x")
    (tmp_path / "inside").mkdir()
    state = describe_environment("cpu", tmp_path / "inside")["git"]
    assert state["commit"] == git(tmp_path, "rev-parse", "HEAD")
    assert (Path(state["folder"]).resolve(), state["changed_files"]) == (tmp_path.resolve(), 0)
    (tmp_path / "negwb.toml").write_text("[train]")
    (tmp_path / "new.txt").touch()
    assert describe_environment("cpu", tmp_path)["git"]["changed_files"] == 2


def test_a_program_that_a_repository_names_does_not_run(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "x")
    git(tmp_path, "config", "core.fsmonitor", f"touch {tmp_path / 'ran'};")
    assert describe_environment("cpu", tmp_path)["git"]["changed_files"] == 0
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("path", ["", "nowhere"])
def test_without_git_or_a_repository_it_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert describe_environment("cpu", tmp_path / path)["git"] is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert describe_environment("cpu", tmp_path)["git"] is None


def test_variables_that_may_hold_secrets_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    record = describe_environment("cpu", tmp_path)
    assert record["variables"]["OMP_NUM_THREADS"] == "1"
    assert "secret" not in json.dumps(record)


def test_a_device_without_a_name_fails_nothing(tmp_path: Path) -> None:
    assert describe_environment("cuda:99", tmp_path)["device_name"] is None
