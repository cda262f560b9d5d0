"""`negwb init` and `create_workspace`: a whole workspace or none, and never over an existing one."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from curation_db.storage import store as store_module
from curation_db.storage.store import open_store
from workbench.cli import app
from workbench.errors import NegwbError, UsageError
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import find_workspace
from workbench.workspace.settings import Settings, read_settings


def test_creates_settings_and_record(tmp_path):
    made = create_workspace(tmp_path / "deep" / "ws")
    assert made == find_workspace(start=tmp_path / "deep" / "ws")
    assert read_settings(made.settings) == Settings()
    with open_store(made.database) as store, store.read():
        pass
    assert sorted(path.name for path in made.root.iterdir()) == ["curation.db", "guidelines.md", "negwb.toml"]


def test_the_command_says_what_comes_next(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(app, ["init", "ws"])
    assert (said.exit_code, said.stdout) == (0, "")
    for words in ("cd ws", "negwb import", "negwb curate"):
        assert words in said.stderr
    assert (tmp_path / "ws" / "negwb.toml").is_file()


def test_a_name_with_blanks_can_be_copied(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "cd 'my set'" in CliRunner().invoke(app, ["init", "my set"]).stderr


def test_here_without_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "captions.json").write_text("{}")
    said = CliRunner().invoke(app, ["init"])
    assert said.exit_code == 0
    assert "cd " not in said.stderr
    assert (tmp_path / "captions.json").read_text() == "{}"


@pytest.mark.parametrize("left", ["negwb.toml", "curation.db"])
def test_refuses_what_is_there(tmp_path, left):
    (tmp_path / left).write_text("mine")
    with pytest.raises(UsageError, match=left) as refused:
        create_workspace(tmp_path)
    assert refused.value.exit_code == 2
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {left: "mine"}


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NegwbError, match="cannot create"):
        create_workspace(tmp_path / "file" / "ws")


def test_interrupted_half_way_leaves_nothing(tmp_path, monkeypatch):
    def stop(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store_module.dialect, "mark_as_ours", stop)
    with pytest.raises(KeyboardInterrupt):
        create_workspace(tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    create_workspace(tmp_path)
