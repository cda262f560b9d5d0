"""Paired comparison of two models on the same items.

Owns the exact McNemar test, the paired difference and its interval; single shares have theirs in
`curation_db.stats.intervals`. Whether a difference is told as sure is McNemar's to say (`Paired.sure`), not the
interval's. Torch-free. Two models are only ever compared item by item: unpaired shares of 440 items hide most
differences.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

from curation_db.stats.intervals import LEVEL, RESAMPLES, Interval, cluster_bootstrap_difference, wilson

ALPHA: Final = 0.05
"""Below it a difference counts as sure."""
FEW: Final = 10
"""With fewer discordant items the bootstrap draws the same few again and again and its interval is too narrow: of two
gained and none lost it is a point."""


@dataclass(frozen=True, slots=True)
class Paired:
    """How one model differs from another on the same items."""

    items: int
    gained: int
    """Items that ours gets right and theirs wrong."""
    lost: int
    """Items that ours gets wrong and theirs right."""
    difference: Interval
    """Of the shares of right answers, ours - theirs, -1..1; clusters are resampled whole. See `paired`."""
    p_value: float
    """Of the exact two-sided McNemar test."""

    @property
    def sure(self) -> bool:
        """Whether chance hardly explains it: p < 0.05."""
        return self.p_value < ALPHA

    @property
    def few(self) -> bool:
        """Whether so few items differ that the interval is Newcombe's."""
        return self.gained + self.lost < FEW


def mcnemar_exact(gained: int, lost: int) -> float:
    """Two-sided exact p-value of McNemar's test (McNemar 1947; Agresti 2013, section 11.1).

    Under the null each of the n = gained + lost discordant items is a fair coin: twice the smaller binomial tail, at
    most 1. Computed in whole numbers, so it neither under- nor overflows.
    """
    if gained < 0 or lost < 0:
        raise ValueError("counts of discordant items cannot be negative")
    discordant = gained + lost
    term = tail = 1
    for drawn in range(min(gained, lost)):
        term = term * (discordant - drawn) // (drawn + 1)
        tail += term
    return min(1.0, 2 * tail / (1 << discordant))


def newcombe(both: int, gained: int, lost: int, neither: int, *, level: float = LEVEL) -> Interval:
    """Interval of the difference of paired shares, ours - theirs (Newcombe 1998, Stat Med 17:2635, method 10).

    Adds up the squared Wilson distances of both shares, less what their correlation phi takes away. Sound for few and
    for no discordant items, where resampling is not; knows nothing of clusters.

    Args:
        both: items that both get right.
        gained: items that only ours gets right.
        lost: items that only theirs gets right.
        neither: items that nobody gets right.
        level: of the interval.
    """
    n = both + gained + lost + neither
    ours, theirs = wilson(both + gained, n, level=level), wilson(both + lost, n, level=level)
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


def paired(
    ours: Sequence[bool],
    theirs: Sequence[bool],
    clusters: Sequence[Hashable],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Paired:
    """Right or wrong, item by item, of two models, and the items' clusters (pictures): all of one length n.

    The interval is the cluster bootstrap's; where fewer than `FEW` items differ, as wide as Newcombe's too.
    """
    both = list(zip(ours, theirs, strict=True))
    gained = sum(a and not b for a, b in both)
    lost = sum(b and not a for a, b in both)
    difference = cluster_bootstrap_difference(ours, theirs, clusters, seed=seed, resamples=resamples, level=level)
    if gained + lost < FEW:
        shared = sum(a and b for a, b in both)
        exact = newcombe(shared, gained, lost, len(both) - shared - gained - lost, level=level)
        low, high = min(difference.low, exact.low), max(difference.high, exact.high)
        difference = Interval(difference.estimate, low, high)
    return Paired(len(both), gained, lost, difference, mcnemar_exact(gained, lost))
