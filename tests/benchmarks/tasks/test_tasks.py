"""Tests of tasks: reading files, the registry, baselines."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.benches import write_negrefcocog

from benchmarks import registry
from benchmarks.baselines import REGION_BASELINES
from benchmarks.errors import BenchError
from benchmarks.protocols import Protocol, baseline_credit
from benchmarks.tasks import negrefcocog, regions


@pytest.fixture(scope="module")
def task(shared_data: Path) -> Any:
    return registry.load_task("negrefcocog", shared_data)


def test_negrefcocog_as_published(task: Any) -> None:
    assert (len(task.items), len(task.images)) == (negrefcocog.ITEMS, negrefcocog.IMAGES)
    assert task.dataset_sha256 == negrefcocog.SHA256
    assert task.chance == 0.5
    assert {item.target for item in task.items} == {0}
    assert len({(*regions.pixels(box), item.image) for item in task.items for box in item.options}) == 812
    words = Counter(item.slices["cue"] for item in task.items)
    assert (words["not"], words["without"], words["nothing"]) == (199, 97, 1)


@pytest.mark.parametrize(
    ("baseline", "official", "strict"),
    [
        ("smaller box", 252, 252),
        ("narrower box", 256.5, 256.5),
        ("right-most box", 227.5, 227.5),
        ("first box", 440, 231),
    ],
)
def test_blind_baselines_of_negrefcocog(task: Any, baseline: str, official: float, strict: float) -> None:
    for rule, expected in ((Protocol("official"), official), (Protocol("strict"), strict)):
        credits = [baseline_credit(item, REGION_BASELINES[baseline], rule) for item in task.items]
        assert sum(each.right for each in credits) == expected
        ties = {"smaller box": 0, "first box": 0}.get(baseline, 13)
        assert sum(each.tied for each in credits) == ties


BOXES = [
    ([0, 0, 30, 30], [30, 0, 50, 20]),  # smaller, narrower, to the left
    ([60, 0, 40, 40], [0, 0, 40, 20]),  # larger, as wide: a tie, to the right
    ([50, 0, 20, 60], [0, 0, 40, 20]),  # larger, narrower, to the right
    ([0, 0, 60, 60], [20, 0, 20, 20]),  # larger, wider, around the other: the centres are one
]


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a task of four items whose first box is right."""
    folder = tmp_path_factory.mktemp("four")
    rows = [
        {"image": f"{n}.jpg", "phrase": f"{cue} hat {n}", "ref_bbox": first, "bbox_list": [first, second]}
        for n, (cue, (first, second)) in enumerate(zip(["no", "without", "no", "not a"], BOXES, strict=True))
    ]
    (folder / negrefcocog.ANNOTATIONS).write_text(json.dumps(rows))
    return registry.load_task("negrefcocog", folder)


def test_a_user_file_is_read_like_the_published_one(four: Any) -> None:
    assert (len(four.items), len(four.images), four.chance) == (4, 4, 0.5)
    assert {item.target for item in four.items} == {0}
    assert [item.slices["cue"] for item in four.items] == ["no", "without", "no", "not"]
    assert four.dataset_sha256 not in {"", negrefcocog.SHA256}


@pytest.mark.parametrize(
    ("baseline", "right", "ties"),
    [
        ("smaller box", 1, 0),
        ("narrower box", 2.5, 1),  # the first, the third, and half of the tie
        ("right-most box", 2.5, 1),  # by their centres: the second, the third, and half of the fourth
    ],
)
def test_blind_baselines_by_hand(four: Any, baseline: str, right: float, ties: int) -> None:
    for rule in (Protocol("official"), Protocol("strict")):
        credits = [baseline_credit(item, REGION_BASELINES[baseline], rule) for item in four.items]
        assert sum(each.right for each in credits) == right
        assert sum(each.tied for each in credits) == ties


def test_the_first_box_is_always_right_under_official_and_at_chance_under_strict(tmp_path: Path) -> None:
    task = registry.load_task("negrefcocog", write_negrefcocog(tmp_path / negrefcocog.ANNOTATIONS, 104).parent)
    rules = (Protocol("official"), Protocol("strict"))
    credits = [[baseline_credit(item, REGION_BASELINES["first box"], rule) for item in task.items] for rule in rules]
    official, strict = (sum(each.right for each in one) for one in credits)
    assert official == 104
    assert 30 < strict < 74


def test_missing_images_name_the_command(four: Any) -> None:
    with pytest.raises(BenchError) as raised:
        four.check_pictures()
    assert "4 of 4 images are missing" in raised.value.message
    assert "negwb bench fetch negrefcocog" in raised.value.hint
    assert "\n" not in raised.value.message


