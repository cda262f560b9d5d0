"""Tests of McNemar's exact test and the paired difference with published examples and statsmodels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from benchmarks.analysis.statistics import (
    FEW_DISCORDANT,
    detectable_difference,
    holm,
    mcnemar_exact,
    newcombe,
    paired_difference,
    with_holm,
)
from curation_db.stats.intervals import Interval


def test_published_examples() -> None:
    # Both examples of Fagerland, Lydersen & Laake (2013), BMC Med Res Methodol 13:91: exact conditional p-values.
    assert round(mcnemar_exact(1, 7), 3) == 0.070
    assert round(mcnemar_exact(6, 16), 3) == 0.052
    # By hand: five coins on one side, 2 / 2^5; nine of ten, 2 * (1 + 10) / 2^10.
    assert mcnemar_exact(0, 5) == 0.0625
    assert mcnemar_exact(9, 1) == 22 / 1024
    assert mcnemar_exact(4, 4) == 1.0
    assert mcnemar_exact(0, 0) == 1.0


@pytest.mark.parametrize(("gained", "lost"), [(1, 0), (3, 9), (28, 20), (59, 41), (86, 150), (2000, 2150)])
def test_mcnemar_equals_statsmodels(gained: int, lost: int) -> None:
    theirs = mcnemar([[10, gained], [lost, 10]], exact=True).pvalue
    assert mcnemar_exact(gained, lost) == pytest.approx(theirs, rel=1e-9)
    assert mcnemar_exact(lost, gained) == mcnemar_exact(gained, lost)


def test_mcnemar_neither_underflows_nor_overflows() -> None:
    assert mcnemar_exact(20_000, 20_300) == pytest.approx(0.136, abs=2e-3)
    assert mcnemar_exact(0, 5_000) == 0.0
    with pytest.raises(ValueError, match="negative"):
        mcnemar_exact(-1, 2)


def test_significance_of_a_gain_of_five_points_on_440_items() -> None:
    # With 100 discordant items a gain of 5.0 points (22 items) is needed for p < 0.05.
    assert mcnemar_exact(61, 39) < 0.05 < mcnemar_exact(60, 40)


def test_paired_counts_gains_and_losses() -> None:
    ours = [True, True, False, True, False]
    theirs = [True, False, True, False, False]
    paired = paired_difference(ours, theirs, ["a", "b", "b", "c", "d"])
    assert (paired.items, paired.gained, paired.lost) == (5, 2, 1)
    assert paired.difference.estimate == pytest.approx(0.2)
    assert paired.difference.low < 0.2 < paired.difference.high
    assert paired.p_value == 1.0


def test_newcombe_equals_a_manual_computation() -> None:
    # 36 of 80 both, 12 and 2, 30 neither: phi = (36 * 30 - 24 - 40) / sqrt(48 * 32 * 38 * 42) = 0.649; Wilson of 48/80
    # is 0.4904..0.7005, of 38/80 0.3690..0.5832. Low: 0.125 - sqrt(.1096^2 - 2 phi .1096 .1082 + .1082^2); high:
    # 0.125 + sqrt(.1005^2 - 2 phi .1005 .1060 + .1060^2).
    interval = newcombe(36, 12, 2, 30)
    assert interval.estimate == pytest.approx(0.125)
    assert (interval.low, interval.high) == (pytest.approx(0.0339, abs=2e-4), pytest.approx(0.2116, abs=2e-4))
    mirrored = newcombe(36, 2, 12, 30)
    assert (-mirrored.high, -mirrored.low) == (pytest.approx(interval.low), pytest.approx(interval.high))


def test_two_gained_items_are_not_significant() -> None:
    paired = paired_difference([True, True], [False, False], ["a", "b"], resamples=200)
    assert (paired.gained, paired.p_value, paired.significant, paired.has_few_discordant) == (2, 0.5, False, True)
    assert paired.difference.estimate == 1
    assert paired.difference.low < 0.1, "the bootstrap alone gives [1, 1]"


def test_the_interval_without_discordant_items_is_not_empty() -> None:
    paired = paired_difference([True] * 20, [True] * 20, range(20), resamples=200)
    assert paired.difference.low < 0 < paired.difference.high
    assert not paired.significant


def test_many_discordant_items_use_the_cluster_bootstrap() -> None:
    ours = [True] * FEW_DISCORDANT + [False] * 30
    paired = paired_difference(ours, [False] * 40, [at // 2 for at in range(40)], resamples=500)
    assert (paired.has_few_discordant, paired.significant) == (False, True)
    alone = newcombe(0, FEW_DISCORDANT, 0, 30)
    assert (paired.difference.low, paired.difference.high) != (alone.low, alone.high)


@pytest.mark.parametrize("count", [1, 3, 30])  # statsmodels collects garbage at each call, which takes 0.1 s
def test_holm_equals_statsmodels(count: int) -> None:
    p_values = np.round(np.random.default_rng(count).random(count) ** 4, 2).tolist()  # small ones and ties
    expected = multipletests(p_values, method="holm")[1]
    assert holm(p_values) == pytest.approx(expected.tolist())


def test_a_single_comparison_is_not_corrected() -> None:
    one = paired_difference([True] * 8 + [False] * 2, [False] * 10, range(10))
    assert with_holm([None, one]) == [None, one]
    both = with_holm([one, None, one])
    assert both[1] is None
    assert both[0] is not None
    assert both[0].p_corrected == pytest.approx(2 * one.p_value)
    assert both[0].p_value == one.p_value


def test_a_correction_changes_what_is_significant() -> None:
    one = paired_difference([True] * 7 + [False] * 3, [False] * 7 + [True] + [False] * 2, range(10))
    clear = paired_difference([True] * 6 + [False] * 4, [False] * 10, range(10))
    assert clear.significant
    corrected = with_holm([clear, one, one])[0]
    assert corrected is not None
    assert corrected.p_corrected == pytest.approx(3 * clear.p_value)
    assert not corrected.significant


@pytest.mark.parametrize(("items", "discordant"), [(440, 0.09), (440, 0.3), (3200, 0.1), (100, 0.4)])
def test_the_detectable_difference_is_found_in_80_percent_of_trials(items: int, discordant: float) -> None:
    difference = detectable_difference(items, discordant)
    rng = np.random.default_rng(1)
    gained, lost = (discordant + difference) / 2, (discordant - difference) / 2
    trials = rng.multinomial(items, [gained, lost, 1 - discordant], size=800)
    found = np.mean([mcnemar_exact(int(a), int(b)) < 0.05 for a, b, _ in trials])
    assert 0.7 < found < 0.86  # the exact test is a little conservative


def test_detectable_differences_of_negrefcocog() -> None:
    assert detectable_difference(440, 0.09) == pytest.approx(0.04, abs=0.001)  # under 4 points nothing can be said
    assert detectable_difference(440, 0.0) == 0.0
    assert detectable_difference(5, 0.2) == pytest.approx(0.2)  # even the largest difference would not be found
    sizes = [detectable_difference(n, 0.2) for n in (100, 400, 1600)]
    assert sizes == sorted(sizes, reverse=True)


def test_the_interval_and_the_test_can_disagree() -> None:
    ours, theirs = [True] * 6 + [False] * 2 + [True] * 392, [False] * 6 + [True] * 2 + [True] * 392
    assert not paired_difference(ours, theirs, range(400)).interval_disagrees
    few = replace(paired_difference(ours, theirs, range(400)), difference=Interval(0.01, 0.001, 0.02))
    assert few.interval_disagrees
