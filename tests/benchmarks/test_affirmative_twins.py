"""A figure on denied phrases never stands alone: which tasks that is about, and what stands beside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.affirmative_twins import NO_TWIN, NOT_RUN, advice, denies, in_place, twin_name
from benchmarks.results import read_items
from benchmarks.schema import NO_CUE
from benchmarks.task import slices_of


@pytest.mark.parametrize(
    ("task", "cues", "denied", "twin"),
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
def test_which_tasks_are_about_denied_phrases(task: str, cues: list[str], denied: bool, twin: str | None) -> None:
    assert (denies(task, cues), twin_name(task)) == (denied, twin)


def test_what_is_said_in_place_of_the_figure() -> None:
    assert (in_place("x-negref"), in_place("negrefcocog")) == (NOT_RUN, NO_TWIN)
    assert "negwb bench run x-affirm" in advice("x-negref")
    assert "retrieval" in advice("negrefcocog")


def test_the_cue_none_is_not_the_lack_of_a_cue() -> None:
    told = slices_of("two dogs, none of them with a hat"), slices_of("two dogs")
    assert [(each["cue"], each["position"]) for each in told] == [("none", "beginning"), (NO_CUE, "none")]


def test_older_items_called_both_none(tmp_path: Path) -> None:
    """GIVEN items of an older negwb THEN their position tells the cue "none" from the lack of one."""
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
