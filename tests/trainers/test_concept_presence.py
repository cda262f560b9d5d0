"""The score of a concept's presence, against plain arithmetic."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainers.concept_presence import presence_score

levels = st.lists(st.floats(-1, 1, width=32), min_size=3, max_size=40)


def score(concept: float, others: list[float]) -> float:
    """Score features whose cosines with the image are these numbers."""
    return presence_score(
        torch.tensor([1.0], dtype=torch.float64),
        torch.tensor([concept], dtype=torch.float64),
        torch.tensor(others, dtype=torch.float64)[:, None],
    )


def by_hand(concept: float, others: list[float]) -> float:
    level = statistics.median(others)
    spread = 1.4826 * statistics.median(abs(each - level) for each in others)
    return (concept - level) / spread if spread else math.nan


@given(st.floats(-1, 1, width=32), levels)
def test_the_score_is_the_modified_z_score(concept: float, others: list[float]) -> None:
    assert score(concept, others) == pytest.approx(by_hand(concept, others), rel=1e-9, nan_ok=True)


def test_a_known_value() -> None:
    # median .3, median absolute deviation .1
    assert score(0.9, [0.1, 0.2, 0.3, 0.4, 0.5]) == pytest.approx(0.6 / 0.14826)


def test_the_level_of_an_image_and_its_contrast_do_not_matter() -> None:
    others = [0.11, 0.13, 0.12, 0.16, 0.10, 0.14, 0.19]
    moved = [0.5 * each + 0.3 for each in others]
    assert score(0.5 * 0.2 + 0.3, moved) == pytest.approx(score(0.2, others))


def test_other_objects_in_the_image_do_not_hide_a_concept() -> None:
    absent = [0.1 + 0.001 * at for at in range(60)]
    alone, among_others = score(0.25, absent), score(0.25, [*absent[:55], 0.3, 0.3, 0.28, 0.27, 0.26])
    assert among_others == pytest.approx(alone, rel=0.1)


def test_a_normal_spread_of_absent_objects_exceeds_the_threshold_in_one_of_twenty_cases() -> None:
    draw = torch.Generator().manual_seed(0)
    cosines = 0.2 + 0.02 * torch.randn(500, 81, generator=draw, dtype=torch.float64)
    exceeding = sum(score(row[0], row[1:]) > 1.645 for row in cosines.tolist())
    assert 0.03 < exceeding / 500 < 0.08


@pytest.mark.parametrize(
    ("concept", "others"),
    [(math.nan, [0.1, 0.2, 0.3]), (0.1, [0.1, math.nan, 0.3]), (math.inf, [0.1, 0.2, 0.3]), (0.3, [0.2] * 5)],
)
def test_an_undefined_score_is_not_a_number(concept: float, others: list[float]) -> None:
    assert math.isnan(score(concept, others))
