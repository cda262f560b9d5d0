"""Confidence intervals of shares and means, for all packages. Pure functions.

numpy is imported only for resampling. Shares are in 0..1; a two-sided interval at `level` leaves (1 - level) / 2 on
each side. All resampling is seeded: the same values give the same interval, in any order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist, mean, stdev
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEVEL: Final = 0.95
"""Default confidence level."""
RESAMPLES: Final = 10_000

_DRAWS_AT_ONCE: Final = 1 << 21
"""Size of a block of bootstrap draws; limits its memory to about 40 MB for any number of clusters."""
_HALVINGS: Final = 200
_TERMS: Final = 100_000
_TINY: Final = 1e-300
_CONVERGED: Final = 1e-15


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its confidence limits."""

    estimate: float
    """NaN without observations."""
    low: float
    high: float


def wilson(successes: int, trials: int, *, level: float = LEVEL) -> Interval:
    """Return the score interval of a share (Wilson 1927; Newcombe 1998, method 3); without trials 0 to 1."""
    _check(successes, trials, level)
    if trials == 0:
        return Interval(math.nan, 0.0, 1.0)
    return score_interval(successes / trials, trials, level=level)


def score_interval(share: float, trials: float, *, level: float = LEVEL) -> Interval:
    """Return the score interval of a share; `trials` above 0 can be an effective sample size, which is a fraction."""
    z = NormalDist().inv_cdf(0.5 + level / 2)
    centre = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    # At 0 and at 1 the limit is exact; the formula would be off by 1e-17.
    low = 0.0 if share == 0 else (centre - half) / scale
    return Interval(share, low, 1.0 if share == 1 else (centre + half) / scale)


def independent_difference(ours: Interval, theirs: Interval) -> Interval:
    """Return the interval of ours - theirs for two independent samples, from the interval of each.

    It is the square-and-add method: Newcombe 1998, method 10, with score intervals; Zou and Donner 2008 for others.
    """
    difference = ours.estimate - theirs.estimate
    below = math.hypot(ours.estimate - ours.low, theirs.high - theirs.estimate)
    above = math.hypot(ours.high - ours.estimate, theirs.estimate - theirs.low)
    return Interval(difference, difference - below, difference + above)


def exact_lower(successes: int, trials: int, *, level: float = LEVEL) -> float:
    """Return the one-sided exact lower bound of a share.

    It is the p at which `successes` or more have probability 1 - level: P(X >= k) = I_p(k, n - k + 1).
    """
    _check(successes, trials, level)
    if successes == 0:
        return 0.0
    if successes == trials:
        return float((1 - level) ** (1 / trials))
    return _root(lambda p: beta_cdf(p, successes, trials - successes + 1), 1 - level)


def exact_upper(successes: int, trials: int, *, level: float = LEVEL) -> float:
    """Return the one-sided exact upper bound of a share."""
    return 1.0 - exact_lower(trials - successes, trials, level=level)


