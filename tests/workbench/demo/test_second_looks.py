"""The figures of second looks: the order of the margins against random order."""

from __future__ import annotations

import random

import pytest

from workbench.demo.experiment.second_looks import chance, compare


def test_a_perfect_order_finds_an_error_at_every_look() -> None:
    wrong = [n < 40 for n in range(400)]
    looks = compare([float(n) for n in range(400)], wrong, [str(n // 2) for n in range(400)], looks=20)
    assert (looks.pairs, looks.errors, looks.looks, looks.errors_seen) == (400, 40, 20, 20)
    assert looks.mistaken.estimate == 0.5
    assert 0.3 < looks.mistaken.low < 0.5 < looks.mistaken.high <= 1
    assert looks.mistaken.low > looks.random.high
    assert looks.figures()["mistaken"]["mean"] == 50.0


def test_a_random_order_is_no_better_than_chance() -> None:
    rng = random.Random(0)
    wrong = [rng.random() < 0.2 for _ in range(500)]
    looks = compare([rng.random() for _ in wrong], wrong, [str(n) for n in range(500)], looks=100)
    assert looks.random.low <= looks.mistaken.estimate <= looks.random.high
    assert looks.mistaken.low <= looks.random.estimate <= looks.mistaken.high


def test_the_interval_covers_the_choice_of_images() -> None:
    """GIVEN pairs of few images THEN the interval is wider than with as many images as pairs."""
    wrong = [n < 40 or n % 20 == 0 for n in range(400)]
    margins = [float(n) for n in range(400)]
    few, many = (compare(margins, wrong, [str(n // each) for n in range(400)], looks=50) for each in (20, 1))
    assert few.mistaken.high - few.mistaken.low > 1.5 * (many.mistaken.high - many.mistaken.low)


def test_looks_at_all_pairs_find_all_errors() -> None:
    looks = compare([3.0, 1.0, 2.0], [True, False, True], ["a", "b", "c"])
    assert (looks.looks, looks.errors_seen, looks.mistaken.low, looks.random.low) == (3, 2, 1.0, 1.0)


@pytest.mark.parametrize(("pairs", "errors", "looks"), [(50, 10, 20), (976, 170, 100), (30, 3, 5)])
def test_chance_is_hypergeometric(pairs: int, errors: int, looks: int) -> None:
    from scipy.stats import hypergeom

    share = chance(pairs, errors, looks)
    low, high = hypergeom(pairs, errors, looks).interval(0.95)
    assert (share.low * errors, share.high * errors) == pytest.approx((low, high))
    assert share.estimate * errors == pytest.approx(hypergeom(pairs, errors, looks).mean())
