"""Certificates of a precision at looks that are declared beforehand. Pure functions.

A sample of n accepted candidates with e errors certifies a precision of `target` when the exact one-sided lower bound
(Clopper & Pearson 1934) is at least `target`; equivalently, when P(X <= e) <= 1 - confidence for X errors of n at an
error rate of 1 - target. The bound is for one look at one sample size. Looking again after each label and stopping
at the first good bound is wrong far more often, so several looks share the error probability here (Lan & DeMets 1983).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from curation_db.stats.intervals import LEVEL, binomial_cdf

_MOST_LABELS: Final = 1 << 30


def required_labels(target: float, errors: int = 0, *, confidence: float = LEVEL) -> int:
    """Return the smallest sample that certifies a precision of `target` in one look with this number of errors."""
    _check(target, confidence)
    if errors < 0:
        raise ValueError(f"{errors} is not a number of errors")
    low, high = errors, max(errors, 1)
    while not certifies(high, errors, target, confidence=confidence):
        low, high = high, high * 2
        if high > _MOST_LABELS:
            raise ValueError(f"a precision of {target} needs more than {_MOST_LABELS:,} labels")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if certifies(middle, errors, target, confidence=confidence) else (middle, high)
    return high


def certifies(labels: int, errors: int, target: float, *, confidence: float = LEVEL) -> bool:
    """Return whether the exact lower bound of the precision of one sample is at least `target`."""
    return binomial_cdf(errors, labels, 1 - target) <= 1 - confidence


@dataclass(frozen=True, slots=True)
class LookPlan:
    """Looks at a growing sample, and the errors that each allows."""

    target: float
    confidence: float
    looks: tuple[int, ...]
    """Number of labels at each look, rising."""
    allowed: tuple[int, ...]
    """At each look, the largest number of errors that certifies the target; -1: the look cannot certify it."""

    def certified(self, errors: Sequence[int]) -> int | None:
        """Return the first look that certifies the target; `errors` are the errors so far at each look until now."""
        passing = (look for look, (seen, most) in enumerate(zip(errors, self.allowed, strict=False)) if seen <= most)
        return next(passing, None)


def plan_looks(
    looks: Sequence[int], target: float, *, confidence: float = LEVEL, spending: Sequence[float] | None = None
) -> LookPlan:
    """Return the errors that each look allows, so that all looks together hold the confidence.

    A look at n of N labels may use up the share n / N of the error probability 1 - confidence (linear spending of Lan &
    DeMets 1983), unless `spending` gives the shares. The probability that a look certifies first is computed exactly,
    by the distribution of the errors at a precision of `target` among the samples that no earlier look certified. At a
    lower precision all these probabilities are smaller.

    Args:
        looks: Number of labels at each look, rising.
        spending: Share of the error probability that may be used up to each look, rising up to 1 at most. It must not
            depend on the labels.
    """
    _check(target, confidence)
    if not looks or looks[0] < 1 or any(b <= a for a, b in pairwise(looks)):
        raise ValueError("looks are rising numbers of labels, at least one")
    shares = [look / looks[-1] for look in looks] if spending is None else spending
    budget, spent, before = 1 - confidence, 0.0, 0
    open_paths = np.ones(1)  # P(errors = e and not certified yet), for e = 0, 1, ...
    allowed: list[int] = []
    for labels, share in zip(looks, shares, strict=True):
        open_paths = np.convolve(open_paths, _binomial(labels - before, 1 - target))
        affordable = budget * share - spent
        # a relative tolerance: the sum of the last look equals the budget but for rounding
        most = int(np.searchsorted(np.cumsum(open_paths), affordable * (1 + 1e-12), side="right")) - 1
        spent += float(open_paths[: most + 1].sum())
        open_paths[: most + 1] = 0.0
        allowed.append(most)
        before = labels
    return LookPlan(target, confidence, tuple(looks), tuple(allowed))


def _binomial(trials: int, p: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return P(X = x) for x = 0 .. trials."""
    steps = np.log(np.arange(trials, 0, -1)) - np.log(np.arange(1, trials + 1)) + np.log(p) - np.log1p(-p)
    logs: np.ndarray[tuple[int], np.dtype[np.float64]] = np.concatenate(([0.0], np.cumsum(steps)))
    masses: np.ndarray[tuple[int], np.dtype[np.float64]] = np.exp(logs + trials * np.log1p(-p))
    return masses


def _check(target: float, confidence: float) -> None:
    if not 0 < target < 1 or not 0 < confidence < 1:
        raise ValueError(f"a target precision and a confidence are between 0 and 1, not {target} and {confidence}")
