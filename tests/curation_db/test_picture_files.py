"""Names from data files find pictures below their folders, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation_db.picture_files import find_below, whole
from trainers.dataset import locate_in
from workbench.pictures import PictureFolders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pictures"
    (made / "val").mkdir(parents=True)
    (made / "val" / "a.jpg").touch()
    (tmp_path / "elsewhere.jpg").touch()
    (made / "linked.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    (made / "loop").symlink_to(made / "loop")
    return made


@pytest.mark.parametrize("name", ["val/a.jpg", "./val//a.jpg", "val/../val/a.jpg", "linked.jpg"])
def test_found(folder: Path, name: str) -> None:
    """A picture that its owner linked into the folder is one of the folder."""
    assert find_below([folder.parent / "none", folder], name) is not None


@pytest.mark.parametrize(
    "name",
    [None, "", "b.jpg", "val", "../elsewhere.jpg", "/etc/hostname", "a\0.jpg", "x" * 9_000, "loop", "loop/a.jpg"],
)
def test_not_found(folder: Path, name: str | None) -> None:
    assert find_below([folder], name) is None


def test_a_loop_of_links_is_a_folder_without_pictures(folder: Path) -> None:
    assert find_below([whole(folder / "loop")], "a.jpg") is None


def test_what_is_shown_is_what_is_trained_on(folder: Path) -> None:
    shown, trained = PictureFolders(folder.parent, {"coco": ("pictures",)}), locate_in({"coco": [folder]})
    for name in ("val/a.jpg", "linked.jpg", "../elsewhere.jpg", "b.jpg"):
        assert shown.locate("coco", name) == trained("coco", name)
    assert shown.locate("other", "val/a.jpg") is None
