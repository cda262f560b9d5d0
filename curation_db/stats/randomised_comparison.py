"""Difference of two shares between arms that chance assigned, pair by pair, when only a sample is labelled. Pure.

Each item belongs to one arm, and the two items of a pair to different arms (`generation.random_assignment`). The audit
labels a random part of the candidates, so of most pairs at most one item has a label. McNemar's test would drop all of
these pairs. Instead:

* The p-value is that of the randomisation test of the design: it swaps the arms of each pair by a coin and asks how
  often the difference is at least as large as the observed one (Fisher 1935; Edgington & Onghena 2007). If both items
  of every pair are labelled, it is the exact McNemar test.
* The interval resamples images (cluster bootstrap), because labels of one image are not independent.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

from curation_db.stats.intervals import LEVEL, RESAMPLES, Interval, resampled_sums, wilson

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

ALPHA: Final = 0.05
POWER: Final = 0.8
FEW: Final = 10
"""With fewer accepted or rejected labels in an arm the bootstrap resamples the same few, so its interval is widened to
Newcombe's."""
_MOST_EXACT: Final = 2_000_000
"""Swapped divisions that are counted exactly; of more a sample is drawn."""
_DRAWS: Final = 200_000
_TOLERANCE: Final = 1e-12


@dataclass(frozen=True, slots=True)
class ArmLabel:
    """An audit label of an item that was assigned to an arm."""

    image: int
    pair: int
    new: bool
    """Whether the item belongs to the new arm, else to the old one."""
    accepted: bool


@dataclass(frozen=True, slots=True)
class ArmCounts:
    labels: int = 0
    accepted: int = 0

    @property
    def share(self) -> Interval:
        """Share of accepted labels with its Wilson interval."""
        return wilson(self.accepted, self.labels)


@dataclass(frozen=True, slots=True)
class ShareDifference:
    """Difference of the acceptance between two arms, new - old."""

    old: ArmCounts
    new: ArmCounts
    difference: Interval
    """-1..1; NaN if an arm has no label."""
    p_value: float
    """Of the randomisation test, two-sided."""
    images: int
    """Images with a label."""
    pairs: int
    """Pairs whose items both have a label."""
    gained: int
    """Among these pairs: only the item of the new arm is accepted."""
    lost: int
    """Among these pairs: only the item of the old arm is accepted."""
    design_effect: float
    """Variance by the bootstrap over that of independent labels; 1 where it cannot be estimated."""

    def labels_needed(self, difference: float) -> int:
        """Return how many further labels, of both arms together, would show a difference with 80 % power at 5 %.

        The acceptance is assumed to stay at the present share of both arms together, 90 % without labels, with the
        present design effect if it is above 1.
        """
        both = self.old.labels + self.new.labels
        share = (self.old.accepted + self.new.accepted) / both if both else 0.9
        each = math.ceil(labels_per_arm(share, difference) * max(1.0, self.design_effect))
        return max(0, each - self.old.labels) + max(0, each - self.new.labels)


def labels_per_arm(share: float, difference: float, *, alpha: float = ALPHA, power: float = POWER) -> float:
    """Return the labels that each arm needs to show a difference of two shares whose mean is `share`.

    n = (z_alpha sqrt(2 m (1 - m)) + z_power sqrt(p (1 - p) + q (1 - q)))^2 / (p - q)^2, where m is the mean of p and q
    (Fleiss 1981, Statistical Methods for Rates and Proportions, formula 3.14). A share near 0 or 1 is moved so that p
    and q stay between them.
    """
    if not 0 < difference <= 1:
        raise ValueError(f"a difference between 0 and 1 is expected, not {difference}")
    mean = min(max(share, difference / 2), 1 - difference / 2)
    p, q = mean + difference / 2, mean - difference / 2
    z_alpha, z_power = NormalDist().inv_cdf(1 - alpha / 2), NormalDist().inv_cdf(power)
    spread = z_alpha * math.sqrt(2 * mean * (1 - mean)) + z_power * math.sqrt(p * (1 - p) + q * (1 - q))
    return (spread / difference) ** 2


def compare_arms(labels: Sequence[ArmLabel], *, resamples: int = RESAMPLES) -> ShareDifference:
    """Compare the acceptance of two arms; see the module."""
    old, new = (
        ArmCounts(sum(each.new is arm for each in labels), sum(each.new is arm and each.accepted for each in labels))
        for arm in (False, True)
    )
    by_pair: dict[int, list[ArmLabel]] = defaultdict(list)
    for each in labels:
        by_pair[each.pair].append(each)
    both = [{each.new: each.accepted for each in pair} for pair in by_pair.values() if len(pair) == 2]
    gained = sum(pair[True] and not pair[False] for pair in both)
    lost = sum(pair[False] and not pair[True] for pair in both)
    difference, effect = _difference(labels, old, new, resamples)
    return ShareDifference(
        old,
        new,
        difference,
        randomisation_p(list(by_pair.values())),
        len({each.image for each in labels}),
        len(both),
        gained,
        lost,
        effect,
    )


