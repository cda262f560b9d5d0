"""Runs in which the judges answer nearly nothing with yes or no: their verdicts decide nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from curation_db.enums import Stage
from curation_db.generation.progress import StageProgress
from workbench.errors import ExitCode, NegwbError

_QUESTIONS: Final = {
    Stage.PRESENCE: "whether a concept is present",
    Stage.ACCEPTABLE: "whether a caption is acceptable",
}
_LEAST_JUDGED: Final = 5
"""Of five answers all must be unclear; by chance a judge that is mostly clear sends them in less than 1 of 32 runs."""
_LEAST_SHARE: Final = 0.9


class VerdictsUnclear(NegwbError):
    """Nearly all answers of the judges to a question are neither yes nor no."""

    exit_code = ExitCode.UNEXPECTED


def verdicts_unclear(runs: Sequence[StageProgress]) -> VerdictsUnclear | None:
    """Return the error of complete runs whose verdicts on a question are nearly all unclear."""
    for stage, question in _QUESTIONS.items():
        counts = [each.stages.get(stage, {}) for each in runs]
        judged, unclear = (sum(each.get(name, 0) for each in counts) for name in ("judged", "unclear"))
        if judged >= _LEAST_JUDGED and unclear >= _LEAST_SHARE * judged:
            return VerdictsUnclear(
                f"{unclear:,} of {judged:,} answers of the judges are neither yes nor no, to the question {question}",
                hint="read some: negwb history CANDIDATE; test the judges: negwb generate probe ENGINE",
            )
    return None
