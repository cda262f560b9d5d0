"""The e-value of a running audit: reference sizes, a numerical integral, and simulated audits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from curation_db.trust.running_audit import (
    certifies,
    log_e_value,
    lower_bound,
    refutes,
    required_labels,
)


def test_sample_sizes_at_95_percent() -> None:
    assert [required_labels(0.95, errors) for errors in (0, 1, 2, 3, 5, 10)] == [88, 134, 174, 210, 277, 430]


@given(st.integers(0, 80), st.integers(0, 30), st.floats(0.05, 0.98))
def test_it_is_the_likelihood_ratio_averaged_over_the_alternatives(right: int, wrong: int, p0: float) -> None:
    def ratio(q: float) -> float:
        return float((q / p0) ** right * ((1 - q) / (1 - p0)) ** wrong)

    peak = min(max(right / max(right + wrong, 1), p0), 1.0)
    integral = integrate.quad(ratio, p0, 1, points=[peak] if p0 < peak < 1 else None, limit=200)[0]
    assert log_e_value(right, wrong, p0) == pytest.approx(math.log(integral / (1 - p0)), rel=1e-6, abs=1e-6)


@given(st.integers(0, 40), st.integers(0, 20), st.floats(0.05, 0.95))
def test_one_more_label_leaves_the_expected_e_value_unchanged(right: int, wrong: int, p0: float) -> None:
    now = math.exp(log_e_value(right, wrong, p0))
    then = p0 * math.exp(log_e_value(right + 1, wrong, p0)) + (1 - p0) * math.exp(log_e_value(right, wrong + 1, p0))
    assert then == pytest.approx(now, rel=1e-8)


@given(st.integers(0, 300), st.integers(0, 100), st.floats(0.5, 0.99))
def test_bounds_are_where_the_tests_change(right: int, wrong: int, level: float) -> None:
    low, high = lower_bound(right, wrong, confidence=level), 1 - lower_bound(wrong, right, confidence=level)
    if right + wrong:
        assert 0 <= low <= right / (right + wrong) <= high <= 1
    for p in (0.01, 0.2, 0.5, 0.8, 0.95, 0.99):
        if abs(p - low) > 1e-6:
            assert certifies(right, wrong, p, confidence=level) == (p < low)
        if abs(p - high) > 1e-6:
            assert refutes(right, wrong, p, confidence=level) == (p > high)


def test_no_labels_state_nothing() -> None:
    assert lower_bound(0, 0) == 0.0
    assert log_e_value(0, 0, 0.9) == pytest.approx(0)
    assert log_e_value(0, 5000, 0.95) == -math.inf
    with pytest.raises(ValueError, match="cannot be tested"):
        log_e_value(1, 0, 1.0)


def largest_errors(target: float, labels: int) -> np.ndarray:
    """After each label, the most errors that certify the target; -1: none."""
    most, allowed = -1, []
    for label in range(1, labels + 1):
        while most + 1 <= label and certifies(label - most - 1, most + 1, target):
            most += 1
        allowed.append(most)
    return np.array(allowed)


@pytest.mark.parametrize("precision", [0.9499, 0.93, 0.80])
def test_looked_at_after_every_label_it_holds_its_confidence(precision: float) -> None:
    """2,000 audits of 1,000 labels below the target: at most 5 % are ever certified."""
    wrong = np.random.default_rng(1).random((2000, 1000)) > precision
    certified = (wrong.cumsum(axis=1) <= largest_errors(0.95, 1000)).any(axis=1).mean()
    assert certified <= 0.05
    if precision == 0.9499:
        assert certified >= 0.01, "the bound is not so loose that it certifies nothing"
