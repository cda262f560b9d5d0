"""Intervals against published tables and against scipy and statsmodels."""

from __future__ import annotations

import math
import statistics
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from curation_db.stats import intervals

# Newcombe (1998), Statistics in Medicine 17:857, table I: 95 % intervals, methods 3 (Wilson) and 5 (Clopper-Pearson).
NEWCOMBE = {
    (81, 263): ((0.2553, 0.3662), (0.2527, 0.3676)),
    (15, 148): ((0.0624, 0.1605), (0.0578, 0.1617)),
    (0, 20): ((0.0000, 0.1611), (0.0000, 0.1684)),
    (1, 29): ((0.0061, 0.1718), (0.0009, 0.1776)),
}


def exact_interval(successes: int, trials: int, level: float = intervals.LEVEL) -> tuple[float, float]:
    """Return the interval of Clopper & Pearson (1934), whose ends are the one-sided bounds."""
    side = 0.5 + level / 2
    lower, upper = intervals.exact_lower, intervals.exact_upper
    return lower(successes, trials, level=side), upper(successes, trials, level=side)


@pytest.mark.parametrize(("counts", "ends"), NEWCOMBE.items())
def test_shares_as_in_newcombes_table(
    counts: tuple[int, int], ends: tuple[tuple[float, float], tuple[float, float]]
) -> None:
    wilson, exact = intervals.wilson(*counts), exact_interval(*counts)
    assert (wilson.low, wilson.high) == pytest.approx(ends[0], abs=6e-5)
    assert exact == pytest.approx(ends[1], abs=6e-5)
    assert wilson.estimate == counts[0] / counts[1]


@pytest.mark.parametrize("trials", [1, 2, 7, 440, 5_000, 300_000])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.03, 0.5, 0.62, 0.999, 1.0])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
def test_shares_equal_scipy_and_statsmodels(trials: int, share: float, level: float) -> None:
    successes = round(trials * share)
    ours = intervals.wilson(successes, trials, level=level)
    assert (ours.low, ours.high) == pytest.approx(
        proportion_confint(successes, trials, 1 - level, method="wilson"), abs=1e-12
    )
    exact = exact_interval(successes, trials, level)
    theirs = stats.binomtest(successes, trials).proportion_ci(level, "exact")
    assert exact == pytest.approx((theirs.low, theirs.high), rel=1e-8, abs=1e-12)


def test_one_sided_bounds_have_their_tail_probability() -> None:
    for successes, trials in [(59, 59), (298, 300), (3, 440), (1, 2)]:
        low = intervals.exact_lower(successes, trials, level=0.95)
        assert stats.binom.sf(successes - 1, trials, low) == pytest.approx(0.05, rel=1e-9)
        high = intervals.exact_upper(trials - successes, trials, level=0.95)
        assert high == pytest.approx(1 - low, abs=1e-15)
    assert intervals.exact_lower(59, 59) > 0.95 > intervals.exact_lower(58, 58)  # the rule of 59


def test_no_observations_give_the_widest_interval() -> None:
    interval = intervals.wilson(0, 0)
    assert math.isnan(interval.estimate)
    assert (interval.low, interval.high) == exact_interval(0, 0) == (0, 1)
    assert math.isnan(intervals.cluster_bootstrap([], []).low)


@pytest.mark.parametrize(("successes", "trials", "level"), [(-1, 3, 0.9), (4, 3, 0.9), (1, 3, 1.0), (1, 3, 0.0)])
def test_invalid_counts_are_rejected(successes: int, trials: int, level: float) -> None:
    for interval in (intervals.wilson, intervals.exact_lower, intervals.exact_upper):
        with pytest.raises(ValueError, match=r"level must be|not a share"):
            interval(successes, trials, level=level)


def test_the_bootstrap_of_single_items_equals_scipy() -> None:
    values = np.random.default_rng(3).normal(size=200)
    ours = intervals.cluster_bootstrap(values.tolist(), range(200), seed=1)
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=10_000, rng=np.random.default_rng(2)
    ).confidence_interval
    assert ours.estimate == pytest.approx(values.mean())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)


def test_the_bootstrap_draws_whole_clusters_of_unequal_size() -> None:
    rng = np.random.default_rng(5)
    clusters = [f"c{n}" for n in range(60) for _ in range(n % 5 + 1)]
    values = [float(name in {"c4", "c9", "c11", "c20", "c34"}) for name in clusters]
    ours = intervals.cluster_bootstrap(values, clusters)
    names = sorted(set(clusters))
    sums = np.array([sum(v for v, c in zip(values, clusters, strict=True) if c == name) for name in names])
    counts = np.array([clusters.count(name) for name in names])
    drawn = rng.integers(0, len(names), size=(20_000, len(names)))
    low, high = np.quantile(sums[drawn].sum(1) / counts[drawn].sum(1), [0.025, 0.975])
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.006)
    alone = intervals.cluster_bootstrap(values, range(len(values)))
    assert ours.high - ours.low > 1.3 * (alone.high - alone.low)


def test_the_bootstrap_depends_on_the_seed_and_not_on_the_order() -> None:
    values, clusters = [1.0, 0.0, 1.0, 1.0, 0.0, 0.25], ["a", "a", "b", "c", "d", "d"]
    one = intervals.cluster_bootstrap(values, clusters, seed=7)
    again = intervals.cluster_bootstrap(values[::-1], clusters[::-1], seed=7)
    assert (one.low, one.high) == (again.low, again.high)
    spread = np.random.default_rng(0).normal(size=30).tolist()
    assert intervals.cluster_bootstrap(spread, range(30), seed=8) != intervals.cluster_bootstrap(
        spread, range(30), seed=7
    )


def test_a_difference_is_paired() -> None:
    ours = intervals.cluster_bootstrap_difference([1, 1, 0, 1] * 50, [1, 0, 0, 1] * 50, range(200))
    assert ours.estimate == 0.25
    assert 0.15 < ours.low < 0.25 < ours.high < 0.35
    same = intervals.cluster_bootstrap_difference([1, 0] * 10, [1, 0] * 10, range(20))
    assert (same.low, same.estimate, same.high) == (0, 0, 0)
    with pytest.raises(ValueError, match="clusters"):
        intervals.cluster_bootstrap([1.0], ["a", "b"])


def test_shares_need_no_numpy() -> None:
    code = "import sys; from curation_db.stats.intervals import wilson; wilson(3, 7); print('numpy' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


@pytest.mark.parametrize(("n", "quantile"), [(2, 12.706), (3, 4.303), (5, 2.776), (10, 2.262), (31, 2.042)])
def test_t_intervals_have_the_quantiles_of_every_table(n: int, quantile: float) -> None:
    values = [float(i) for i in range(n)]
    interval = intervals.student_t(values)
    assert interval.estimate == statistics.mean(values)
    spread = statistics.stdev(values) / math.sqrt(n)
    assert (interval.high - interval.low) / 2 / spread == pytest.approx(quantile, abs=6e-4)
    assert (interval.low, interval.high) == pytest.approx(
        stats.t.interval(0.95, n - 1, interval.estimate, spread), rel=1e-9
    )


def test_t_intervals_at_the_edge() -> None:
    assert intervals.student_t([0.5]) == intervals.Interval(0.5, -math.inf, math.inf)
    assert intervals.student_t([0.25, 0.25, 0.25]) == intervals.Interval(0.25, 0.25, 0.25)
    assert math.isnan(intervals.student_t([]).estimate)
