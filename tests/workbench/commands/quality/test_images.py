"""`negwb images`, and the query terms that need image signatures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.scenes import encoded_again, scene
from support.workspaces import Case
from typer.testing import CliRunner

from workbench.cli import app
from workbench.errors import NothingToDo

_TASK = [{"image": "quiz.jpg", "captions": ["a dog that is not black", "a black dog"], "right": 0}]


def run(root: Path, *words: str) -> Any:
    return CliRunner().invoke(app, ["--workspace", str(root), *words])


def _workspace(make_workspace: Any) -> Any:
    """Five images: 1 and 4 are near-duplicates, 3 is broken, 5 is missing."""
    cases = [
        Case(text="a man not wearing a hat", concept="hat"),
        Case(text="a street without cars", concept="car"),
        Case(text="a man not wearing a hat", concept="hat"),
        Case(text="a person not wearing the hat here", concept="Hat"),
        Case(text="no dog", concept="dog", picture=False),
    ]
    workspace = make_workspace(cases=cases)
    pictures = workspace.root / "pictures"
    scene(1).save(pictures / "001.png")
    scene(2).save(pictures / "002.png")
    (pictures / "003.png").write_bytes(b"no image")
    encoded_again(scene(1)).save(pictures / "004.png", "JPEG", quality=60)
    return workspace


def test_duplicates_families_and_benchmark_images_are_found_by_their_look(make_workspace: Any) -> None:
    root = _workspace(make_workspace).root
    query = run(root, "browse", "near:001", "--json")  # computes the signatures first
    assert [json.loads(line)["id"] for line in query.stdout.splitlines()] == [4, 1]
    assert "2 of 5 images are not compared: negwb images duplicates" in query.stderr
    assert (root / "cache" / "image-signatures.db").is_file()
    family = run(root, "browse", "family:1", "sort:oldest", "--json").stdout.splitlines()
    assert [json.loads(line)["id"] for line in family] == [1, 3, 4]
    similar = [json.loads(line) for line in run(root, "browse", "like:1", "--json").stdout.splitlines()]
    assert [(row["id"], row["similarity"]) for row in similar[:2]] == [(1, 1.0), (3, 1.0)]
    assert 0.1 < similar[2]["similarity"] < 1.0
    assert similar[2]["id"] == 4

    listed = run(root, "images", "duplicates")
    assert "001.png" in listed.stdout
    assert "002.png" not in listed.stdout
    assert "1 groups" not in listed.stderr
    assert "1 group of near-duplicates; 1 of 5 images repeat another one" in listed.stderr
    assert "1 of 5 images have no file in the image folders" in listed.stderr
    assert "1 image file cannot be decoded" in listed.stderr
    (group,) = [json.loads(line) for line in run(root, "images", "duplicates", "--json").stdout.splitlines()]
    assert group == {
        "images": [
            {"source": "small", "key": "001", "file_name": "001.png", "candidates": 1},
            {"source": "small", "key": "004", "file_name": "004.png", "candidates": 1},
        ],
        "candidates": 2,
    }

    assert isinstance(run(root, "images", "benchmarks").exception, NothingToDo)
    (root / "benchmarks").mkdir()
    (root / "benchmarks" / "quiz.json").write_text(json.dumps(_TASK))
    encoded_again(scene(2)).save(root / "benchmarks" / "quiz.jpg", quality=60)
    found = run(root, "images", "benchmarks", "--json")
    (match,) = [json.loads(line) for line in found.stdout.splitlines()]
    assert match == {"task": "quiz", "image": "quiz.jpg", "source": "small", "key": "002"}
    scene(9).save(root / "benchmarks" / "quiz.jpg")
    other = run(root, "images", "benchmarks", "quiz")
    assert other.stdout == ""
    assert "0 of 1 image of 1 benchmark look like an image of the record" in other.stderr


def test_a_record_without_image_files_has_nothing_to_compare(make_workspace: Any) -> None:
    workspace = make_workspace(1)
    with workspace.store.write() as connection:
        connection.exec_driver_sql("UPDATE image SET file_name = NULL")
    assert isinstance(run(workspace.root, "images", "duplicates").exception, NothingToDo)
    assert isinstance(run(workspace.root, "browse", "near:1").exception, NothingToDo)
    assert "there is no candidate 7" in str(run(workspace.root, "browse", "family:7").exception)