def test_an_unknown_name_gets_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="negrefcoco'") as raised:
        registry.load_task("negrefcoco", tmp_path)
    assert raised.value.hint == "did you mean negrefcocog?"
    with pytest.raises(BenchError) as raised:
        registry.load_task("zzz", tmp_path)
    assert "known: " in raised.value.hint


def test_tasks_can_be_registered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))
    registry.register("mine", "benchmarks.tasks.negrefcocog:load", "for a test")
    registry.register("mine", "benchmarks.tasks.negrefcocog:load", "for a test")
    assert registry.entries()["mine"].summary == "for a test"
    with pytest.raises(ValueError, match="registered"):
        registry.register("mine", "elsewhere:load")
    with pytest.raises(ValueError, match="module"):
        registry.register("other", "no-colon")


def test_missing_annotations_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no such file") as raised:
        registry.load_task("negrefcocog", tmp_path)
    assert "negwb bench fetch negrefcocog" in raised.value.hint


GOOD = {"image": "a.jpg", "phrase": "no hat", "ref_bbox": [0, 0, 5, 5], "bbox_list": [[0, 0, 5, 5], [5.5, 0, 5, 5]]}


def written(folder: Path, content: object) -> Path:
    path = folder / "task.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"phrase": " "}, "phrase"),
        ({"phrase": None}, "phrase"),
        ({"image": "../../etc/passwd"}, "leads out"),
        ({"image": "/etc/passwd"}, "leads out"),
        ({"image": 3}, "file name"),
        ({"ref_bbox": [0, 0, 5]}, "box"),
        ({"ref_bbox": [0, 0, 5, True]}, "numbers"),
        ({"ref_bbox": [0, 0, float("nan"), 1]}, "numbers"),
        ({"ref_bbox": [1, 1, 5, 5]}, "is not in"),
        ({"bbox_list": [[0, 0, 5, 5]]}, "two boxes"),
        ({"bbox_list": [[0, 0, 5, 5], [0, 0, 0.2, 5]]}, "no pixel"),
    ],
)
def test_an_invalid_row_is_named(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    path = written(tmp_path, [GOOD, GOOD | change])
    with pytest.raises(BenchError, match=rf"item 1: .*{reason}"):
        registry.task_from_file("mine", path, tmp_path)


def test_regions_with_ids_clusters_and_several_boxes(tmp_path: Path) -> None:
    boxes = [[0, 0, 5, 5], [5, 0, 5, 5], [9, 0, 5, 5]]
    row = {**GOOD, "id": "q1", "cluster": "scene 3", "bbox_list": boxes, "ref_bbox": [9.0, 0, 5, 5]}
    (item,) = registry.task_from_file("mine", written(tmp_path, [row]), tmp_path).items
    assert (item.id, item.cluster, item.target) == ("q1", "scene 3", 2)
    with pytest.raises(BenchError, match="'q1' is taken"):
        registry.task_from_file("mine", written(tmp_path, [row, row]), tmp_path)


def test_retrieval_from_a_file(tmp_path: Path) -> None:
    content = {"images": ["a.jpg", "b.jpg"], "captions": [{"image": "b.jpg", "text": "a dog"}]}
    task = registry.task_from_file("mine", written(tmp_path, content), tmp_path)
    assert (task.kind, task.gallery, task.items[0].target, task.chance) == ("retrieval", ("a.jpg", "b.jpg"), 1, 0.5)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"images": ["a"], "captions": []}, "two file names"),
        ({"images": ["a", "a"], "captions": []}, "twice"),
        ({"images": ["a", "b"], "captions": []}, "must be a list"),
        ({"images": ["a", "b"], "captions": [{"image": "c", "text": "x"}]}, "caption 0: 'c' is not in 'images'"),
        ({"images": ["a", "b"], "captions": [{"image": "a"}]}, "text"),
        ({"rows": []}, "is not a task"),
        ([], "list of items"),
        (3, "is not a task"),
    ],
)
def test_a_file_that_is_not_a_task_is_an_error(tmp_path: Path, content: object, reason: str) -> None:
    with pytest.raises(BenchError, match=reason):
        registry.task_from_file("mine", written(tmp_path, content), tmp_path)


def test_malformed_json_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "task.json").write_text('[{"image"')
    with pytest.raises(BenchError, match="cannot be read as JSON"):
        registry.task_from_file("mine", tmp_path / "task.json", tmp_path)


def test_modules_that_screens_import_do_not_import_torch() -> None:
    analysis = "analysis.comparison analysis.statistics analysis.published"
    modules = f"{analysis} results registry task baselines protocols tasks.negrefcocog data.fetch scoring"
    imports = "; ".join(f"import benchmarks.{name}" for name in modules.split())
    heavy = "torch open_clip transformers textual typer sqlmodel sqlalchemy scipy httpx workbench"
    code = f"import sys; {imports}; print([name for name in {heavy.split()} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
