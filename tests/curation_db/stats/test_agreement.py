"""Agreement coefficients against published values, statsmodels and a slow reference over pairs."""

from __future__ import annotations

import json
import math
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import fleiss_kappa
from support.examples import examples

from curation_db.stats.agreement import Agreement, agreement
from curation_db.stats.intervals import Interval

# Krippendorff 2011, example C, and R's irrCAC (cac.raw4raters): 12 units, 4 observers.
FOUR_OBSERVERS = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""
# The common encyclopedia example of Krippendorff's alpha: 15 units, 3 coders.
THREE_CODERS = """
. . . . . 3 4 1 2 1 1 3 3 . 3
1 . 2 1 3 3 4 3 . . . . . . .
. . 2 1 3 4 4 . 2 1 1 3 3 . 4
"""


def columns(table: str) -> list[list[str]]:
    rows = [line.split() for line in table.split("\n") if line]
    return [[mark for mark in unit if mark != "."] for unit in zip(*rows, strict=True)]


def agreement_of(items: list[list[str]], categories: str) -> Agreement:
    return agreement(items, categories, resamples=200)


def test_krippendorffs_own_example_and_irrcac() -> None:
    computed = agreement_of(columns(FOUR_OBSERVERS), "12345")
    assert computed.items == 11
    assert computed.alpha.estimate == pytest.approx(0.743, abs=5e-4)
    assert computed.observed.estimate == pytest.approx(0.81818, abs=1e-5)
    assert computed.ac1.estimate == pytest.approx(0.77544, abs=1e-5)
    assert computed.kappa.estimate == pytest.approx(0.76117, abs=1e-5)


def test_the_classic_alpha() -> None:
    assert agreement_of(columns(THREE_CODERS), "1234").alpha.estimate == pytest.approx(0.691, abs=5e-4)


def test_high_agreement_and_low_kappa_by_hand() -> None:
    """Ten items with three votes each; nine of them unanimous for the same category.

    P_o = (9 * 1 + 1/3) / 10. 28 of 30 votes are for the caption: chance is (28/30)^2 + (2/30)^2 for kappa, and
    2 * 28/30 * 2/30 for AC1 with two categories.
    """
    computed = agreement_of([["a"] * 3] * 9 + [["a", "b", "b"]], "ab")
    observed, by_kappa, by_ac1 = 28 / 30, (28 * 28 + 2 * 2) / 900, 2 * 28 * 2 / 900
    assert computed.observed.estimate == pytest.approx(observed, abs=1e-9)
    assert computed.kappa.estimate == pytest.approx((observed - by_kappa) / (1 - by_kappa), abs=1e-9)
    assert computed.ac1.estimate == pytest.approx((observed - by_ac1) / (1 - by_ac1), abs=1e-9)
    assert computed.kappa.estimate < 0.5
    assert computed.ac1.estimate > 0.9
    assert computed.observed.low < computed.observed.estimate < computed.observed.high


def test_the_votes_on_valse(shared_data: Path) -> None:
    """534 items, three votes each; 505 with two or more for the caption. High agreement, low kappa."""
    votes = [item["mturk"] for item in json.loads((shared_data / "valse_existence.json").read_text()).values()]
    items = [[word for word, number in vote.items() for _ in range(number)] for vote in votes]
    computed = agreement(items, ["caption", "foil", "other"])
    assert (len(items), sum(vote["caption"] >= 2 for vote in votes)) == (534, 505)
    assert computed.observed.estimate == pytest.approx(0.853, abs=5e-4)
    assert computed.kappa.estimate == pytest.approx(0.206, abs=5e-4)
    assert computed.ac1.estimate == pytest.approx(0.838, abs=5e-4)
    for each in (computed.observed, computed.ac1, computed.alpha, computed.kappa):
        assert each.low < each.estimate < each.high
        assert each.high - each.low < 0.2


CATEGORIES = "abc"
ITEMS = st.lists(st.lists(st.sampled_from(CATEGORIES), max_size=5), min_size=1, max_size=12)


@given(st.lists(st.lists(st.sampled_from(CATEGORIES), min_size=3, max_size=3), min_size=2, max_size=30))
@settings(deadline=None, max_examples=examples(60))
def test_kappa_equals_statsmodels(items: list[list[str]]) -> None:
    table = np.array([[item.count(each) for each in CATEGORIES] for item in items])
    if (table.sum(axis=0) == table.sum()).any():
        assert math.isnan(agreement_of(items, CATEGORIES).kappa.estimate)
    else:
        assert agreement_of(items, CATEGORIES).kappa.estimate == pytest.approx(fleiss_kappa(table), abs=1e-9)


def slow_alpha(items: list[list[str]]) -> float:
    """Compute the definition: one minus observed over expected disagreement of ordered pairs of values."""
    units = [item for item in items if len(item) >= 2]
    values = [value for unit in units for value in unit]
    observed = sum(sum(a != b for a, b in permutations(unit, 2)) / (len(unit) - 1) for unit in units) / len(values)
    expected = sum(a != b for a, b in permutations(values, 2)) / (len(values) * (len(values) - 1))
    return 1 - observed / expected if expected else math.nan


@given(ITEMS)
@settings(deadline=None, max_examples=examples(120))
def test_alpha_equals_its_definition(items: list[list[str]]) -> None:
    computed = agreement_of(items, CATEGORIES)
    if not any(len(item) >= 2 for item in items):
        assert computed.items == 0
        assert math.isnan(computed.alpha.estimate)
    else:
        assert computed.alpha.estimate == pytest.approx(slow_alpha(items), abs=1e-9, nan_ok=True)
        assert 0 <= computed.observed.estimate <= 1


@given(ITEMS, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=examples(40))
def test_order_and_names_do_not_matter(items: list[list[str]], random: np.random.Generator) -> None:
    shuffled = [list(item) for item in items]
    for item in shuffled:
        random.shuffle(item)
    random.shuffle(shuffled)
    renamed = [[{"a": "c", "b": "a", "c": "b"}[each] for each in item] for item in shuffled]
    one, other = agreement_of(items, CATEGORIES), agreement_of(renamed, CATEGORIES)
    for a, b in zip((one.observed, one.ac1, one.alpha), (other.observed, other.ac1, other.alpha), strict=True):
        assert a.estimate == pytest.approx(b.estimate, abs=1e-9, nan_ok=True)


def test_equal_ratings_are_full_agreement_where_it_is_defined() -> None:
    computed = agreement_of([["a", "a"]] * 9, "ab")
    assert (computed.observed.estimate, computed.ac1.estimate) == (1, 1)
    assert math.isnan(computed.kappa.estimate)
    assert math.isnan(computed.alpha.estimate)


def width(interval: Interval) -> float:
    return interval.high - interval.low


def test_items_of_one_image_widen_the_interval() -> None:
    items = [["a", "a"], ["a", "b"]] * 20
    apart = agreement(items, "ab", list(range(40)))
    together = agreement(items, "ab", [n // 20 for n in range(40)])
    same = agreement(items, "ab", [n % 2 for n in range(40)])
    assert apart.observed.low < apart.observed.estimate < apart.observed.high
    assert width(together.observed) < 1e-9, "both images agree by half"
    assert width(same.observed) > width(apart.observed)


def test_invalid_input_is_rejected() -> None:
    with pytest.raises(ValueError, match="two categories"):
        agreement([["a"]], "a")
    with pytest.raises(ValueError, match="unknown rating 'z'"):
        agreement([["z"]], "ab")
    with pytest.raises(ValueError, match="2 clusters"):
        agreement([["a"]], "ab", [1, 2])
