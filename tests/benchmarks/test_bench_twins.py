"""A figure on denied phrases never stands alone: which tasks that is about, and what stands beside."""

from __future__ import annotations

import pytest

from benchmarks.twins import NO_TWIN, NOT_RUN, advice, denies, in_place, twin_name


@pytest.mark.parametrize(
    ("task", "cues", "denied", "twin"),
    [
        ("demo-negref", ["none"], True, "demo-affirm"),
        ("demo-affirm", ["no", "no"], False, None),
        ("negrefcocog", ["no", "without", "not"], True, None),
        ("my-task", ["no", "none", "none"], False, None),
        ("negref-of-mine", ["none"], False, None),
        ("empty", [], False, None),
    ],
)
def test_which_tasks_are_about_denied_phrases(task: str, cues: list[str], denied: bool, twin: str | None) -> None:
    assert (denies(task, cues), twin_name(task)) == (denied, twin)


def test_what_is_said_in_place_of_the_figure() -> None:
    assert (in_place("x-negref"), in_place("negrefcocog")) == (NOT_RUN, NO_TWIN)
    assert "negwb bench run x-affirm" in advice("x-negref")
    assert "retrieval" in advice("negrefcocog")
