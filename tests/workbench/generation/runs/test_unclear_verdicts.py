"""A run whose judges answer nearly nothing with yes or no ends with an error."""

from __future__ import annotations

import pytest

from curation_db.enums import Stage
from curation_db.generation.progress import StageProgress
from workbench.errors import ExitCode
from workbench.generation.engines.requests import ModelAnswer
from workbench.generation.runs.counters import RunCounters
from workbench.generation.runs.unclear_verdicts import verdicts_unclear


def progress_of(presence: tuple[int, int] = (0, 0), acceptable: tuple[int, int] = (0, 0)) -> StageProgress:
    counts = {Stage.PRESENCE: presence, Stage.ACCEPTABLE: acceptable}
    return StageProgress(stages={stage: {"judged": each[0], "unclear": each[1]} for stage, each in counts.items()})


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([progress_of((20, 20))], "20 of 20"),
        ([progress_of((20, 18))], "18 of 20"),
        ([progress_of((20, 17))], ""),
        ([progress_of((5, 5))], "5 of 5"),
        ([progress_of((5, 4))], ""),
        ([progress_of((4, 4))], ""),
        ([progress_of((6, 6), (6, 0))], "6 of 6"),  # nothing is known about presence
        ([progress_of((60, 3), (12, 11))], "11 of 12"),
        ([progress_of((4, 4), (4, 4))], ""),
        ([progress_of((3, 3)), progress_of((3, 3))], "6 of 6"),  # the two runs of `negwb generate judge`
        ([StageProgress()], ""),
        ([], ""),
    ],
)
def test_nine_of_ten_of_at_least_five_answers_to_a_question_are_too_many(
    runs: list[StageProgress], expected: str
) -> None:
    error = verdicts_unclear(runs)
    assert (error is not None) is bool(expected)
    if error is not None:
        assert error.exit_code == ExitCode.UNEXPECTED
        assert error.message.startswith(expected)
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
    assert [progress.stages[stage]["judged"] for stage in (Stage.PRESENCE, Stage.ACCEPTABLE)] == [4, 4]
    assert [progress.stages[stage]["unclear"] for stage in (Stage.PRESENCE, Stage.ACCEPTABLE)] == [2, 2]
    assert not any("judged" in progress.stages[stage] for stage in (Stage.PRIOR, Stage.PROPOSE, Stage.REWRITE))
    assert StageProgress.from_dict(progress.to_dict()) == progress


def test_a_judge_that_answers_nothing_is_counted_as_unclear() -> None:
    counters = RunCounters(None, least_label_mass=0.5)
    for _ in range(20):
        counters.count_answer(Stage.PRESENCE, ModelAnswer(error="empty"))
        counters.count_answer(Stage.REWRITE, ModelAnswer(error="empty"))
    progress = counters.progress(0, {})
    assert (progress.stages[Stage.PRESENCE]["judged"], progress.stages[Stage.PRESENCE]["unclear"]) == (20, 20)
    assert verdicts_unclear([progress]) is not None
