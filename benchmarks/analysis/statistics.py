"""Paired comparison of two models on the same items: exact McNemar test, paired difference, its interval, its power.

The McNemar test decides whether a difference is significant (`PairedDifference.significant`), not the interval. Two
models are compared only item by item, because unpaired shares of 440 items hide most differences. Intervals of single
shares are in `curation_db.stats.intervals`. Does not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Final

from curation_db.stats.intervals import RESAMPLES, Interval, cluster_bootstrap_difference, wilson

ALPHA: Final = 0.05
"""Significance level."""
POWER: Final = 0.8
"""Probability with which `PairedDifference.detectable` would be found significant."""
_HALVINGS: Final = 60
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
    p_holm: float | None = None
    """p after Holm's correction for the comparisons that are shown together; None: it is the only one."""

    @property
    def p_corrected(self) -> float:
        """The p that decides: after Holm's correction, if there is one."""
        return self.p_value if self.p_holm is None else self.p_holm

    @property
    def significant(self) -> bool:
        """Whether the corrected p < 0.05."""
        return self.p_corrected < ALPHA

    @property
    def interval_disagrees(self) -> bool:
        """Whether the interval excludes 0 and McNemar's p, uncorrected, is not significant, or the reverse."""
        excludes_zero = not self.difference.low <= 0 <= self.difference.high
        return excludes_zero != (self.p_value < ALPHA)

    @property
    def detectable(self) -> float:
        """The smallest difference, 0..1, that so many items with so many discordant ones show with a power of 80 %."""
        return detectable_difference(self.items, (self.gained + self.lost) / self.items)

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


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values after Holm's step-down correction for their number (Holm 1979, Scand J Stat 6:65)."""
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = highest
    return corrected


def with_holm(differences: Sequence[PairedDifference | None]) -> list[PairedDifference | None]:
    """Return the differences of one family with `p_holm`; a single comparison needs no correction."""
    compared = [difference for difference in differences if difference is not None]
    if len(compared) < 2:
        return list(differences)
    corrected = iter(holm([difference.p_value for difference in compared]))
    return [None if difference is None else replace(difference, p_holm=next(corrected)) for difference in differences]


def detectable_difference(items: int, discordant: float, *, alpha: float = ALPHA, power: float = POWER) -> float:
    """Return the smallest difference of paired shares that McNemar's test finds with `power`.

    Solves n d^2 = (z_alpha sqrt(D) + z_power sqrt(D - d^2))^2 for d (Connor 1987, Biometrics 43:207), with n items of
    which the share D is discordant. A difference cannot exceed D, which is returned if even D would not be found.

    Args:
        items: Number of items, at least 1.
        discordant: Share of items that only one of the models has right, 0..1.
    """
    z_alpha, z_power = NormalDist().inv_cdf(1 - alpha / 2), NormalDist().inv_cdf(power)

    def needed(difference: float) -> float:
        spread = z_alpha * math.sqrt(discordant) + z_power * math.sqrt(max(0.0, discordant - difference**2))
        return (spread / difference) ** 2

    low, high = 0.0, discordant
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if needed(middle) > items else (low, middle)
    return high


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
