"""Tests of the correction of a share for the errors of a judge."""

from __future__ import annotations

import random

import pytest

from curation_db.stats.intervals import wilson
from curation_db.stats.misclassification import JudgeErrors, corrected_share


def test_published_example() -> None:
    # Lang & Reiczigel 2014, first example, as in the documentation of asht::prevSeSp: 0.349 to 0.372
    share = corrected_share(4060, 11284, JudgeErrors(178, 179, 358, 359))
    assert share is not None
    assert (round(share.low, 3), round(share.high, 3)) == (0.349, 0.372)
    assert share.estimate == pytest.approx((4060 / 11284 + 358 / 359 - 1) / (178 / 179 + 358 / 359 - 1))


def test_a_judge_without_errors_on_many_labels_changes_nothing() -> None:
    share, plain = corrected_share(404, 900, JudgeErrors(10**9, 10**9, 10**9, 10**9)), wilson(404, 900)
    assert share is not None
    assert share.estimate == pytest.approx(plain.estimate)
    assert (share.low, share.high) == pytest.approx((plain.low, plain.high), abs=2e-3)


def test_the_shift_of_few_labels_by_hand() -> None:
    """45 of 100, Se 18/20, Sp 27/30, z = 1.96: p' = 46.9207/103.8415, Se' = 19/22, Sp' = 28/32."""
    z2 = 3.8414588206941245
    p, se, sp = (45 + z2 / 2) / (100 + z2), 19 / 22, 28 / 32
    share = (p + sp - 1) / (se + sp - 1)
    shift = 2 * z2 * (share * se * (1 - se) / 22 - (1 - share) * sp * (1 - sp) / 32)
    spread = p * (1 - p) / (100 + z2) + share**2 * se * (1 - se) / 22 + (1 - share) ** 2 * sp * (1 - sp) / 32
    half = (z2 * spread) ** 0.5 / (se + sp - 1)
    found = corrected_share(45, 100, JudgeErrors(18, 20, 27, 30))
    assert found is not None
    assert (found.low, found.high) == pytest.approx((share + shift - half, share + shift + half))


def test_labels_that_tell_nothing_once_adjusted_give_the_whole_range() -> None:
    """Se 1/1 and Sp 1/100 are just informative, Se' 2/3 and Sp' 2/102 are not."""
    found = corrected_share(40, 100, JudgeErrors(1, 1, 1, 100))
    assert found is not None
    assert (found.low, found.high) == (0.0, 1.0)


def test_few_labels_widen_the_interval() -> None:
    few = corrected_share(404, 900, JudgeErrors(18, 20, 27, 30))
    many = corrected_share(404, 900, JudgeErrors(1800, 2000, 2700, 3000))
    assert few is not None
    assert many is not None
    assert few.estimate == pytest.approx(many.estimate)
    assert few.low < many.low < many.high < few.high
    assert many.high - many.low > wilson(404, 900).high - wilson(404, 900).low


@pytest.mark.parametrize("errors", [JudgeErrors(0, 0, 9, 9), JudgeErrors(9, 9, 0, 0), JudgeErrors(5, 10, 5, 10)])
def test_labels_that_tell_nothing(errors: JudgeErrors) -> None:
    assert not errors.informative
    assert corrected_share(404, 900, errors) is None


def test_limits_stay_within_the_unit_interval() -> None:
    for correct in (0, 5, 10):
        for errors in (JudgeErrors(1, 1, 1, 1), JudgeErrors(2, 3, 1, 2), JudgeErrors(9, 10, 8, 10)):
            share = corrected_share(correct, 10, errors)
            assert share is not None
            assert 0 <= share.low <= share.estimate <= share.high <= 1


def test_the_interval_holds_the_true_share_as_often_as_it_says() -> None:
    """Simulate 400 studies with 40 and 60 labels; the coverage of the published method is 95 % and more."""
    rng = random.Random(4)

    def count(n: int, p: float) -> int:
        return sum(rng.random() < p for _ in range(n))

    true, sensitivity, specificity = 0.4, 0.85, 0.9
    seen = true * sensitivity + (1 - true) * (1 - specificity)
    inside = 0
    for _ in range(400):
        share = corrected_share(
            count(300, seen), 300, JudgeErrors(count(40, sensitivity), 40, count(60, specificity), 60)
        )
        assert share is not None
        inside += share.low <= true <= share.high
    assert inside >= 0.93 * 400
