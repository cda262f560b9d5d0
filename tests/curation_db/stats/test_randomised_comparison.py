"""Difference of two randomly assigned arms: exact tests as oracles, coverage, and sample sizes of the literature."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from benchmarks.analysis.statistics import mcnemar_exact
from curation_db.stats.randomised_comparison import (
    ArmCounts,
    ArmLabel,
    compare_arms,
    cost_difference,
    labels_per_arm,
    newcombe_independent,
    randomisation_p,
)


def label(pair: int, *, new: bool, accepted: bool, image: int | None = None) -> ArmLabel:
    return ArmLabel(pair if image is None else image, pair, new, accepted)


def by_enumeration(pairs: list[list[ArmLabel]]) -> float:
    """The test by its definition: every swap of every pair."""

    def size(swaps: tuple[bool, ...]) -> float:
        arms: dict[bool, list[bool]] = {False: [], True: []}
        for swap, pair in zip(swaps, pairs, strict=True):
            for each in pair:
                arms[each.new is not swap].append(each.accepted)
        if not (arms[False] and arms[True]):
            return math.inf
        return abs(sum(arms[True]) / len(arms[True]) - sum(arms[False]) / len(arms[False]))

    observed = size((False,) * len(pairs))
    if math.isinf(observed):
        return 1.0
    divisions = list(itertools.product((False, True), repeat=len(pairs)))
    return sum(size(each) >= observed - 1e-9 for each in divisions) / len(divisions)


@st.composite
def some_pairs(draw: st.DrawFn) -> list[list[ArmLabel]]:
    pairs = []
    for number in range(draw(st.integers(1, 9))):
        arms = draw(st.sampled_from([(False,), (True,), (False, True)]))
        pairs.append([label(number, new=arm, accepted=draw(st.booleans())) for arm in arms])
    return pairs


@settings(max_examples=examples(60), deadline=None)
@given(some_pairs())
def test_the_p_value_is_that_of_all_swaps(pairs: list[list[ArmLabel]]) -> None:
    assert randomisation_p(pairs) == pytest.approx(by_enumeration(pairs))


@pytest.mark.parametrize(
    ("gained", "lost", "right", "wrong"), [(9, 1, 30, 4), (5, 5, 0, 3), (0, 0, 8, 1), (12, 3, 1, 0)]
)
def test_with_both_labels_of_every_pair_it_is_mcnemars_test(gained: int, lost: int, right: int, wrong: int) -> None:
    outcomes = [(False, True)] * gained + [(True, False)] * lost + [(True, True)] * right + [(False, False)] * wrong
    labels = [
        label(number, new=new, accepted=accepted)
        for number, pair in enumerate(outcomes)
        for new, accepted in zip((False, True), pair, strict=True)
    ]
    compared = compare_arms(labels, resamples=200)
    assert compared.p_value == pytest.approx(mcnemar_exact(gained, lost))
    assert (compared.pairs, compared.gained, compared.lost) == (len(outcomes), gained, lost)
    assert compared.difference.estimate == pytest.approx((gained - lost) / len(outcomes))


def test_many_labels_are_sampled_and_agree_with_the_exact_test(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(5)
    pairs = [[label(n, new=draw.random() < 0.5, accepted=draw.random() < 0.8)] for n in range(120)]
    exact = randomisation_p(pairs)
    monkeypatch.setattr("curation_db.stats.randomised_comparison._MOST_EXACT", 0)
    assert randomisation_p(pairs) == pytest.approx(exact, abs=0.005)


def test_a_difference_of_ten_points() -> None:
    labels = [label(n, new=n % 2 == 0, accepted=n // 2 % 10 < (9 if n % 2 == 0 else 8)) for n in range(2_000)]
    compared = compare_arms(labels, resamples=500)
    assert (compared.old, compared.new) == (ArmCounts(1000, 800), ArmCounts(1000, 900))
    assert compared.difference.estimate == pytest.approx(0.1)
    assert compared.difference.low < 0.1 < compared.difference.high
    assert compared.p_value < 0.001
    reverse = compare_arms([label(e.pair, new=not e.new, accepted=e.accepted) for e in labels], resamples=500)
    assert reverse.difference.estimate == -compared.difference.estimate
    assert reverse.p_value == pytest.approx(compared.p_value, abs=1e-4)


def test_without_labels_in_an_arm_nothing_is_known() -> None:
    compared = compare_arms([label(1, new=True, accepted=True)], resamples=10)
    assert math.isnan(compared.difference.estimate)
    assert (compared.difference.low, compared.difference.high, compared.p_value) == (-1.0, 1.0, 1.0)
    assert compare_arms([], resamples=10).labels_needed(0.05) == 2 * math.ceil(labels_per_arm(0.9, 0.05))


def test_few_labels_have_at_least_newcombes_interval() -> None:
    labels = [label(n, new=n % 2 == 0, accepted=True) for n in range(20)]
    compared = compare_arms(labels, resamples=200)
    exact = newcombe_independent(ArmCounts(10, 10), ArmCounts(10, 10))
    assert (compared.difference.low, compared.difference.high) == (exact.low, exact.high)
    assert exact.low < -0.2


def test_newcombes_published_example() -> None:
    """Newcombe 1998, table II, 56/70 - 48/80, method 10: 0.0524 to 0.3339."""
    interval = newcombe_independent(ArmCounts(80, 48), ArmCounts(70, 56))
    assert (interval.estimate, interval.low, interval.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_sample_sizes_by_fleiss() -> None:
    assert math.ceil(labels_per_arm(0.45, 0.1)) == 388  # 50 % and 40 %
    assert math.ceil(labels_per_arm(0.875, 0.05)) == 686  # 90 % and 85 %
    assert labels_per_arm(1.0, 0.05) == labels_per_arm(0.975, 0.05)
    with pytest.raises(ValueError, match="difference"):
        labels_per_arm(0.5, 0.0)


def test_labels_that_are_there_count() -> None:
    compared = compare_arms([label(n, new=n % 2 == 0, accepted=n % 4 < 2) for n in range(400)], resamples=300)
    needed = math.ceil(labels_per_arm(0.5, 0.05) * max(1.0, compared.design_effect))
    assert compared.labels_needed(0.05) == 2 * (needed - 200)
    assert compared.labels_needed(0.9) == 0


def test_labels_of_one_image_widen_the_interval() -> None:
    draw = random.Random(1)
    single = [label(n, new=n % 2 == 0, accepted=draw.random() < 0.5) for n in range(300)]
    # each image ten times, with the same label
    repeated = [
        ArmLabel(each.pair, 300 * copy + each.pair, each.new, each.accepted) for each in single for copy in range(10)
    ]
    one, ten = compare_arms(single, resamples=500), compare_arms(repeated, resamples=500)
    assert ten.difference.high - ten.difference.low == pytest.approx(one.difference.high - one.difference.low)
    assert ten.design_effect == pytest.approx(10 * one.design_effect)
    share = (ten.old.accepted + ten.new.accepted) / 3_000
    each = math.ceil(labels_per_arm(share, 0.05) * ten.design_effect)
    assert ten.labels_needed(0.05) == 2 * each - 3_000 > 10_000


def test_the_cost_of_an_accepted_candidate_falls_with_the_acceptance() -> None:
    labels = [label(n, new=n % 2 == 0, accepted=n % 10 < (9 if n % 2 == 0 else 5)) for n in range(1_000)]
    cost = cost_difference(labels, (4.0, 6.0), resamples=300)
    old, new = compare_arms(labels, resamples=10).old.share, compare_arms(labels, resamples=10).new.share
    assert cost.estimate == pytest.approx(6.0 / new.estimate - 4.0 / old.estimate)
    assert cost.low < cost.estimate < cost.high
    none = cost_difference([label(1, new=True, accepted=False), label(2, new=False, accepted=True)], (1.0, 1.0))
    assert (none.estimate, none.low) == (math.inf, -math.inf)
    assert math.isnan(cost_difference([], (1.0, 1.0)).estimate)


def _simulated(seed: int, effect: float) -> list[ArmLabel]:
    """Images that differ in difficulty, four captions each in two pairs, a third of the candidates labelled."""
    draw = random.Random(seed)
    labels = []
    for image in range(120):
        level = draw.betavariate(4, 1.5)
        for number in range(2):
            first = draw.random() < 0.5
            for new in (first, not first):
                if draw.random() < 0.35:
                    share = min(1.0, max(0.0, level + (effect if new else 0.0)))
                    labels.append(ArmLabel(image, 2 * image + number, new, draw.random() < share))
    return labels


def _rates(runs: int) -> tuple[float, float]:
    """Return how often p < .05 without an effect, and how often the interval covers 0."""
    compared = [compare_arms(_simulated(seed, 0.0), resamples=300) for seed in range(runs)]
    alarms = sum(each.p_value < 0.05 for each in compared) / runs
    return alarms, sum(each.difference.low <= 0 <= each.difference.high for each in compared) / runs


def test_error_rate_and_coverage_without_an_effect() -> None:
    alarms, covered = _rates(60)
    assert (alarms <= 0.15, covered >= 0.85) == (True, True)


@pytest.mark.long
def test_error_rate_and_coverage_in_many_simulations() -> None:
    alarms, covered = _rates(600)
    assert alarms <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 600)
    assert covered >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / 600) - 0.01
