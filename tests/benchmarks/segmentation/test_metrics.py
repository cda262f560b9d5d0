"""Scores of masks against cases that were computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.segmentation.metrics import (
    Overlap,
    mask_differences,
    mask_scores,
    overlap,
    precision,
)
from curation_db.stats.intervals import cluster_bootstrap

THREE = [Overlap(1, 2), Overlap(30, 40), Overlap(0, 10)]
"""IoU 1/2, 3/4 and 0: mean 5/12; together 31 of 52 pixels."""
OVERLAPS = st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda pair: Overlap(pair[0], sum(pair)))


def mask(rows: list[str]) -> np.ndarray:
    return np.array([[pixel == "#" for pixel in row] for row in rows])


def test_overlap_of_two_masks() -> None:
    ours, theirs = mask(["##.", "##.", "..."]), mask([".##", ".##", "..."])
    assert overlap(ours, theirs) == Overlap(2, 6)
    assert overlap(ours, theirs).iou == pytest.approx(1 / 3)
    assert overlap(ours, ours).iou == 1


def test_empty_masks_have_no_overlap() -> None:
    nothing, something = mask(["...", "..."]), mask(["#..", "..."])
    assert overlap(nothing, something) == Overlap(0, 1)
    assert overlap(nothing, nothing) == Overlap(0, 0)
    assert overlap(nothing, something).iou == overlap(nothing, nothing).iou == 0


def test_masks_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="sizes"):
        overlap(mask(["##"]), mask(["##", "##"]))


def test_mean_and_overall_iou() -> None:
    scores = mask_scores(THREE, ["a", "b", "c"])
    assert scores.mean_iou.estimate == pytest.approx(5 / 12)
    assert scores.overall_iou.estimate == pytest.approx(31 / 52)


def test_precision_at_a_threshold_depends_on_the_rule_for_equality() -> None:
    assert precision(THREE, 0.5, inclusive=False) == 1
    assert precision(THREE, 0.5, inclusive=True) == 2
    assert precision(THREE, 0.7, inclusive=True) == 1
    assert precision(THREE, 0.8, inclusive=True) == 0
    assert precision([Overlap(0, 0)], 0.5, inclusive=True) == 0


def test_scores_of_empty_masks_are_zero() -> None:
    scores = mask_scores([Overlap(0, 0), Overlap(0, 0)], ["a", "b"])
    assert (scores.mean_iou.estimate, scores.overall_iou.estimate) == (0, 0)
    assert (scores.overall_iou.low, scores.overall_iou.high) == (0, 0)


def test_no_items_are_refused() -> None:
    with pytest.raises(ValueError, match="0 items"):
        mask_scores([], [])


def test_interval_of_the_mean_is_that_of_the_cluster_bootstrap() -> None:
    rng = np.random.default_rng(0)
    overlaps = [Overlap(int(inside), 100) for inside in rng.integers(0, 101, 120)]
    clusters = [f"image {place // 3}" for place in range(120)]
    ours = mask_scores(overlaps, clusters).mean_iou
    reference = cluster_bootstrap([each.iou for each in overlaps], clusters)
    assert ours.estimate == pytest.approx(reference.estimate)
    assert (ours.low, ours.high) == pytest.approx((reference.low, reference.high), abs=0.004)


def test_interval_of_the_overall_iou_against_a_slow_bootstrap() -> None:
    rng = np.random.default_rng(1)
    pixels = [Overlap(int(inside), int(inside + more)) for inside, more in rng.integers(1, 90, (60, 2))]
    clusters = [place // 2 for place in range(60)]
    ours = mask_scores(pixels, clusters).overall_iou
    drawn = []
    for _ in range(4000):
        chosen = rng.integers(0, 30, 30)
        items = [pixels[2 * image + each] for image in chosen for each in (0, 1)]
        drawn.append(sum(each.intersection for each in items) / sum(each.union for each in items))
    assert (ours.low, ours.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.006)


def test_paired_difference_is_narrower_than_the_scores_of_both() -> None:
    rng = np.random.default_rng(2)
    theirs = [Overlap(int(inside), 100) for inside in rng.integers(0, 91, 80)]
    ours = [Overlap(each.intersection + 5, 100) for each in theirs]
    clusters = list(range(80))
    difference = mask_differences(ours, theirs, clusters)
    assert difference.mean_iou.estimate == pytest.approx(0.05)
    assert (difference.mean_iou.low, difference.mean_iou.high) == pytest.approx((0.05, 0.05))
    assert difference.overall_iou.estimate == pytest.approx(0.05)
    assert difference.overall_iou.high - difference.overall_iou.low < 1e-9


@given(st.lists(st.tuples(OVERLAPS, st.integers(0, 3)), min_size=1, max_size=12), st.randoms())
def test_scores_do_not_depend_on_the_order_of_the_items(items: list[tuple[Overlap, int]], random: object) -> None:
    def scores(pairs: list[tuple[Overlap, int]]) -> object:
        return mask_scores([each for each, _ in pairs], [cluster for _, cluster in pairs], resamples=50)

    shuffled = list(items)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert scores(items) == scores(shuffled)