def randomisation_p(pairs: Sequence[Sequence[ArmLabel]]) -> float:
    """Return the two-sided p-value of the difference of shares under independent swaps of the pairs.

    A division that leaves an arm without labels counts as at least as large. Without labels in both arms p is 1.

    Args:
        pairs: The labelled items of each pair, one or two of different arms.
    """
    import numpy as np  # noqa: PLC0415

    singles = [pair[0] for pair in pairs if len(pair) == 1]
    doubles = [(pair[0], pair[1]) for pair in pairs if len(pair) == 2]
    right = sum(each.accepted for each in singles)
    wrong = len(singles) - right
    both_right = sum(one.accepted and other.accepted for one, other in doubles)
    split = sum(one.accepted is not other.accepted for one, other in doubles)
    fixed = len(doubles)

    def size(x: Array, y: Array, z: Array) -> Array:
        """Return |share(new) - share(old)| with x accepted and y rejected single labels, and z splits won, in new."""
        labels, others = x + y + fixed, right - x + wrong - y + fixed
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = (x + z + both_right) / labels - (right - x + split - z + both_right) / others
        return np.where((labels == 0) | (others == 0), np.inf, np.abs(shares))

    observed = size(
        np.array(float(sum(each.accepted and each.new for each in singles))),
        np.array(float(sum(not each.accepted and each.new for each in singles))),
        np.array(float(sum((one if one.new else other).accepted for one, other in doubles)) - both_right),
    )
    if not np.isfinite(observed):
        return 1.0
    at_least = float(observed) - _TOLERANCE
    if (right + 1) * (wrong + 1) * (split + 1) <= _MOST_EXACT:
        x, y, z = np.meshgrid(*(np.arange(n + 1.0) for n in (right, wrong, split)), indexing="ij", sparse=True)
        weights = _coin_flips(right)[:, None, None] * _coin_flips(wrong)[None, :, None] * _coin_flips(split)
        return min(1.0, float(weights[size(x, y, z) >= at_least].sum()))
    rng = np.random.default_rng(0)
    drawn = (rng.binomial(n, 0.5, _DRAWS).astype(np.float64) for n in (right, wrong, split))
    return float((1 + np.count_nonzero(size(*drawn) >= at_least)) / (1 + _DRAWS))


def _coin_flips(n: int) -> Array:
    """Return P(X = k) for k = 0..n heads of n fair coins."""
    import numpy as np  # noqa: PLC0415

    log_all = math.lgamma(n + 1) - n * math.log(2)
    return np.exp([log_all - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(n + 1)])


def newcombe_independent(old: ArmCounts, new: ArmCounts) -> Interval:
    """Return the interval of the difference of independent shares (Newcombe 1998, Stat Med 17:873, method 10)."""
    a, b = old.share, new.share
    change = b.estimate - a.estimate
    low = change - math.hypot(b.estimate - b.low, a.high - a.estimate)
    high = change + math.hypot(b.high - b.estimate, a.estimate - a.low)
    return Interval(change, low, high)


def _difference(labels: Sequence[ArmLabel], old: ArmCounts, new: ArmCounts, resamples: int) -> tuple[Interval, float]:
    """Return the difference with its interval, and the design effect."""
    import numpy as np  # noqa: PLC0415

    if not (old.labels and new.labels):
        return Interval(math.nan, -1.0, 1.0), 1.0
    shares = _resampled_shares(labels, resamples)
    drawn = shares[:, 1] - shares[:, 0]
    estimate = new.accepted / new.labels - old.accepted / old.labels
    interval, effect = newcombe_independent(old, new), 1.0
    few = min(n for arm in (old, new) for n in (arm.accepted, arm.labels - arm.accepted)) < FEW
    if len(drawn):
        low, high = (float(limit) for limit in np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
        wider = Interval(estimate, min(low, interval.low), max(high, interval.high))
        interval = wider if few else Interval(estimate, low, high)
    independent = sum(arm.accepted * (arm.labels - arm.accepted) / arm.labels**3 for arm in (old, new))
    if independent and not few:
        effect = float(drawn.var()) / independent
    return interval, effect


def _resampled_shares(labels: Sequence[ArmLabel], resamples: int) -> Array:
    """Return the shares of the old and the new arm (R, 2) over resampled images; draws without a label are left out."""
    import numpy as np  # noqa: PLC0415

    sums: dict[int, list[float]] = defaultdict(lambda: [0.0] * 4)
    for each in labels:
        cell = sums[each.image]
        cell[2 * each.new] += each.accepted
        cell[2 * each.new + 1] += 1
    drawn = np.concatenate(list(resampled_sums(sorted(sums.values()), resamples=resamples)))
    kept = drawn[(drawn[:, 1] > 0) & (drawn[:, 3] > 0)]
    return np.stack([kept[:, 0] / kept[:, 1], kept[:, 2] / kept[:, 3]], axis=1)


def cost_difference(
    labels: Sequence[ArmLabel], unit_costs: tuple[float, float], *, resamples: int = RESAMPLES
) -> Interval:
    """Return the difference of the cost per accepted candidate, new - old, with a bootstrap interval over images.

    Args:
        unit_costs: Cost of a candidate of the old and of the new arm, which is known: only the acceptance is estimated.
    """
    import numpy as np  # noqa: PLC0415

    old, new = ([each.accepted for each in labels if each.new is arm] for arm in (False, True))
    if not (old and new):
        return Interval(math.nan, -math.inf, math.inf)
    per: Callable[[float, float], float] = lambda cost, share: cost / share if share else math.inf  # noqa: E731
    estimate = per(unit_costs[1], sum(new) / len(new)) - per(unit_costs[0], sum(old) / len(old))
    shares = _resampled_shares(labels, resamples)
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = unit_costs[1] / shares[:, 1] - unit_costs[0] / shares[:, 0]
    if not len(drawn) or not np.isfinite(drawn).all() or not math.isfinite(estimate):
        return Interval(estimate, -math.inf, math.inf)  # no acceptance in an arm, or perhaps none
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(estimate, float(low), float(high))
