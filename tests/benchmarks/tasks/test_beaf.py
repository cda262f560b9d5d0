"""BEAF in small files of its published format: a copy without a thing is the twin of its original."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import registry
from benchmarks.errors import BenchError
from benchmarks.tasks import beaf

COUNTS = {"QUESTIONS": 9, "PAIRS": 3}


def rows() -> list[dict[str, Any]]:
    """One original with three things, of which two were removed, and a second original with one removed."""
    asked = [
        ("COCO_val2014_000000001171.jpg", "a car", True, False, "yes"),
        ("COCO_val2014_000000001171.jpg", "a train", True, True, "yes"),
        ("COCO_val2014_000000001171.jpg", "an umbrella", True, True, "yes"),
        ("COCO_val2014_000000001171_00.png", "a train", False, True, "no"),
        ("COCO_val2014_000000001171_00.png", "an umbrella", False, True, "yes"),
        ("COCO_val2014_000000001171_00.png", "a spoon", False, False, "no"),
        ("COCO_val2014_000000001171_01.png", "an umbrella", False, True, "no"),
        ("COCO_val2014_000000003845.jpg", "a cup", True, True, "yes"),
        ("COCO_val2014_000000003845_06.png", "a cup", False, True, "no"),
    ]
    keys = ("image", "question", "orig_img", "removed_q", "gt")
    return [
        {"id": n, **dict(zip(keys, (image, f"Is there {thing} in the image?", *rest), strict=True))}
        for n, (image, thing, *rest) in enumerate(asked)
    ]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, count in COUNTS.items():
        monkeypatch.setattr(beaf, name, count)
    write(tmp_path, rows())
    return tmp_path


def write(folder: Path, content: object) -> None:
    (folder / beaf.ANNOTATIONS).write_text(json.dumps(content), encoding="utf-8")


def test_the_pairs_are_the_removed_things(folder: Path) -> None:
    task = registry.load_task("beaf", folder)
    assert (task.kind, task.pictures) == ("twins", folder / "images")
    read = [(item.id, item.image, item.twin.image if item.twin else "", *item.captions) for item in task.items]
    one, two = "COCO_val2014_000000001171", "COCO_val2014_000000003845"
    assert read == [
        ("3", f"{one}.jpg", f"{one}_00.png", "a photo with a train", "a photo without a train"),
        ("6", f"{one}.jpg", f"{one}_01.png", "a photo with an umbrella", "a photo without an umbrella"),
        ("8", f"{two}.jpg", f"{two}_06.png", "a photo with a cup", "a photo without a cup"),
    ]
    assert [item.cluster for item in task.items] == [f"{one}.jpg", f"{one}.jpg", f"{two}.jpg"]
    assert [(item.slices["cue"], item.slices["category"]) for item in task.items][1] == ("without", "umbrella")


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        (3, {"gt": "maybe"}, "item 3: expected an object with 'gt' yes or no"),
        (3, {"image": "../a_00.png"}, "item 3: .* leads out of the image folder"),
        (3, {"image": "a.png"}, "item 3: the name of a copy"),
        (3, {"question": "What is this?"}, "item 3: 'question' must be"),
        (3, {"removed_q": 1}, "item 3: 'orig_img' and 'removed_q' must be"),
        (1, {"gt": "no"}, "question 3: the original of .* does not show a train"),
        (3, {"gt": "yes"}, "has 2 items, the published file has 3"),
        (6, {"id": 3}, "the id '3' is taken"),
    ],
)
def test_a_changed_file_is_refused(folder: Path, place: int, change: dict[str, Any], message: str) -> None:
    content = rows()
    content[place] |= change
    write(folder, content)
    with pytest.raises(BenchError, match=message):
        beaf.load(folder)


def test_a_cut_file_is_refused(folder: Path) -> None:
    write(folder, rows()[:-1])
    with pytest.raises(BenchError, match="has 8 items, the published file has 9"):
        beaf.load(folder)
