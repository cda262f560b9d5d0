"""One probability from several judges and checks: a logistic regression on labels. Pure functions.

The features of a candidate are the log-odds of each judge's P(right) as a linear spline, with 0 and a mark where a
judge has no answer, and one 0/1 feature for each check that can fire. A spline, because many judges are reliable only
where they are very sure. The weights are fitted on labels that no certificate uses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from curation_db.trust.calibration import log_odds

PENALTY: Final = 1.0
"""Weight of the L2 penalty: sum of w^2 / 2, without the intercept. With few labels the judges keep equal signs."""
KNOTS: Final = (1.0, 2.0, 3.0)
"""Log-odds at which the slope may change: P(right) of .73, .88 and .95."""
_MAX_STEPS: Final = 50
_CONVERGED: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a candidate without people."""

    judges: Mapping[str, float]
    """P(right) by judge; a judge without an answer is missing."""
    checks: frozenset[str] = frozenset()
    """Checks of the linter that fire."""


@dataclass(frozen=True, slots=True)
class JudgeScore:
    """A fitted combination: P(right) = sigmoid(intercept + sum of weight * feature)."""

    judges: tuple[str, ...]
    checks: tuple[str, ...]
    weights: tuple[float, ...]
    """Of the log-odds of each judge, of their excess over each knot, of missing answers, of checks."""
    intercept: float

    def apply(self, evidence: Sequence[Evidence]) -> list[float]:
        """Return P(right) of each candidate. Judges and checks that the fit did not see are ignored."""
        if not evidence:
            return []
        odds = _features(evidence, self.judges, self.checks) @ np.array(self.weights) + self.intercept
        return [float(p) for p in 1 / (1 + np.exp(-np.clip(odds, -500, 500)))]


def fit_judge_score(evidence: Sequence[Evidence], right: Sequence[bool], *, penalty: float = PENALTY) -> JudgeScore:
    """Fit the weights by penalised maximum likelihood (ridge logistic regression, Newton's method).

    Raises:
        ValueError: there is no label, or the lengths differ.
    """
    if not evidence or len(evidence) != len(right):
        raise ValueError(f"{len(evidence)} candidates and {len(right)} labels cannot be fitted")
    judges = tuple(sorted({judge for each in evidence for judge in each.judges}))
    checks = tuple(sorted({check for each in evidence for check in each.checks}))
    features = _features(evidence, judges, checks)
    x = np.column_stack([features, np.ones(len(evidence))])
    y = np.asarray(right, dtype=np.float64)
    ridge = np.diag([penalty] * features.shape[1] + [1e-6])  # the intercept is free but stays finite
    w = np.zeros(x.shape[1])
    for _ in range(_MAX_STEPS):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -500, 500)))
        gradient = x.T @ (p - y) + ridge @ w
        step = np.linalg.solve(x.T @ (x * (p * (1 - p))[:, None]) + ridge, gradient)
        loss, rate = _loss(x, y, w, ridge), 1.0
        while rate > _CONVERGED and _loss(x, y, w - rate * step, ridge) > loss:
            rate /= 2
        w = w - rate * step
        if float(np.abs(rate * step).max()) < _CONVERGED:
            break
    return JudgeScore(judges, checks, tuple(float(each) for each in w[:-1]), float(w[-1]))


def _loss(x: NDArray[np.float64], y: NDArray[np.float64], w: NDArray[np.float64], ridge: NDArray[np.float64]) -> float:
    odds = x @ w
    return float(np.sum(np.logaddexp(0, odds) - y * odds) + w @ ridge @ w / 2)


def _features(evidence: Sequence[Evidence], judges: Sequence[str], checks: Sequence[str]) -> NDArray[np.float64]:
    """Return the features (n, (2 + knots) * judges + checks)."""
    answers = np.array([[each.judges.get(judge, 0.5) for judge in judges] for each in evidence], dtype=np.float64)
    missing = np.array([[judge not in each.judges for judge in judges] for each in evidence], dtype=np.float64)
    fired = np.array([[check in each.checks for check in checks] for each in evidence], dtype=np.float64)
    n = len(evidence)
    odds = log_odds(answers.ravel()).reshape(n, -1) if judges else np.zeros((n, 0))
    excess = [np.maximum(odds - knot, 0) for knot in KNOTS]
    return np.concatenate([odds, *excess, missing.reshape(n, -1), fired.reshape(n, -1)], axis=1)
