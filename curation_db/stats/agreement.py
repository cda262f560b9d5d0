"""Inter-annotator agreement: P_o, Gwet's AC1, Krippendorff's alpha, Fleiss' kappa. Pure functions.

An item is the multiset of its ratings, so raters may skip items, and their identities do not matter. Where nearly all
ratings are equal, kappa and alpha approach 0 even if the raters agree (the "paradox" of Feinstein & Cicchetti 1990):
for three raters who accept 88 % each and differ only by slips, kappa is .2. AC1 is not affected, so all coefficients
are shown together. Intervals resample whole clusters (images), as in `intervals`.
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
    """Agreement coefficients over the items with two or more ratings; NaN where a coefficient is undefined."""

    items: int
    """Number of items with two or more ratings."""
    ratings: int
    """Number of ratings of these items."""
    observed: Interval
    """P_o: the share of equal pairs among the pairs of ratings of an item, averaged over items."""
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
    """Compute the agreement over N items.

    Args:
        items: The ratings of each item, any number of them.
        categories: All possible ratings, used or not: AC1 depends on their number.
        clusters: The cluster (image) of each item; None: each item is its own cluster.

    Raises:
        ValueError: Fewer than two categories, a rating outside of the categories, or lengths that differ.
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
    """Count the ratings of each item by category.  -> (N, Q)"""
    if len(set(categories)) < 2:
        raise ValueError("at least two categories are needed")
    column = {category: at for at, category in enumerate(dict.fromkeys(categories))}
    counts = np.zeros((len(items), len(column)))
    for row, ratings in enumerate(items):
        for rating, number in Counter(ratings).items():
            if rating not in column:
                raise ValueError(f"unknown rating {rating!r}; known: {', '.join(map(str, column))}")
            counts[row, column[rating]] = number
    return counts


def _additive(counts: Floats) -> Floats:
    """Return the terms of the coefficients, which are additive over items: counts (N, Q) -> (N, 4 + 2Q).

    Columns: 1 for an item with a pair of ratings; its P_i; 1 for an item with a rating; its shares r_iq / r_i (Q);
    its disagreeing pairs, divided by r_i - 1; its ratings if it has a pair (Q).
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
    """Compute P_o, AC1, alpha and kappa of each row of sums (R, 4 + 2Q).  -> (R, 4)"""
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
    """Sum the rows of each cluster, in order of first occurrence.  (N, S) -> (C, S)"""
    if clusters is None:
        return sums
    number = {cluster: at for at, cluster in enumerate(dict.fromkeys(clusters))}
    grouped = np.zeros((len(number), sums.shape[1]))
    np.add.at(grouped, [number[cluster] for cluster in clusters], sums)
    return grouped


def _interval(estimate: float, spread: Floats, level: float) -> Interval:
    """Return the percentile interval over the resamples in which the coefficient is defined."""
    defined = spread[np.isfinite(spread)]
    if not len(defined):
        return Interval(float(estimate), math.nan, math.nan)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(estimate), float(low), float(high))