def cluster_bootstrap(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Interval:
    """Return the percentile interval of the mean of `values` (n) by a cluster bootstrap (Efron & Tibshirani 1993).

    Items of one image are not independent, so whole clusters are drawn with replacement. Each resample weighs the C
    clusters by a multinomial draw; its mean is the weighted sum over the weighted count.
    """
    if len(values) != len(clusters):
        raise ValueError(f"{len(values)} values but {len(clusters)} clusters")
    if not 0 < level < 1 or resamples < 1:
        raise ValueError("the level must be between 0 and 1, and at least one resample is needed")
    if not len(values):
        return Interval(math.nan, math.nan, math.nan)
    low, high = _percentiles(_by_cluster(values, clusters), resamples, seed, level)
    return Interval(math.fsum(values) / len(values), low, high)


def cluster_bootstrap_difference(
    ours: Sequence[float],
    theirs: Sequence[float],
    clusters: Sequence[Hashable],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Interval:
    """Return the `cluster_bootstrap` interval of the mean of ours - theirs on the same n items."""
    differences = [float(a) - float(b) for a, b in zip(ours, theirs, strict=True)]
    return cluster_bootstrap(differences, clusters, seed=seed, resamples=resamples, level=level)


def student_t(values: Sequence[float]) -> Interval:
    """Return the mean of `values` (n) with its 95 % t interval, n - 1 degrees of freedom (Student 1908).

    With one value the interval is unbounded.
    """
    if not values:
        return Interval(math.nan, math.nan, math.nan)
    centre = mean(values)
    if len(values) == 1:
        return Interval(centre, -math.inf, math.inf)
    half = _t_quantile(len(values) - 1, LEVEL) * stdev(values) / math.sqrt(len(values))
    return Interval(centre, centre - half, centre + half)


def _t_quantile(freedom: int, level: float) -> float:
    """Return the t with P(|T| <= t) = level: P(|T| > t) = I_x(freedom/2, 1/2) at x = freedom / (freedom + t^2)."""
    x = _root(lambda x: beta_cdf(x, freedom / 2, 0.5), 1 - level)
    return math.sqrt(freedom * (1 - x) / x)


def _check(successes: int, trials: int, level: float) -> None:
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is not a share")
    if not 0 < level < 1:
        raise ValueError(f"the level must be between 0 and 1, not {level}")


def _root(rising: Callable[[float], float], wanted: float) -> float:
    """Return the x in 0..1 at which `rising` reaches `wanted`, by bisection down to adjacent floats."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return (low + high) / 2


def binomial_cdf(successes: int, trials: int, p: float) -> float:
    """Return P(X <= successes) of `trials` draws with probability p each: I_(1-p)(n - k, k + 1)."""
    if successes >= trials:
        return 1.0
    return 0.0 if successes < 0 else beta_cdf(1 - p, trials - successes, successes + 1)


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b) by its continued fraction (DLMF 8.17.22, Lentz)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    # The mirrored function 1 - I_(1-x)(b, a) converges where this one does not.
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_cdf(1 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) / (a * _continued(x, a, b))


def _continued(x: float, a: float, b: float) -> float:
    """Return the continued fraction 1 + d1/(1 + d2/(1 + ...)) of I_x(a, b)."""
    c, d = 1.0, 0.0
    value = 1.0
    for term in range(1, _TERMS):
        m = term // 2
        if term % 2:
            factor = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            factor = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / (1 + factor * d or _TINY)
        c = 1 + factor / c or _TINY
        value *= c * d
        if abs(c * d - 1) < _CONVERGED:
            break
    return value


def _by_cluster(values: Sequence[float], clusters: Sequence[Hashable]) -> list[tuple[float, int]]:
    """Return sum and count of each cluster, in an order that does not depend on the order of the items."""
    grouped: dict[Hashable, list[float]] = {}
    for value, cluster in zip(values, clusters, strict=True):
        grouped.setdefault(cluster, []).append(float(value))
    # Equal pairs are interchangeable, so sorting by content is enough; cluster names need not be comparable.
    return sorted((math.fsum(group), len(group)) for group in grouped.values())


def _percentiles(clusters: list[tuple[float, int]], resamples: int, seed: int, level: float) -> tuple[float, float]:
    """Return the limits of the percentile interval of the mean over `resamples` draws of C from C clusters."""
    import numpy as np  # noqa: PLC0415 -- 60 ms, and most callers need only the interval of a share

    means = [sums[:, 0] / sums[:, 1] for sums in resampled_sums(clusters, resamples=resamples, seed=seed)]
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def resampled_sums(
    clusters: Sequence[Sequence[float]] | NDArray[np.float64], *, resamples: int = RESAMPLES, seed: int = 0
) -> Iterator[NDArray[np.float64]]:
    """Yield the column sums of `clusters` (C, S) over `resamples` draws of C from C of them, in blocks (R, S).

    Equal clusters (such as images with one correct item) are drawn as one kind, by multinomial weights over the K
    kinds. K is small where values are only right or wrong, so the work is resamples x K instead of resamples x C.
    """
    import numpy as np  # noqa: PLC0415

    kinds, sizes = np.unique(np.array(clusters, dtype=np.float64), axis=0, return_counts=True)
    rng = np.random.default_rng(seed)
    step = max(1, _DRAWS_AT_ONCE // len(kinds))
    for start in range(0, resamples, step):
        weights = rng.multinomial(len(clusters), sizes / len(clusters), size=min(step, resamples - start))
        yield weights @ kinds
