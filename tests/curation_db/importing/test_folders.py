"""Tests of importing folders: skipped files, metadata tables, unreadable files."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.privileges import run_without_root_privileges

from curation_db.image_paths import find_image_file
from curation_db.importing.image_check import ImageChecker
from curation_db.importing.pipeline import make_plan
from curation_db.importing.rows import InputError
from workbench.workspace.create import create_workspace


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for name in ("a.jpg", "b.jpg", "train/1.jpg", "train/2.jpg", "test/1.jpg"):
        draw(folder / name)
    return folder


def draw(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6)).save(path, format="JPEG")


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def taken(importer: Any, root: Path, **options: Any) -> Any:
    return importer.run(root, checker=ImageChecker(lambda _source, name: find_image_file([root], name)), **options)


def test_hidden_files_and_folders_are_skipped(importer: Any, root: Path) -> None:
    for name in ("._a.jpg", ".hidden.jpg", "__MACOSX/a.jpg", "train/__MACOSX/._1.jpg", ".git/x.jpg", "@eaDir/a.jpg"):
        draw(root / name)
    (root / "a.txt").write_text("a dog\n")
    (root / "._a.txt").write_bytes(b"\x00\x05\x16\x07")
    (root / "._alone.txt").write_text("x")
    report = taken(importer, root)
    assert (report.images, report.captions, report.flawless) == (5, 1, True)


def test_a_folder_with_hidden_images_only_is_an_error(tmp_path: Path) -> None:
    draw(tmp_path / "p" / "__MACOSX" / "a.jpg")
    draw(tmp_path / "p" / "._a.jpg")
    with pytest.raises(InputError, match="no image in"):
        make_plan(tmp_path / "p")


def test_a_hidden_folder_itself_can_be_imported(importer: Any, tmp_path: Path) -> None:
    draw(tmp_path / ".photos" / "a.jpg")
    assert taken(importer, tmp_path / ".photos").images == 1


def test_a_metadata_table_holds_the_captions(importer: Any, root: Path) -> None:
    (root / "metadata.jsonl").write_text(
        lines(
            {"file_name": "a.jpg", "text": "a dog", "negated_caption": "a dog with no hat", "license": 3},
            {"file_name": "train/2.jpg", "text": "a cow"},
        )
    )
    (root / "a.txt").write_text("a brown dog\n")
    report = taken(importer, root)
    assert (report.images, report.captions, report.candidates, report.flawless) == (5, 3, 1, True)
    assert report.columns["image"] == "file_name"
    rows = importer.rows("SELECT i.key, i.width, c.text FROM caption c JOIN image i ON i.id = c.image_id ORDER BY 1, 3")
    assert rows == [("a.jpg", 8, "a brown dog"), ("a.jpg", 8, "a dog"), ("train/2.jpg", 8, "a cow")]
    assert taken(importer, root).new == 0


def test_each_folder_may_have_its_own_table(importer: Any, root: Path) -> None:
    """Both tables number their rows from 0, and their images have the same names."""
    for name, text in (("train", "a dog"), ("test", "a cat")):
        rows = lines({"id": 0, "image_id": 7, "file_name": "1.jpg", "text": text, "candidate": f"{text}, no hat"})
        (root / name / "metadata.jsonl").write_text(rows)
    (root / "metadata.csv").write_text("file_name,caption\nb.jpg,a bus\n")
    report = taken(importer, root)
    assert (report.images, report.captions, report.candidates, report.flawless) == (5, 3, 2, True)
    rows = importer.rows("SELECT i.key, c.text FROM caption c JOIN image i ON i.id = c.image_id ORDER BY i.key")
    assert rows == [("b.jpg", "a bus"), ("test/1.jpg", "a cat"), ("train/1.jpg", "a dog")]
    extra = [json.loads(extra) for (extra,) in importer.rows("SELECT extra FROM candidate ORDER BY id")]
    assert extra == [{"own id": 0, "own image_id": 7}] * 2


def test_a_malformed_row_of_a_table_is_listed_with_its_position(importer: Any, root: Path) -> None:
    (root / "train" / "metadata.jsonl").write_text(
        lines(
            {"file_name": "1.jpg", "text": "a dog"},
            {"file_name": "../../secret.jpg", "text": "x"},
            {"file_name": "gone.jpg", "text": "a cow"},
            {"text": "no name"},
        )
        + "{broken\n"
    )
    report = taken(importer, root)
    assert report.captions == 2
    assert sorted((each.where, str(each.reason), each.warning) for each in importer.rejects) == [
        ("train/metadata.jsonl line 2", "outside-folder", False),
        ("train/metadata.jsonl line 3", "missing-file", True),
        ("train/metadata.jsonl line 4", "no-picture", False),
        ("train/metadata.jsonl line 5", "malformed", False),
    ]


def test_only_the_table_without_texts_is_refused(importer: Any, root: Path) -> None:
    (root / "metadata.jsonl").write_text(lines({"file_name": "a.jpg", "label": 3, "prompt": "a dog"}))
    (root / "b.txt").write_text("a bus\n")
    report = taken(importer, root)
    assert (report.images, report.captions) == (5, 1)
    assert [(each.where, str(each.reason)) for each in importer.rejects] == [("metadata.jsonl", "malformed")]
    assert "no column holds a text" in importer.rejects[0].message
    report = taken(importer, root, mapping={"caption": "prompt"})
    assert (report.captions, report.flawless) == (1, True)


def test_a_mapping_for_a_folder_needs_a_table(root: Path) -> None:
    with pytest.raises(InputError, match="no columns to map"):
        make_plan(root, mapping={"caption": "prompt"})


def test_a_table_behind_a_link_out_of_the_folder_is_refused(importer: Any, root: Path, tmp_path: Path) -> None:
    (tmp_path / "other.jsonl").write_text(lines({"file_name": "a.jpg", "text": "a dog"}))
    (root / "metadata.jsonl").symlink_to(tmp_path / "other.jsonl")
    assert taken(importer, root).captions == 0
    assert importer.reasons == ["outside-folder"]
    assert taken(importer, root, follow_links=True).captions == 1


def test_pipes_in_a_folder_are_not_opened(importer: Any, root: Path) -> None:
    for name in ("pipe.jpg", "a.txt", "metadata.jsonl"):
        os.mkfifo(root / name)
    report = taken(importer, root)
    assert (report.images, importer.reasons) == (6, ["missing-file"])


def test_unreadable_files_are_listed_and_the_others_imported(root: Path, tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path / "workspace")
    (root / "a.txt").write_text("a dog\n")
    (root / "b.txt").write_text("a bus\n")
    (root / "train").chmod(0)
    (root / "a.txt").chmod(0)
    result = run_without_root_privileges([sys.executable, "-m", "workbench", "-w", workspace.root, "import", root])
    assert result.returncode == 1, result.stderr
    assert "3 images, 1 caption; 2 refused (2 unreadable)" in result.stderr
    listed = [json.loads(line) for line in (workspace.rejects / "photos-1.jsonl").read_text().splitlines()]
    assert [(each["where"], each["message"]) for each in listed] == [
        ("a.txt", "Permission denied"),
        ("train", "Permission denied"),
    ]
    root.chmod(0)
    result = run_without_root_privileges([sys.executable, "-m", "workbench", "-w", workspace.root, "import", root])
    assert (result.returncode, "is not readable" in result.stderr, "Traceback" in result.stderr) == (2, True, False)
    root.chmod(0o755)
    (root / "train").chmod(0o755)
