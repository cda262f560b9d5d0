"""File names from data find images below their folders, and nothing else."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from curation_db.image_paths import escapes_by_link, find_image_file, real_path
from trainers.data.dataset import locate_in
from workbench.workspace.picture_folders import PictureFolders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pictures_folder = tmp_path / "pictures"
    (pictures_folder / "val").mkdir(parents=True)
    (pictures_folder / "val" / "a.jpg").touch()
    (tmp_path / "elsewhere.jpg").touch()
    (pictures_folder / "linked.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    (pictures_folder / "outside").symlink_to(tmp_path)
    (pictures_folder / "inside.jpg").symlink_to(pictures_folder / "val" / "a.jpg")
    (pictures_folder / "loop").symlink_to(pictures_folder / "loop")
    return pictures_folder


@pytest.mark.parametrize("name", ["val/a.jpg", "./val//a.jpg", "val/../val/a.jpg", "inside.jpg"])
def test_found(folder: Path, name: str) -> None:
    assert find_image_file([folder.parent / "none", folder], name) == folder / "val" / "a.jpg"


@pytest.mark.parametrize("name", ["linked.jpg", "outside/elsewhere.jpg"])
def test_a_link_out_of_the_folder_is_followed_only_on_request(folder: Path, name: str) -> None:
    assert find_image_file([folder], name) is None
    assert escapes_by_link(folder, name)
    path = find_image_file([folder], name, follow_links=True)
    assert path == folder / name


def test_a_folder_may_be_a_link_itself(folder: Path) -> None:
    (folder.parent / "link").symlink_to(folder)
    assert find_image_file([folder.parent / "link"], "val/a.jpg") == folder / "val" / "a.jpg"
    assert not escapes_by_link(folder.parent / "link", "val/a.jpg")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_name_is_looked_for_in_every_unicode_form(folder: Path, form: Any) -> None:
    """Each part of a path may be in its own form; a file in the form as written comes first."""
    parts = ("\u00fcber", "na\u00efve.jpg")
    pictures_folder = folder / unicodedata.normalize("NFD", parts[0]) / unicodedata.normalize("NFC", parts[1])
    pictures_folder.parent.mkdir()
    pictures_folder.touch()
    assert find_image_file([folder], unicodedata.normalize(form, "/".join(parts))) == pictures_folder
    for each in ("NFC", "NFD"):
        (folder / unicodedata.normalize(each, parts[1])).touch()
    name = unicodedata.normalize(form, parts[1])
    assert find_image_file([folder], name) == folder / name


@pytest.mark.parametrize(
    "name",
    [None, "", "b.jpg", "val", "../elsewhere.jpg", "/etc/hostname", "a\0.jpg", "x" * 9_000, "loop", "loop/a.jpg"],
)
def test_not_found(folder: Path, name: str | None) -> None:
    assert find_image_file([folder], name) is None


def test_a_loop_of_links_is_a_folder_without_pictures(folder: Path) -> None:
    assert find_image_file([real_path(folder / "loop")], "a.jpg") is None


def test_display_and_training_find_the_same_file(folder: Path) -> None:
    for follow in (False, True):
        shown = PictureFolders(folder.parent, {"coco": ("pictures",)}, follow_links=follow)
        trained = locate_in({"coco": [folder]}, follow_links=follow)
        for name in ("val/a.jpg", "linked.jpg", "../elsewhere.jpg", "b.jpg"):
            assert shown.locate("coco", name) == trained("coco", name)
        assert (shown.locate("coco", "linked.jpg") is not None) is follow
        assert shown.escapes_by_link("coco", "linked.jpg") is not follow
        assert shown.locate("other", "val/a.jpg") is None
