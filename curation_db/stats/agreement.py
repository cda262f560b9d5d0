"""How far people agree, with what chance would give taken out: P_o, Gwet's AC1, Krippendorff's alpha, Fleiss' kappa.

Pure. An item is the multiset of its ratings, so nobody need have rated everything, and who said what does not matter.
Where nearly all ratings are alike, kappa and alpha sink towards 0 whatever people do (the "paradox" of Feinstein &
Cicchetti 1990): of three people who accept 88 % each and differ no more than they would by slips, kappa says .2.
AC1 does not, so all are shown together. Intervals resample whole clusters (pictures), as in `intervals`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation_db.stats.intervals import LEVEL, RESAMPLES, Interval, resampled_sums

Floats = NDArray[np.float64]
_UNKNOWN = Interval(math.nan, math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class Agreement:
    """The coefficients over the items that two or more people rated; NaN where one is not defined."""

    items: int
    """With two ratings or more."""
    ratings: int
    """Of these items."""
    observed: Interval
    """P_o: the share of pairs of ratings of one item that are alike, averaged over items."""
    ac1: Interval
    """Gwet's AC1 (Gwet 2008)."""
    alpha: Interval
    """Krippendorff's alpha for nominal data (Krippendorff 2011)."""
    kappa: Interval
    """Fleiss' kappa (Fleiss 1971), generalised to items with different numbers of ratings as in Gwet 2014, ch. 2."""


def agreement(
    items: Sequence[Sequence[Hashable]],
    categories: Sequence[Hashable],
    clusters: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Agreement:
    """Agreement over N items.

    Args:
        items: The ratings of each, of any number.
        categories: All that a rating may be, said or not: AC1 depends on how many there are.
        clusters: What each item belongs to (its picture); each its own unless told.
        seed: Of the resampling.
        resamples: How many.
        level: Of the intervals.

    Raises:
        ValueError: fewer than two categories, a rating that is none of them, or lengths that differ.
    """
    counts = _count(items, categories)
    if clusters is not None and len(clusters) != len(items):
        raise ValueError(f"{len(items)} items but {len(clusters)} clusters")
    rated = counts.sum(axis=1)
    sums = _additive(counts)
    if not (rated >= 2).any():
        return Agreement(0, 0, _UNKNOWN, _UNKNOWN, _UNKNOWN, _UNKNOWN)
    estimates = _coefficients(sums.sum(axis=0, keepdims=True))[0]
    drawn = resampled_sums(_grouped(sums, clusters), resamples=resamples, seed=seed)
    spread = np.concatenate([_coefficients(block) for block in drawn])
    intervals = [_interval(estimate, spread[:, at], level) for at, estimate in enumerate(estimates)]
    return Agreement(int((rated >= 2).sum()), int(rated[rated >= 2].sum()), *intervals)


def _count(items: Sequence[Sequence[Hashable]], categories: Sequence[Hashable]) -> Floats:
    """How often each item was given each category.  -> (N, Q)"""
    if len(set(categories)) < 2:
        raise ValueError("two categories at least are needed")
    column = {category: at for at, category in enumerate(dict.fromkeys(categories))}
    counts = np.zeros((len(items), len(column)))
    for row, ratings in enumerate(items):
        for rating, number in Counter(ratings).items():
            if rating not in column:
                raise ValueError(f"{rating!r} is none of {', '.join(map(str, column))}")
            counts[row, column[rating]] = number
    return counts


def _additive(counts: Floats) -> Floats:
    """What the coefficients are made of, as sums over items: counts (N, Q) -> (N, 4 + 2Q).

    Columns: items with a pair; their P_i; items with a rating; the shares r_iq / r_i of those (Q); the disagreeing
    pairs of an item, each rating counted once; the ratings of items with a pair (Q).
    """
    rated = counts.sum(axis=1, keepdims=True)
    paired = rated >= 2
    others = np.where(paired, rated - 1, 1)
    alike = (counts * (counts - 1)).sum(axis=1, keepdims=True)
    pairable = np.where(paired, counts, 0)
    return np.hstack(
        [
            paired,
            np.where(paired, alike / (np.where(paired, rated, 1) * others), 0),
            rated >= 1,
            counts / np.maximum(rated, 1),
            np.where(paired, (rated * (rated - 1) - alike) / others, 0),
            pairable,
        ]
    )


def _coefficients(sums: Floats) -> Floats:
    """P_o, AC1, alpha, kappa of each row of sums (R, 4 + 2Q).  -> (R, 4)"""
    categories = (sums.shape[1] - 4) // 2
    pairs, alike, rated = sums[:, 0], sums[:, 1], sums[:, 2]
    shares, unlike, pairable = sums[:, 3 : 3 + categories], sums[:, 3 + categories], sums[:, 4 + categories :]
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = alike / pairs
        share = shares / rated[:, None]
        by_kappa = (share**2).sum(axis=1)
        by_ac1 = (share * (1 - share)).sum(axis=1) / (categories - 1)
        total = pairable.sum(axis=1)
        expected = total**2 - (pairable**2).sum(axis=1)
        alpha = np.where(expected > 0, 1 - (total - 1) * unlike / expected, math.nan)
        kappa = np.where(by_kappa < 1, (observed - by_kappa) / (1 - by_kappa), math.nan)
        ac1 = (observed - by_ac1) / (1 - by_ac1)
    return np.stack([observed, ac1, alpha, kappa], axis=1)


def _grouped(sums: Floats, clusters: Sequence[Hashable] | None) -> Floats:
    """The sums of each cluster, in the order in which they come.  (N, S) -> (C, S)"""
    if clusters is None:
        return sums
    number = {cluster: at for at, cluster in enumerate(dict.fromkeys(clusters))}
    grouped = np.zeros((len(number), sums.shape[1]))
    np.add.at(grouped, [number[cluster] for cluster in clusters], sums)
    return grouped


def _interval(estimate: float, spread: Floats, level: float) -> Interval:
    """Percentiles of the resamples in which the coefficient is defined."""
    defined = spread[np.isfinite(spread)]
    if not len(defined):
        return Interval(float(estimate), math.nan, math.nan)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(estimate), float(low), float(high))
