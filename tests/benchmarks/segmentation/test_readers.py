"""Readers of PhraseCut and RefCOCOg: the published formats, bad rows, and files that want to run code."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.segmentation import (
    HEIGHT,
    SQUARES,
    WIDTH,
    phrasecut_rows,
    refcocog_parts,
    write_phrasecut,
    write_refcocog,
)

from benchmarks.errors import BenchError
from benchmarks.segmentation import phrasecut, refcocog
from benchmarks.segmentation.choices import Subset
from benchmarks.segmentation.masks import counts_of, mask_text


def box_mask(name: str, *, outline: int) -> np.ndarray:
    """Return the mask of a square; `outline` is 1 if its right and lower edges belong to it."""
    left, top, right, bottom = SQUARES[name]
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[top : bottom + outline, left : right + outline] = True
    return mask


def test_phrasecut_is_read(tmp_path: Path) -> None:
    data = phrasecut.load(write_phrasecut(tmp_path), "test")
    assert [item.id for item in data.task.items][:3] == ["100__0", "100__1", "101__0"]
    item = data.task.items[1]
    assert (item.image, item.text, item.cluster) == ("100.jpg", "square that is not red", "100.jpg")
    assert item.slices["phrase_type"] == "attribute"
    assert (data.regions["100__1"].mask() == box_mask("blue", outline=1)).all()
    assert data.problems == ()
    assert not data.task.missing_pictures()
    assert data.task.pictures == tmp_path / "images"


def test_phrase_about_several_instances_is_their_union(tmp_path: Path) -> None:
    rows = phrasecut_rows(1)
    rows[0]["Polygons"] += rows[1]["Polygons"]
    data = phrasecut.load(write_phrasecut(tmp_path, rows, images=1), "test")
    both = box_mask("red", outline=1) | box_mask("blue", outline=1)
    assert (data.regions["100__0"].mask() == both).all()


def test_release_with_the_longer_file_name_is_read(tmp_path: Path) -> None:
    write_phrasecut(tmp_path)
    (tmp_path / "image_data_split.json").rename(tmp_path / "image_data_split3000.json")
    assert len(phrasecut.load(tmp_path, "test").task.items) == 6


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda row: row.update(phrase=" "), "'phrase' must be a text"),
        (lambda row: row.update(image_id=7), "the image 7 has no size"),
        (lambda row: row.update(image_id="../100"), "has no size"),
        (lambda row: row.pop("task_id"), "'task_id' must be"),
        (lambda row: row.update(task_id="100__0"), "the id '100__0' is taken"),
        (lambda row: row.update(Polygons=[]), "has no polygon"),
        (lambda row: row.update(Polygons=[[[[1, 2, 3]]]]), "points [x, y]"),
        (lambda row: row.update(Polygons=[[[[1, "x"]]]]), "must be numbers"),
        (lambda row: row.update(Polygons=[[[1, 2]]]), "must be numbers"),
        (lambda row: row.update(Polygons=[[5]]), "points [x, y]"),
        (lambda row: row.update(Polygons=7), "list of instances"),
    ],
)
def test_bad_row_of_phrasecut_is_named_and_the_others_are_used(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], reason: str
) -> None:
    rows = phrasecut_rows()
    change(rows[3])
    data = phrasecut.load(write_phrasecut(tmp_path, rows), "test")
    assert len(data.task.items) == 5
    (problem,) = data.problems
    assert (problem.path, problem.row) == (tmp_path / "refer_test.json", "row 3")
    assert reason in problem.reason


def test_row_that_is_no_object_is_named(tmp_path: Path) -> None:
    data = phrasecut.load(write_phrasecut(tmp_path, [*phrasecut_rows(), 5]), "test")
    assert [problem.text for problem in data.problems] == [f"{tmp_path}/refer_test.json, row 6: expected an object"]


def test_region_outside_its_image_is_left_out_of_the_subset(tmp_path: Path) -> None:
    rows = phrasecut_rows()
    rows[1]["Polygons"] = [[[[100, 100], [120, 100], [120, 120]]]]
    data = phrasecut.load(write_phrasecut(tmp_path, rows), "test")
    assert data.subset(Subset.AFFIRMED).problems == ()
    negated = data.subset(Subset.NEGATED)
    assert [item.id for item in negated.task.items] == ["101__1", "102__1"]
    assert [(problem.row, problem.reason) for problem in negated.problems] == [
        ("row 1", "the region has no pixel of the image")
    ]


def test_file_without_a_good_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"no usable row: 1 are bad; the first: .*row 0: expected an object"):
        phrasecut.load(write_phrasecut(tmp_path, [3]), "test")


@pytest.mark.parametrize("name", ["refer_test.json", "image_data_split.json"])
def test_missing_file_of_phrasecut_tells_where_to_get_it(tmp_path: Path, name: str) -> None:
    (write_phrasecut(tmp_path) / name).unlink()
    with pytest.raises(BenchError, match="no such file") as error:
        phrasecut.load(tmp_path, "test")
    assert "ChenyunWu/PhraseCutDataset" in error.value.hint


def test_subsets_divide_the_phrases(tmp_path: Path) -> None:
    data = phrasecut.load(write_phrasecut(tmp_path), "test")
    negated, affirmed, both = (data.subset(subset) for subset in Subset)
    assert {item.text for item in negated.task.items} == {"square that is not red"}
    assert {item.text for item in affirmed.task.items} == {"red square"}
    assert [negated.task.name, affirmed.task.name, both.task.name] == [
        "phrasecut-negref",
        "phrasecut-affirm",
        "phrasecut",
    ]
    assert len({part.task.dataset_sha256 for part in (negated, affirmed, both)}) == 3
    assert negated.regions.keys() == {item.id for item in negated.task.items}


def test_sample_of_a_subset_is_stable_and_part_of_a_larger_one(tmp_path: Path) -> None:
    data = phrasecut.load(write_phrasecut(tmp_path, images=8), "test")
    ids = [{item.id for item in data.subset(Subset.ALL, most=most).task.items} for most in (3, 5, 16, 99)]
    assert [len(each) for each in ids] == [3, 5, 16, 16]
    assert ids[0] < ids[1] < ids[2] == ids[3]


def test_subset_without_phrases_is_refused(tmp_path: Path) -> None:
    rows = [row for row in phrasecut_rows() if "not" not in row["phrase"]]
    data = phrasecut.load(write_phrasecut(tmp_path, rows), "test")
    with pytest.raises(BenchError, match="phrasecut has no negated phrase"):
        data.subset(Subset.NEGATED)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_refcocog_is_read(tmp_path: Path, protocol: int) -> None:
    data = refcocog.load(write_refcocog(tmp_path, protocol=protocol), "test")
    assert [item.text for item in data.task.items][:3] == [
        "the red square",
        "the blue square",
        "the square without a red side",
    ]
    item = data.task.items[1]
    assert (item.id, item.image, item.slices["category"]) == ("10", "COCO_train2014_000000000000.jpg", "square")
    assert (data.regions["10"].mask() == box_mask("blue", outline=0)).all()
    assert data.inclusive
    assert not data.task.missing_pictures()


def test_pickle_of_python_2_is_read(tmp_path: Path) -> None:
    write_refcocog(tmp_path)
    refs, _ = refcocog_parts()
    lines = pickle.dumps(refs[:1], protocol=0)
    # Python 2 writes its texts as the opcode S of a byte string
    (tmp_path / "refs(umd).p").write_bytes(lines.replace(b"Vthe red square", b"S'the red sq\\xc3\\xbcare'"))
    assert refcocog.load(tmp_path, "test").task.items[0].text == "the red sqüare"


def test_converted_references_are_read(tmp_path: Path) -> None:
    write_refcocog(tmp_path)
    refs, _ = refcocog_parts()
    (tmp_path / "refs(umd).p").unlink()
    (tmp_path / "refs(umd).json").write_text(json.dumps(refs))
    assert len(refcocog.load(tmp_path, "test").task.items) == 6


class _Runs:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.path}'",)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_pickle_that_names_code_is_refused_and_nothing_runs(tmp_path: Path, protocol: int) -> None:
    trace = tmp_path / "trace"
    write_refcocog(tmp_path, [_Runs(trace)], protocol=protocol)
    with pytest.raises(BenchError, match=r"it names \w+\.system, which no published file does"):
        refcocog.load(tmp_path, "test")
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"\x80", b"not a pickle", b"\x80\x04]\x94."])
def test_damaged_pickle_is_refused(tmp_path: Path, content: bytes) -> None:
    write_refcocog(tmp_path)
    (tmp_path / "refs(umd).p").write_bytes(content)
    with pytest.raises(BenchError):
        refcocog.load(tmp_path, "test")


def test_only_the_split_is_read(tmp_path: Path) -> None:
    refs, _ = refcocog_parts()
    refs[0]["split"] = "val"
    write_refcocog(tmp_path, refs)
    assert len(refcocog.load(tmp_path, "test").task.items) == 5
    assert len(refcocog.load(tmp_path, "val").task.items) == 1


@pytest.mark.parametrize("form", ["numbers", "text"])
def test_run_lengths_of_coco_are_read(tmp_path: Path, form: str) -> None:
    refs, instances = refcocog_parts()
    mask = box_mask("red", outline=1)
    counts: Any = counts_of(mask) if form == "numbers" else mask_text(mask)
    instances["annotations"][0]["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": counts}
    data = refcocog.load(write_refcocog(tmp_path, refs, instances), "test").subset(Subset.ALL)
    assert (data.regions["0"].mask() == mask).all()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda refs, instances: refs[1].update(ann_id=99), "the annotation 99 is not in instances.json"),
        (lambda refs, instances: refs[1].update(ann_id=10), "the annotation 10 is on another image"),
        (lambda refs, instances: refs[1].update(image_id=[1]), "the image [1] is not in"),
        (lambda refs, instances: refs[1].update(sentences=[]), "'sentences' must be"),
        (lambda refs, instances: refs[1]["sentences"][1].update(sent=5), "'sent' must be a text"),
        (lambda refs, instances: refs[1]["sentences"][1].update(sent_id=None), "'sent_id' must be"),
        (lambda refs, instances: instances["annotations"][1].update(segmentation=[[1, "x"]]), "must be numbers"),
        (lambda refs, instances: instances["annotations"][1].update(segmentation={"counts": "0"}), "have the size"),
        (
            lambda refs, instances: instances["annotations"][1].update(
                segmentation={"size": [HEIGHT, WIDTH], "counts": 5}
            ),
            "'counts' must be",
        ),
    ],
)
def test_bad_reference_is_named_and_the_others_are_used(
    tmp_path: Path, change: Callable[[list[Any], Any], object], reason: str
) -> None:
    refs, instances = refcocog_parts()
    change(refs, instances)
    data = refcocog.load(write_refcocog(tmp_path, refs, instances), "test")
    assert len(data.task.items) == 4
    (problem,) = data.problems
    assert problem.row == "row 1"
    assert reason in problem.reason


def test_damaged_run_lengths_are_reported_when_they_are_drawn(tmp_path: Path) -> None:
    refs, instances = refcocog_parts()
    instances["annotations"][0]["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": [5, 6]}
    data = refcocog.load(write_refcocog(tmp_path, refs, instances), "test").subset(Subset.ALL)
    assert len(data.task.items) == 5
    assert [problem.reason for problem in data.problems] == ["the run lengths cover 11 pixels of 1,200"]


def test_image_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    refs, instances = refcocog_parts()
    instances["images"][0]["file_name"] = "../../etc/passwd"
    data = refcocog.load(write_refcocog(tmp_path, refs, instances), "test")
    assert {problem.reason for problem in data.problems} == {"'../../etc/passwd' leads out of the image folder"}
