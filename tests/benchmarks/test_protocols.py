"""Tests of the two protocols with given scores."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.baselines import first_box, smaller_box
from benchmarks.errors import BenchError
from benchmarks.protocols import (
    BOTH_PROTOCOLS,
    Protocol,
    argmax,
    baseline_credit,
    judge,
    judge_rank,
    presented_order,
)
from benchmarks.task import BenchItem, Box

OFFICIAL, STRICT = Protocol("official"), Protocol("strict")
NAN = math.nan


def item(name: str = "7", target: int = 0, boxes: int = 2) -> BenchItem:
    options = tuple(Box(place, 0, 10, 10) for place in range(boxes))
    return BenchItem(id=name, image="a.jpg", text="no hat", options=options, target=target, cluster="a.jpg")


@pytest.mark.parametrize(
    "scores", [(0.1, 0.2), (0.2, 0.1), (0.2, 0.2), (NAN, NAN), (0.3, NAN), (NAN, 0.3), (-1.0, -1.0), (0.0, -0.0)]
)
def test_official_is_numpys_argmax(scores: tuple[float, ...]) -> None:
    assert argmax(scores) == np.argmax(scores)
    outcome = judge(item(target=1), scores, OFFICIAL)
    assert outcome.correct == (np.argmax(scores) == 1)


def test_official_compares_boxes_not_indices() -> None:
    same = BenchItem(id="1", image="a", text="t", options=(Box(0, 0, 5, 5),) * 2, target=0, cluster="a")
    assert judge(same, (0.1, 0.9), OFFICIAL).correct
    assert not judge(same, (0.1, 0.9), STRICT).correct


def test_a_tie_is_wrong_under_strict() -> None:
    for target in (0, 1):
        outcome = judge(item(target=target), (0.5, 0.5), STRICT)
        assert outcome.tie
        assert not outcome.correct
    assert judge(item(), (0.5, 0.4), STRICT).correct
    assert judge(item(boxes=3), (0.9, 0.5, 0.5), STRICT).correct  # a tie below the highest does not matter


@pytest.mark.parametrize("rule", BOTH_PROTOCOLS)
def test_a_baseline_with_ties_only_is_at_chance_level(rule: Protocol) -> None:
    for boxes in (2, 3, 4):  # all of one size: neither 0 %, as ties of a model are, nor 100 %, as for the first box
        outcome = baseline_credit(item(boxes=boxes), smaller_box, rule)
        assert (outcome.right, outcome.tied) == (pytest.approx(1 / boxes), True)
    assert baseline_credit(item(), first_box, OFFICIAL).right == 1
    assert not baseline_credit(item(), first_box, rule).tied


def test_strict_shuffles_by_the_items_id_and_the_seed() -> None:
    orders = [presented_order(item(str(n)), STRICT)[0] for n in range(400)]
    assert 160 < sum(orders) < 240
    assert orders == [presented_order(item(str(n)), STRICT)[0] for n in range(400)]
    assert orders != [presented_order(item(str(n)), Protocol("strict", seed=1))[0] for n in range(400)]
    assert {presented_order(item(str(n)), OFFICIAL)[0] for n in range(50)} == {0}


def test_nan_under_strict_is_an_error_or_wrong() -> None:
    with pytest.raises(BenchError, match=r"item 7 \(a\.jpg\)") as raised:
        judge(item(), (0.5, NAN), STRICT)
    assert "--allow-nan" in raised.value.hint
    outcome = judge(item(), (0.5, NAN), Protocol("strict", allow_nan=True))
    assert (outcome.pred, outcome.correct, outcome.nan) == (None, False, True)


def test_ties_of_ranks_under_both_protocols() -> None:
    row = np.array([0.3, 0.9, 0.3, 0.3], dtype=np.float32)
    official = [judge_rank(item(target=place), row, OFFICIAL).rank for place in range(4)]
    assert official == [2, 1, 3, 4]
    assert [judge_rank(item(target=place), row, STRICT).rank for place in range(4)] == [4, 1, 4, 4]
    assert [judge_rank(item(target=place), row, STRICT).tie for place in range(4)] == [True, False, True, True]


def test_ranks_put_nan_last() -> None:
    row = np.array([NAN, 0.1, NAN, 0.2], dtype=np.float32)
    stable = np.argsort(-row, kind="stable").tolist()
    assert [judge_rank(item(target=place), row, OFFICIAL).rank for place in range(4)] == [
        stable.index(place) + 1 for place in range(4)
    ]
    with pytest.raises(BenchError, match="NaN"):
        judge_rank(item(target=1), row, STRICT)
    assert judge_rank(item(target=3), row, Protocol("strict", allow_nan=True)).rank == 4


def ranked_by_hand(row: list[float], right: tuple[int, ...]) -> int:
    """Return the first position of a right option in a stable sort, NaN last: the published recall."""
    order = sorted(range(len(row)), key=lambda place: (math.isnan(row[place]), -row[place]))
    return min(order.index(place) for place in right) + 1


@given(st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4, NAN]), min_size=3, max_size=9), st.data())
def test_the_best_of_several_right_options_counts(values: list[float], data: st.DataObject) -> None:
    right = data.draw(st.sets(st.integers(0, len(values) - 1), min_size=1, max_size=len(values) - 1))
    target, *also = sorted(right)
    row = np.array(values, dtype=np.float32)
    query = BenchItem(id="1", image="a", text="", target=target, also_right=tuple(also), cluster="a")
    assert judge_rank(query, row, OFFICIAL).rank == ranked_by_hand(row.tolist(), tuple(right))
    if not np.isnan(row).any():
        best = max(row[list(right)])
        wrong = [value for place, value in enumerate(row) if place not in right]
        strict = judge_rank(query, row, STRICT)
        assert strict.rank == 1 + sum(value >= best for value in wrong)
        assert strict.tie == (best in wrong)
