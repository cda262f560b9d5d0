"""Runs in which the judges answer nearly nothing with yes or no: their verdicts decide nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from curation_db.generation.progress import StageProgress
from workbench.errors import ExitCode, NegwbError

_LEAST_JUDGED: Final = 20
"""Fewer answers say nothing about the judges."""
_LEAST_SHARE: Final = 0.9


class VerdictsUnclear(NegwbError):
    """Nearly all answers of the judges are neither yes nor no."""

    exit_code = ExitCode.UNEXPECTED


def verdicts_unclear(runs: Sequence[StageProgress]) -> VerdictsUnclear | None:
    """Return the error of complete runs whose verdicts are nearly all unclear."""
    judged, unclear = sum(each.judged for each in runs), sum(each.unclear for each in runs)
    if judged < _LEAST_JUDGED or unclear < _LEAST_SHARE * judged:
        return None
    return VerdictsUnclear(
        f"{unclear:,} of {judged:,} answers of the judges are neither yes nor no",
        hint="read some: negwb history CANDIDATE; test the judges: negwb generate probe ENGINE",
    )
