"""Scores of predicted masks: mean IoU, overall IoU and precision at thresholds, with intervals clustered by image.

The IoU of two masks is the number of pixels in both, divided by the number in at least one. If no pixel is in both it
is 0, also for two empty masks (the rule of PhraseCut's code). Does not import torch.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.segmentation.masks import Mask
from curation_db.stats.intervals import LEVEL, RESAMPLES, Interval, resampled_sums

THRESHOLDS: Final = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Of the precision; the first one decides whether an item is right."""


class Overlap(NamedTuple):
    """Pixels of a predicted and a true mask."""

    intersection: int
    union: int

    @property
    def iou(self) -> float:
        """Intersection over union, 0..1."""
        return self.intersection / self.union if self.intersection else 0.0

    def reaches(self, threshold: float, *, inclusive: bool) -> bool:
        """Return whether the IoU is above the threshold; with `inclusive`, or equal to it."""
        return self.iou > threshold or (inclusive and self.iou == threshold)


@dataclass(frozen=True, slots=True)
class MaskScores:
    mean_iou: Interval
    """mIoU: the mean of the items' IoU."""
    overall_iou: Interval
    """oIoU: the sum of all intersections over the sum of all unions, which large regions dominate."""


def overlap(predicted: Mask, true: Mask) -> Overlap:
    """Return the overlap of two masks.

    Raises:
        ValueError: They have different sizes.
    """
    if predicted.shape != true.shape:
        raise ValueError(f"masks of the sizes {predicted.shape} and {true.shape}")
    return Overlap(int(np.count_nonzero(predicted & true)), int(np.count_nonzero(predicted | true)))


def mask_scores(overlaps: Sequence[Overlap], clusters: Sequence[Hashable], *, resamples: int = RESAMPLES) -> MaskScores:
    """Return both IoU scores with 95 % intervals of the bootstrap over clusters (images).

    Args:
        clusters: The cluster of each item; clusters are drawn as a whole.
    """
    columns = [(each.iou, each.intersection, each.union) for each in overlaps]
    sums = _cluster_sums(columns, clusters)
    mean, overall = [], []
    for drawn in resampled_sums(sums, resamples=resamples):
        mean.append(drawn[:, 0] / drawn[:, 3])
        overall.append(_ratio(drawn[:, 1], drawn[:, 2]))
    total = sums.sum(axis=0)
    return MaskScores(
        _interval(float(total[0] / total[3]), mean),
        _interval(float(_ratio(total[1:2], total[2:3])[0]), overall),
    )


def mask_differences(
    ours: Sequence[Overlap],
    theirs: Sequence[Overlap],
    clusters: Sequence[Hashable],
    *,
    resamples: int = RESAMPLES,
) -> MaskScores:
    """Return the differences of both IoU scores of two models on the same items, ours - theirs, -1..1.

    Each resample draws the clusters once, for both models.
    """
    pairs = zip(ours, theirs, strict=True)
    columns = [(a.iou - b.iou, a.intersection, a.union, b.intersection, b.union) for a, b in pairs]
    sums = _cluster_sums(columns, clusters)
    mean, overall = [], []
    for drawn in resampled_sums(sums, resamples=resamples):
        mean.append(drawn[:, 0] / drawn[:, 5])
        overall.append(_ratio(drawn[:, 1], drawn[:, 2]) - _ratio(drawn[:, 3], drawn[:, 4]))
    total = sums.sum(axis=0, keepdims=True)
    change = _ratio(total[:, 1], total[:, 2]) - _ratio(total[:, 3], total[:, 4])
    return MaskScores(_interval(float(total[0, 0] / total[0, 5]), mean), _interval(float(change[0]), overall))


def precision(overlaps: Sequence[Overlap], threshold: float, *, inclusive: bool) -> int:
    """Return the number of items whose IoU reaches the threshold."""
    return sum(each.reaches(threshold, inclusive=inclusive) for each in overlaps)


def _cluster_sums(columns: Sequence[Sequence[float]], clusters: Sequence[Hashable]) -> NDArray[np.float64]:
    """Return the sums of each cluster with its number of items as the last column.  -> (C, S + 1)

    The rows are sorted, so that the intervals do not depend on the order of the items.
    """
    if not columns or len(columns) != len(clusters):
        raise ValueError(f"{len(columns)} items in {len(clusters)} clusters")
    rows: dict[Hashable, int] = {}
    place = [rows.setdefault(cluster, len(rows)) for cluster in clusters]
    sums = np.zeros((len(rows), len(columns[0]) + 1))
    values = np.array([(*each, 1) for each in columns], dtype=np.float64)
    order = np.lexsort(values.T[::-1])  # a sum of floats depends on its order
    np.add.at(sums, np.array(place)[order], values[order])
    return np.array(sums[np.lexsort(sums.T[::-1])])


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return part / whole; 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _interval(estimate: float, resampled: Sequence[NDArray[np.float64]]) -> Interval:
    low, high = np.quantile(np.concatenate(resampled), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(estimate, min(float(low), estimate), max(float(high), estimate))
