"""Figures of the comparison: the choice of a learning rate, and intervals over seeds. Pure functions.

All figures are percentages or percentage points. Affirmed and denied phrases are choices between two instances, so a
model that ignores negation has about 100 and 0, and one that guesses has 50 and 50.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from curation_db.stats.intervals import Interval, student_t

Percents = Mapping[str, float]
"""Accuracies in percent by name: negref (denied phrases), affirm, unseen (held-out wordings), retrieval_r1."""
NAMES = {"negref": "negated", "affirm": "affirmative", "unseen": "unseen_wording", "retrieval_r1": "retrieval_r1"}
"""Names of the accuracies in the report."""


def u_score(accuracies: Percents) -> float:
    """Return U = affirmative + negated - 100: 0 for a model that ignores negation or guesses, 100 for a perfect one."""
    return accuracies["affirm"] + accuracies["negref"] - 100


def mean_u(of_seeds: Sequence[Percents]) -> float:
    return sum(map(u_score, of_seeds)) / len(of_seeds)


def choose_rate(sweep: Mapping[float, Sequence[Percents]]) -> float:
    """Return the learning rate with the highest mean U over the seeds; the lowest of equal ones.

    Args:
        sweep: validation accuracies of each seed, by learning rate.
    """
    return min(sweep, key=lambda lr: (-mean_u(sweep[lr]), lr))


def arm_figures(of_seeds: Sequence[Percents], base: Percents, reference: Sequence[Percents] | None) -> dict[str, Any]:
    """Return the mean of each accuracy with its 95 % t interval over the seeds.

    Args:
        of_seeds: accuracies of an arm by seed.
        base: accuracies of the base model.
        reference: accuracies of the arm to compare U with, for the same seeds; None: there is none.
    """
    figures = {name: _interval([each[key] for each in of_seeds]) for key, name in NAMES.items()}
    figures["u"] = _interval([u_score(each) for each in of_seeds])
    figures["affirmative_loss"] = _interval([base["affirm"] - each["affirm"] for each in of_seeds])
    if reference is not None:
        pairs = zip(of_seeds, reference, strict=True)
        figures["u_difference"] = _interval([u_score(each) - u_score(other) for each, other in pairs])
    return figures


def _interval(values: Sequence[float]) -> dict[str, float | None]:
    """Return mean and limits; one seed has no limits, and JSON has no infinity."""
    interval: Interval = student_t(values)
    limits = (interval.low, interval.high) if len(values) > 1 else (None, None)
    low, high = (None if limit is None else round(limit, 2) for limit in limits)
    return {"mean": round(interval.estimate, 2), "low": low, "high": high}
