"""Sample sizes of one look, and the joint error probability of several looks, against enumeration."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from curation_db.stats.intervals import binomial_cdf, exact_lower
from curation_db.trust.declared_looks import certifies, plan_looks, required_labels


@pytest.mark.parametrize(
    ("target", "sizes"),
    [
        (0.90, (29, 46, 61, 76, 103, 167)),
        (0.95, (59, 93, 124, 153, 208, 336)),
        (0.97, (99, 157, 208, 257, 348, 562)),
        (0.98, (149, 236, 313, 386, 523, 845)),
        (0.99, (299, 473, 628, 773, 1049, 1693)),
    ],
)
def test_sample_sizes_of_one_exact_look(target: float, sizes: tuple[int, ...]) -> None:
    assert tuple(required_labels(target, errors) for errors in (0, 1, 2, 3, 5, 10)) == sizes


@given(st.integers(1, 400), st.integers(0, 400), st.floats(0.01, 0.99), st.floats(0.5, 0.999))
def test_a_look_certifies_what_the_exact_lower_bound_covers(n: int, errors: int, target: float, level: float) -> None:
    errors = min(errors, n)
    lower = exact_lower(n - errors, n, level=level)
    if abs(lower - target) > 1e-9:
        assert certifies(n, errors, target, confidence=level) == (lower >= target)


@given(st.integers(-1, 60), st.integers(0, 60), st.floats(0.001, 0.999))
def test_the_binomial_distribution_function_equals_scipys(k: int, n: int, p: float) -> None:
    assert binomial_cdf(k, n, p) == pytest.approx(stats.binom.cdf(k, n, p), abs=1e-12)


def first_crossing(looks: tuple[int, ...], allowed: tuple[int, ...], q: float) -> float:
    """P(some look certifies), label by label over all error counts: slow and obvious."""
    paths, certified = {0: 1.0}, 0.0
    for label in range(1, looks[-1] + 1):
        grown: dict[int, float] = {}
        for errors, p in paths.items():
            grown[errors] = grown.get(errors, 0.0) + p * (1 - q)
            grown[errors + 1] = grown.get(errors + 1, 0.0) + p * q
        paths = grown
        if label in looks:
            most = allowed[looks.index(label)]
            certified += sum(p for errors, p in paths.items() if errors <= most)
            paths = {errors: p for errors, p in paths.items() if errors > most}
    return certified


@given(
    st.lists(st.integers(1, 120), min_size=1, max_size=4, unique=True).map(sorted),
    st.floats(0.5, 0.99),
    st.floats(0.6, 0.99),
)
def test_all_looks_together_hold_the_confidence_and_use_it(looks: list[int], target: float, level: float) -> None:
    plan = plan_looks(looks, target, confidence=level)
    spent = first_crossing(plan.looks, plan.allowed, 1 - target)
    assert spent <= (1 - level) * (1 + 1e-9)
    more = (*plan.allowed[:-1], plan.allowed[-1] + 1)
    assert first_crossing(plan.looks, more, 1 - target) > 1 - level, "the last look uses what is left"
    assert first_crossing(plan.looks, plan.allowed, min(1.0, (1 - target) * 1.2)) <= spent + 1e-12


def test_a_plan_of_one_look_is_the_exact_bound() -> None:
    for errors in (0, 1, 5):
        n = required_labels(0.95, errors)
        assert plan_looks([n], 0.95).allowed == (errors,)
        assert plan_looks([n - 1], 0.95).allowed == (errors - 1,)


def test_the_first_look_within_its_errors_certifies() -> None:
    plan = plan_looks([100, 200, 400], 0.95)
    assert all(earlier <= later for earlier, later in pairwise(plan.allowed))
    assert plan.certified([]) is None
    assert plan.certified([plan.allowed[0] + 1]) is None
    assert plan.certified([plan.allowed[0] + 1, plan.allowed[1]]) == 1


@pytest.mark.parametrize("looks", [[], [0], [5, 5], [9, 3]])
def test_looks_rise(looks: list[int]) -> None:
    with pytest.raises(ValueError, match="rising"):
        plan_looks(looks, 0.95)


@pytest.mark.parametrize(("target", "confidence"), [(0, 0.95), (1, 0.95), (0.9, 0), (0.9, 1)])
def test_shares_are_between_0_and_1(target: float, confidence: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        required_labels(target, confidence=confidence)


def share_certified(errors: np.ndarray, allowed: np.ndarray) -> float:
    """Share of runs in which some look certifies; `errors` (runs, looks), `allowed` (looks)."""
    return float((errors <= allowed).any(axis=1).mean())


def test_looking_after_every_label_breaks_one_exact_look_but_not_a_plan() -> None:
    """Just below the target, 2,000 runs of 1,000 labels: peeking certifies about 23 %, where 5 % are allowed."""
    runs, n, target = 2000, 1000, 0.95
    wrong = np.random.default_rng(0).random((runs, n)) < 1 - target + 1e-4
    errors = wrong.cumsum(axis=1)
    peeking = np.array([max((e for e in range(n) if required(e) <= label), default=-1) for label in range(1, n + 1)])
    assert share_certified(errors, peeking) == pytest.approx(0.23, abs=0.03)
    plan = plan_looks(range(50, n + 1, 50), target)
    assert share_certified(errors[:, [look - 1 for look in plan.looks]], np.array(plan.allowed)) <= 0.05 + 0.015


_sizes: dict[int, int] = {}


def required(errors: int) -> int:
    if errors not in _sizes:
        _sizes[errors] = required_labels(0.95, errors) if errors < 60 else 10**6
    return _sizes[errors]
