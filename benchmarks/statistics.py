"""Paired comparison of two models on the same items: exact McNemar test, paired difference and its interval.

The McNemar test decides whether a difference is significant (`PairedDifference.significant`), not the interval. Two
models are compared only item by item, because unpaired shares of 440 items hide most differences. Intervals of single
shares are in `curation_db.stats.intervals`. Does not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

from curation_db.stats.intervals import RESAMPLES, Interval, cluster_bootstrap_difference, wilson

ALPHA: Final = 0.05
"""Significance level."""
FEW_DISCORDANT: Final = 10
"""With fewer discordant items the bootstrap resamples the same few items, and its interval is too narrow: with two
gained and none lost it is a single point."""


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """The difference of one model ("ours") from another ("theirs") on the same items."""

    items: int
    gained: int
    """Items that only ours has right."""
    lost: int
    """Items that only theirs has right."""
    difference: Interval
    """Difference of the shares of right answers, ours - theirs, -1..1; see `paired_difference`."""
    p_value: float
    """Exact two-sided McNemar test."""

    @property
    def significant(self) -> bool:
        """Whether p < 0.05."""
        return self.p_value < ALPHA

    @property
    def has_few_discordant(self) -> bool:
        """Whether so few items differ that the interval is at least as wide as Newcombe's."""
        return self.gained + self.lost < FEW_DISCORDANT


def mcnemar_exact(gained: int, lost: int) -> float:
    """Return the two-sided exact p-value of McNemar's test (McNemar 1947; Agresti 2013, section 11.1).

    Under the null hypothesis each of the n = gained + lost discordant items is a fair coin, so p is twice the smaller
    binomial tail, at most 1. Computed with integers, so it neither underflows nor overflows.
    """
    if gained < 0 or lost < 0:
        raise ValueError("counts of discordant items cannot be negative")
    discordant = gained + lost
    term = tail = 1
    for drawn in range(min(gained, lost)):
        term = term * (discordant - drawn) // (drawn + 1)
        tail += term
    return min(1.0, 2 * tail / (1 << discordant))


def newcombe(both: int, gained: int, lost: int, neither: int) -> Interval:
    """Return the interval of the difference of paired shares (Newcombe 1998, Stat Med 17:2635, method 10).

    Adds the squared Wilson distances of both shares and subtracts the term of their correlation phi. Valid for few and
    for no discordant items, where resampling is not. Ignores clusters.

    Args:
        both: Items that both models have right.
        gained: Items that only ours has right.
        lost: Items that only theirs has right.
        neither: Items that neither model has right.
    """
    n = both + gained + lost + neither
    ours, theirs = wilson(both + gained, n), wilson(both + lost, n)
    if not n:
        return Interval(math.nan, -1.0, 1.0)
    margins = (both + gained) * (lost + neither) * (both + lost) * (gained + neither)
    product = float(both * neither - gained * lost)
    if product > 0:
        product = max(0.0, product - n / 2)
    phi = product / math.sqrt(margins) if margins else 0.0

    def root(x: float, y: float) -> float:
        return math.sqrt(max(0.0, x * x - 2 * phi * x * y + y * y))

    change = (gained - lost) / n
    low = change - root(ours.estimate - ours.low, theirs.high - theirs.estimate)
    high = change + root(ours.high - ours.estimate, theirs.estimate - theirs.low)
    return Interval(change, low, high)


def paired_difference(
    ours: Sequence[bool],
    theirs: Sequence[bool],
    clusters: Sequence[Hashable],
    *,
    resamples: int = RESAMPLES,
) -> PairedDifference:
    """Compare two models on the same items.

    The interval is that of the cluster bootstrap; if fewer than `FEW_DISCORDANT` items differ, it is widened to
    Newcombe's interval.

    Args:
        ours: For each item, whether our model is right.
        theirs: For each item, whether the other model is right.
        clusters: The cluster (image) of each item; clusters are resampled as a whole.
    """
    both = list(zip(ours, theirs, strict=True))
    gained = sum(a and not b for a, b in both)
    lost = sum(b and not a for a, b in both)
    difference = cluster_bootstrap_difference(ours, theirs, clusters, resamples=resamples)
    if gained + lost < FEW_DISCORDANT:
        shared = sum(a and b for a, b in both)
        exact = newcombe(shared, gained, lost, len(both) - shared - gained - lost)
        low, high = min(difference.low, exact.low), max(difference.high, exact.high)
        difference = Interval(difference.estimate, low, high)
    return PairedDifference(len(both), gained, lost, difference, mcnemar_exact(gained, lost))
