"""Tests of `negwb init` and `create_workspace`: a complete workspace or none; no overwriting."""

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
from workbench.workspace.settings.settings import Settings, read_settings


def test_creates_settings_and_record(tmp_path):
    created = create_workspace(tmp_path / "deep" / "ws")
    assert created == find_workspace(start=tmp_path / "deep" / "ws")
    assert read_settings(created.settings) == Settings()
    with open_store(created.database) as store, store.read():
        pass
    assert sorted(path.name for path in created.root.iterdir()) == ["curation.db", "guidelines.md", "negwb.toml"]


def test_the_command_prints_the_next_steps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["init", "ws"])
    assert (result.exit_code, result.stdout) == (0, "")
    for words in ("cd ws", "negwb import", "negwb curate"):
        assert words in result.stderr
    assert (tmp_path / "ws" / "negwb.toml").is_file()


def test_a_name_with_blanks_can_be_copied(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "cd 'my set'" in CliRunner().invoke(app, ["init", "my set"]).stderr


def test_the_current_folder_is_the_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "captions.json").write_text("{}")
    result = CliRunner().invoke(app, ["init"])
    assert result.exit_code == 0
    assert "cd " not in result.stderr
    assert (tmp_path / "captions.json").read_text() == "{}"


@pytest.mark.parametrize("left", ["negwb.toml", "curation.db"])
def test_existing_files_are_refused(tmp_path, left):
    (tmp_path / left).write_text("mine")
    with pytest.raises(UsageError, match=left) as refused:
        create_workspace(tmp_path)
    assert refused.value.exit_code == 2
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {left: "mine"}


def test_a_file_instead_of_a_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NegwbError, match="cannot create"):
        create_workspace(tmp_path / "file" / "ws")


def test_an_interrupted_init_leaves_nothing(tmp_path, monkeypatch):
    def stop(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store_module.sqlite, "initialise_file", stop)
    with pytest.raises(KeyboardInterrupt):
        create_workspace(tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    create_workspace(tmp_path)
