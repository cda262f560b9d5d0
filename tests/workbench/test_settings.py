"""negwb.toml: read strictly, changed gently."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from workbench.errors import UsageError
from workbench.paths import find_workspace
from workbench.pictures import PictureFolders
from workbench.settings import TEMPLATE, CurateSettings, Settings, add_picture_folder, read_settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "negwb.toml"
    path.write_text(TEMPLATE)
    return path


def test_the_template_says_the_defaults(file: Path) -> None:
    assert read_settings(file) == Settings(curate=CurateSettings())


@pytest.mark.parametrize(
    "content",
    [
        "[curate",
        "[cruate]",
        "[curate]\nordr = 'conflict'",
        "[curate]\norder = 'random'",
        "[curate]\naudit_rate = 2.0",
        "[curate]\naudit_rate = 'a lot'",
        "[curate]\naudit_rate = true",
        "[curate]\nblind = 1",
        "[curate]\nimages = 'jpeg'",
        "[pictures]\ncoco = 3",
        "[pictures]\ncoco = [3]",
    ],
)
def test_a_setting_that_is_off_is_told_with_the_file(file: Path, content: str) -> None:
    file.write_text(content)
    with pytest.raises(UsageError, match=r"negwb\.toml") as told:
        read_settings(file)
    assert told.value.exit_code == 2


def test_adding_picture_folders_keeps_the_rest_as_it_was_written(file: Path) -> None:
    file.write_text("# mine\n[pictures]\nmine = 'a'   # kept? no: rewritten when added to\n[curate]\nblind = true\n")
    for folder in ("b", 'c "quoted" \\ back', "b"):
        add_picture_folder(file, "mine", folder)
    add_picture_folder(file, "two words", "d")
    settings = read_settings(file)
    assert settings.pictures == {"mine": ("a", "b", 'c "quoted" \\ back'), "two words": ("d",)}
    assert settings.curate.blind
    assert file.read_text().startswith("# mine\n[pictures]\n")


def test_a_settings_file_without_pictures_gets_the_table(file: Path) -> None:
    file.write_text("[curate]\nblind = true\n")
    add_picture_folder(file, "coco", "x")
    assert tomllib.loads(file.read_text()) == {"curate": {"blind": True}, "pictures": {"coco": ["x"]}}


def test_a_picture_is_found_below_its_folders_only(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (tmp_path / "one" / "sub").mkdir(parents=True)
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "sub" / "a.jpg").write_bytes(b"x")
    (tmp_path / "two" / "b.jpg").symlink_to(tmp_path / "secret.jpg")
    folders = PictureFolders(tmp_path, {"coco": ("one", "two")})
    assert folders.locate("coco", "sub/a.jpg") == tmp_path / "one" / "sub" / "a.jpg"
    assert folders.locate("coco", "b.jpg") == tmp_path / "two" / "b.jpg"  # people link their data
    for name in ("../secret.jpg", str(tmp_path / "secret.jpg"), "nothing.jpg", "", None, "a\0b", "x" * 5000, "sub"):
        assert folders.locate("coco", name) is None
    assert folders.locate("other", "sub/a.jpg") is None


def test_the_workspace_is_found_upwards_by_name_and_by_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEGWB_WORKSPACE", raising=False)
    root, deep = tmp_path / "ws", tmp_path / "ws" / "a" / "b"
    deep.mkdir(parents=True)
    (root / "negwb.toml").write_text("")
    assert find_workspace(start=deep).root == root
    assert find_workspace(root).root == root
    with pytest.raises(UsageError, match="no workspace"):
        find_workspace(start=tmp_path)
    with pytest.raises(UsageError, match="no workspace"):
        find_workspace(deep)
    monkeypatch.setenv("NEGWB_WORKSPACE", str(root))
    assert find_workspace(start=tmp_path).root == root
