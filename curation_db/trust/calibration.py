"""Calibration of probabilities against labels: how reliable they are, and a correction. Pure functions.

A probability is a judge's P(right), an outcome is 1 where people find the same candidate right. Weights are inverse
sampling probabilities; they are meant for plots and scores of a whole corpus. The tests of a certificate take no
weights: exact bounds hold for labels of equal probability only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from curation_db.stats.intervals import Interval, score_interval

BINS: Final = 10
_TINY: Final = 1e-6
"""Probabilities are at least so far from 0 and 1, so that their log-odds are finite."""
_MAX_STEPS: Final = 100
_CONVERGED: Final = 1e-10
_MOST_LOG_SCALE: Final = math.log(100.0)
"""The fitted slope stays within 1/100 and 100; separable labels would send it to infinity."""
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bin:
    """Items whose probability is in [low, high), in the last bin also at `high`."""

    low: float
    high: float
    n: int
    predicted: float
    """Mean probability."""
    observed: Interval
    """Share of right items, with the score interval at the effective number of items (Kish): (sum w)^2 / sum w^2."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """How well probabilities agree with outcomes. NaN where a figure is undefined."""

    n: int
    base_rate: float
    """Share of right items."""
    bins: tuple[Bin, ...]
    """Bins with items, by rising probability."""
    brier: float
    """Mean squared error (Brier 1950)."""
    log_loss: float
    """Mean negative log-likelihood, in nats."""
    ece: float
    """Expected calibration error: mean |predicted - observed| of the bins, weighted by their items (Naeini 2015)."""
    discrimination: float
    """Probability that a right item has the higher probability, ties count half (area under the ROC curve)."""


@dataclass(frozen=True, slots=True)
class LogitScale:
    """Calibrated log-odds = slope * log-odds + intercept (Platt 1999); with intercept 0 a temperature of 1 / slope."""

    slope: float = 1.0
    intercept: float = 0.0

    @property
    def temperature(self) -> float:
        return 1 / self.slope

    def apply(self, probabilities: Sequence[float]) -> list[float]:
        """Return the calibrated probabilities, in the same order."""
        odds = self.slope * log_odds(probabilities) + self.intercept
        return [float(p) for p in _sigmoid(odds)]


def reliability(
    probabilities: Sequence[float],
    outcomes: Sequence[bool],
    *,
    weights: Sequence[float] | None = None,
    bins: int = BINS,
) -> Reliability:
    """Compare n probabilities with n outcomes in `bins` bins of equal width.

    Raises:
        ValueError: the lengths differ, a probability is outside 0..1, or a weight is not positive and finite.
    """
    p, y, w = _checked(probabilities, outcomes, weights)
    if not p.size:
        return Reliability(0, math.nan, (), math.nan, math.nan, math.nan, math.nan)
    index = np.minimum((p * bins).astype(int), bins - 1)
    total = float(w.sum())
    groups, error = [], 0.0
    for number in np.unique(index):
        inside = index == number
        weight = float(w[inside].sum())
        predicted, share = float(w[inside] @ p[inside]) / weight, float(w[inside] @ y[inside]) / weight
        error += weight / total * abs(predicted - share)
        share = min(max(share, 0.0), 1.0)
        observed = score_interval(share, weight**2 / float(w[inside] @ w[inside]))
        groups.append(Bin(float(number / bins), float((number + 1) / bins), int(inside.sum()), predicted, observed))
    clipped = np.clip(p, _TINY, 1 - _TINY)
    loss = -(y * np.log(clipped) + (1 - y) * np.log1p(-clipped))
    return Reliability(
        int(p.size),
        float(w @ y) / total,
        tuple(groups),
        float(w @ (p - y) ** 2) / total,
        float(w @ loss) / total,
        error,
        _discrimination(p, y, w),
    )


def fit_temperature(probabilities: Sequence[float], outcomes: Sequence[bool]) -> LogitScale:
    """Fit one temperature by maximum likelihood (Guo et al. 2017). Without both outcomes nothing is changed."""
    p, y, _ = _checked(probabilities, outcomes, None)
    if not 0 < y.sum() < y.size:
        return LogitScale()
    slope, _ = _fit(log_odds(p), y, with_intercept=False)
    return LogitScale(slope)


def fit_platt(probabilities: Sequence[float], outcomes: Sequence[bool]) -> LogitScale:
    """Fit slope and intercept by maximum likelihood on smoothed outcomes (Platt 1999, section 2.2).

    The smoothed outcomes are (N+ + 1) / (N+ + 2) for right and 1 / (N- + 2) for wrong items, which keeps the fit finite
    when the labels are separable. Without both outcomes nothing is changed.
    """
    p, y, _ = _checked(probabilities, outcomes, None)
    right = float(y.sum())
    if not 0 < right < y.size:
        return LogitScale()
    smoothed = np.where(y > 0, (right + 1) / (right + 2), 1 / (y.size - right + 2))
    return LogitScale(*_fit(log_odds(p), smoothed, with_intercept=True))


def log_odds(probabilities: Sequence[float] | Array) -> Array:
    """Return log(p / (1 - p)), with p limited to 1e-6 .. 1 - 1e-6."""
    p = np.clip(np.asarray(probabilities, dtype=np.float64), _TINY, 1 - _TINY)
    odds: Array = np.log(p) - np.log1p(-p)
    return odds


def _fit(x: Array, y: Array, *, with_intercept: bool) -> tuple[float, float]:
    """Return (slope, intercept) of the maximum of the likelihood of sigmoid(slope * x + intercept), by Newton steps.

    The slope is exp(s) with bounded s: a calibration never reverses the order.
    """
    s, b = 0.0, 0.0
    loss = _loss(s, b, x, y)
    for _ in range(_MAX_STEPS):
        slope = math.exp(s)
        predicted = _sigmoid(slope * x + b)
        residual, variance = predicted - y, predicted * (1 - predicted)
        by_s, by_b = float(residual @ x) * slope, float(residual.sum())
        # the second derivative by s has a term with the residual, which is left out so that the matrix stays positive
        ss, sb, bb = float(variance @ (x * x)) * slope**2, float(variance @ x) * slope, float(variance.sum())
        if with_intercept:
            determinant = (ss + _TINY) * (bb + _TINY) - sb * sb
            step_s = (by_s * (bb + _TINY) - by_b * sb) / determinant
            step_b = (by_b * (ss + _TINY) - by_s * sb) / determinant
        else:
            step_s, step_b = by_s / (ss + _TINY), 0.0
        rate = 1.0
        while rate > _CONVERGED:  # halve the step until the likelihood does not fall
            trial_s = min(max(s - rate * step_s, -_MOST_LOG_SCALE), _MOST_LOG_SCALE)
            trial_b = b - rate * step_b
            trial = _loss(trial_s, trial_b, x, y)
            if trial <= loss:
                break
            rate /= 2
        else:
            break
        moved = abs(trial_s - s) + abs(trial_b - b)
        s, b, loss = trial_s, trial_b, trial
        if moved < _CONVERGED:
            break
    return math.exp(s), b


def _loss(s: float, b: float, x: Array, y: Array) -> float:
    odds = math.exp(s) * x + b
    return float(np.sum(np.logaddexp(0, odds) - y * odds))


def _sigmoid(odds: Array) -> Array:
    result: Array = 1 / (1 + np.exp(-np.clip(odds, -500, 500)))
    return result


def _discrimination(p: Array, y: Array, w: Array) -> float:
    """Return the weighted probability that a right item has a higher p than a wrong one."""
    right, wrong = float(w @ y), float(w @ (1 - y))
    if not right or not wrong:
        return math.nan
    values, index = np.unique(p, return_inverse=True)
    of_right = np.bincount(index, weights=w * y, minlength=values.size)
    of_wrong = np.bincount(index, weights=w * (1 - y), minlength=values.size)
    below = np.cumsum(of_wrong) - of_wrong
    return float(of_right @ (below + of_wrong / 2)) / (right * wrong)


def _checked(p: Sequence[float], y: Sequence[bool], weights: Sequence[float] | None) -> tuple[Array, Array, Array]:
    probabilities, outcomes = np.asarray(p, dtype=np.float64), np.asarray(y, dtype=np.float64)
    given = np.ones_like(probabilities) if weights is None else np.asarray(weights, dtype=np.float64)
    if not probabilities.shape == outcomes.shape == given.shape or probabilities.ndim != 1:
        raise ValueError(f"{len(p)} probabilities, {len(y)} outcomes and {given.size} weights do not belong together")
    if not np.all((probabilities >= 0) & (probabilities <= 1)):
        raise ValueError("a probability is outside 0..1")
    if not np.all((given > 0) & np.isfinite(given)):
        raise ValueError("a weight is not positive and finite")
    return probabilities, outcomes, given
