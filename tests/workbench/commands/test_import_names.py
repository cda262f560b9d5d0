"""`negwb import` with file names that differ from the images' names, and with links."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.commands import import_command

from workbench.diagnostics.workspace_checks import pictures
from workbench.errors import ExitCode
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace
from workbench.workspace.settings.settings import read_settings

Call = Callable[..., int]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return create_workspace(tmp_path / "workspace")


@pytest.fixture
def call(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Call:
    return import_command(workspace, monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    created = tmp_path / "pictures"
    (created / "sub").mkdir(parents=True)
    Image.new("RGB", (8, 6)).save(created / "sub" / "one.png")
    return created


def negated(path: Path, name: str, text: str = "a dog", number: int = 1) -> Path:
    row = {"id": number, "image_id": 1, "caption": text, "updated_caption": f"{text} with no hat"}
    data = {"images": [{"id": 1, "file_name": name}], "annotations": [row]}
    path.write_text(json.dumps(data))
    return path


def test_the_suggested_prefix_finds_the_image(
    call: Call, tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = negated(tmp_path / "set.json", "images/sub/one.png")
    assert call(path, "--pictures", folder) == ExitCode.UNEXPECTED
    assert "for 1 row: import again with --strip-prefix images/" in capsys.readouterr().err
    assert call(path, "--strip-prefix", "images/", "--json") == ExitCode.OK
    data: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (data["completed"], data["missing_pictures"], data["images"]) == (1, 0, 0)


def test_a_name_clash_has_a_hint(
    call: Call, tmp_path: Path, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(negated(tmp_path / "a.json", "kitchen.jpg"), "--source", "mine") == ExitCode.OK
    path = negated(tmp_path / "b.json", "beach.jpg", "a beach", 7)
    assert call(path, "--source", "mine") == ExitCode.UNEXPECTED
    assert "import the file with --source NAME" in capsys.readouterr().err
    listed = (workspace.rejects / "b-1.jsonl").read_text().splitlines()
    assert any("--source NAME" in json.loads(line).get("hint", "") for line in listed)
    assert call(path) == ExitCode.OK
    assert " as b: 1 image, 1 caption, 1 candidate" in capsys.readouterr().err


def test_the_folder_is_stored_for_the_source_with_the_images(
    call: Call, tmp_path: Path, workspace: Workspace, folder: Path
) -> None:
    assert call(negated(tmp_path / "a.json", "sub/one.png")) == ExitCode.OK
    assert call(negated(tmp_path / "b.json", "sub/one.png", "a cat", 2), "--pictures", folder) == ExitCode.OK
    assert read_settings(workspace.settings).pictures == {"a": ("../pictures",)}


def test_a_link_out_of_the_folder_is_refused_unless_allowed(
    call: Call, tmp_path: Path, workspace: Workspace, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (8, 6)).save(tmp_path / "elsewhere.png")
    (folder / "link.png").symlink_to(tmp_path / "elsewhere.png")
    path = negated(tmp_path / "set.json", "link.png")
    assert call(path, "--pictures", folder) == ExitCode.UNEXPECTED
    assert "follow_links = true in negwb.toml" in capsys.readouterr().err
    (files,) = [each for each in pictures(workspace, read_settings(workspace.settings)) if each.name == "files"]
    assert "1 missing" in files.message
    assert "1 are links" in files.hint
    text = workspace.settings.read_text()
    workspace.settings.write_text(text.replace("[pictures]\n", "[pictures]\nfollow_links = true\n"))
    assert call(path) == ExitCode.OK
    (files,) = [each for each in pictures(workspace, read_settings(workspace.settings)) if each.name == "files"]
    assert "all there" in files.message


def test_an_image_url_is_not_missing(
    call: Call, tmp_path: Path, workspace: Workspace, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(negated(tmp_path / "set.json", "https://x.org/a.jpg"), "--pictures", folder) == ExitCode.OK
    assert "1 image by URL, not downloaded" in capsys.readouterr().err
    (files,) = [each for each in pictures(workspace, read_settings(workspace.settings)) if each.name == "files"]
    assert "missing" not in files.message
