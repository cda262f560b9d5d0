"""Tests of affirmative twins of tasks with negated phrases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.affirmative_twins import (
    NO_TWIN,
    NOT_RUN,
    is_negated_task,
    missing_twin_advice,
    missing_twin_label,
    twin_name,
)
from benchmarks.results import read_items
from benchmarks.schema import NO_CUE
from benchmarks.task import slices_of


@pytest.mark.parametrize(
    ("task", "cues", "negated", "twin"),
    [
        ("demo-negref", [NO_CUE], True, "demo-affirm"),
        ("demo-affirm", ["no", "no"], False, None),
        ("negrefcocog", ["no", "without", "not"], True, None),
        ("my-task", ["no", NO_CUE, NO_CUE], False, None),
        ("my-task", ["none", "none", NO_CUE], True, None),
        ("negref-of-mine", [NO_CUE], False, None),
        ("empty", [], False, None),
    ],
)
def test_negated_tasks_and_their_twins(task: str, cues: list[str], negated: bool, twin: str | None) -> None:
    assert (is_negated_task(task, cues), twin_name(task)) == (negated, twin)


def test_label_and_advice_for_a_missing_twin() -> None:
    assert (missing_twin_label("x-negref"), missing_twin_label("negrefcocog")) == (NOT_RUN, NO_TWIN)
    assert "negwb bench run x-affirm" in missing_twin_advice("x-negref")
    assert "retrieval" in missing_twin_advice("negrefcocog")


def test_the_cue_none_differs_from_no_cue() -> None:
    slices = slices_of("two dogs, none of them with a hat"), slices_of("two dogs")
    assert [(each["cue"], each["position"]) for each in slices] == [("none", "beginning"), (NO_CUE, "none")]


def test_older_items_with_no_cue_are_corrected(tmp_path: Path) -> None:
    """In items of older versions the position distinguishes the cue "none" from no cue."""
    # fmt: off
    row = {
        "id": "1", "image": "1.jpg", "text": "x", "options": ["1.jpg", "2.jpg"], "scores": [0.5, 0.1], "pred": 0,
        "target": 0, "correct": True, "tie": False, "rank": 1, "cue": "none", "position": "middle", "cluster": "1",
        "slices": {"cue": "none", "position": "middle"},
    }
    # fmt: on
    without = {**row, "id": "2", "position": "none", "slices": {"cue": "none", "position": "none", "length": "1"}}
    path = tmp_path / "x.items.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in (row, without, {**without, "id": "3", "slices": {}})))
    read = read_items(path)
    assert [each["cue"] for each in read] == ["none", NO_CUE, NO_CUE]
    assert [each["slices"].get("cue") for each in read] == ["none", NO_CUE, None]
    assert read[1]["slices"] == {"cue": NO_CUE, "position": "none", "length": "1"}
