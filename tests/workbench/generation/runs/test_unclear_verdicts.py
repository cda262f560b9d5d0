"""A run whose judges answer nearly nothing with yes or no ends with an error."""

from __future__ import annotations

import pytest

from curation_db.enums import Stage
from curation_db.generation.progress import StageProgress
from workbench.errors import ExitCode
from workbench.generation.engines.requests import ModelAnswer
from workbench.generation.runs.counters import RunCounters
from workbench.generation.runs.unclear_verdicts import verdicts_unclear


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([(20, 20)], True),
        ([(20, 18)], True),
        ([(20, 17)], False),
        ([(19, 19)], False),
        ([(10, 10), (10, 9)], True),  # the two runs of `negwb generate judge`
        ([(0, 0)], False),
        ([], False),
    ],
)
def test_nine_of_ten_of_at_least_20_answers_are_too_many(runs: list[tuple[int, int]], expected: bool) -> None:
    error = verdicts_unclear([StageProgress(judged=judged, unclear=unclear) for judged, unclear in runs])
    assert (error is not None) is expected
    if error is not None:
        assert error.exit_code == ExitCode.UNEXPECTED
        assert "neither yes nor no" in error.message
        assert error.hint


def test_the_answers_of_judges_are_counted_also_from_the_cache() -> None:
    counters = RunCounters(None, least_label_mass=0.5)
    for stage in (Stage.PRESENCE, Stage.ACCEPTABLE):
        counters.count_answer(stage, ModelAnswer(text="Hm."))
        counters.count_cached(stage, ModelAnswer(p=0.9, label_mass=0.1))  # unclear by its mass
        counters.count_cached(stage, ModelAnswer(p=0.9, label_mass=0.6))
        counters.count_answer(stage, ModelAnswer(p=0.0))
        counters.count_answer(stage, ModelAnswer(error="timeout"))
    for stage in (Stage.PRIOR, Stage.PROPOSE, Stage.REWRITE):
        counters.count_answer(stage, ModelAnswer(text="A hat."))
    progress = counters.progress(0, {})
    assert (progress.judged, progress.unclear) == (8, 4)
    assert StageProgress.from_dict(progress.to_dict()) == progress


def test_a_judge_that_answers_nothing_is_counted_as_unclear() -> None:
    counters = RunCounters(None, least_label_mass=0.5)
    for _ in range(20):
        counters.count_answer(Stage.PRESENCE, ModelAnswer(error="empty"))
        counters.count_answer(Stage.REWRITE, ModelAnswer(error="empty"))
    progress = counters.progress(0, {})
    assert (progress.judged, progress.unclear) == (20, 20)
    assert verdicts_unclear([progress]) is not None
