"""Selects items of a captions benchmark such that no blind baseline is better than chance.

An item is an image with a negated and an affirmed caption, one of which is true. Items are selected in matches of two:
one whose negated caption is true, one whose affirmed caption is, with the same cue and negation type, and the same
denied concept where there is one. So the true side is balanced within each cue and type, and "a negation cue" and "no
negation cue" are right for exactly half. Matches that the best blind baseline has right are removed until the upper end
of every baseline's Wilson interval is at most chance + margin. The selection depends only on the items and the seed.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.analysis.statistics import detectable_difference
from benchmarks.baselines import CAPTION_BASELINES
from benchmarks.errors import BenchError
from benchmarks.frozen import word_baseline
from benchmarks.frozen.quotas import Quota, QuotaCounter
from benchmarks.frozen.word_baseline import FOLDS, WordExample, cross_validated_credits
from curation_db.stats.intervals import Interval, wilson

CHANCE: Final = 0.5
DISCORDANT_SHARES: Final = (0.1, 0.2, 0.3)
"""Shares of items that only one of two models has right, for which the power is stated."""
FIRST_CAPTION: Final = "first caption"
"""The baseline of a constant model; `_placed` gives it exactly half."""
_MATCHED_CUTS: Final = ("cue", "type")
_STEPS: Final = 200


@dataclass(frozen=True, slots=True)
class Contrast:
    """A labelled item: one of its two captions is true of the image."""

    id: str
    image: str
    """The image, by content: equal images have equal names."""
    negated: str
    affirmed: str
    negated_is_true: bool
    cuts: Mapping[str, str]
    """Cut of `quotas.CUTS` -> the item's value."""


@dataclass(frozen=True, slots=True)
class PlacedContrast:
    contrast: Contrast
    right: int
    """Place of the true caption among the two: 0 or 1."""

    @property
    def captions(self) -> tuple[str, str]:
        """The two captions in the presented order."""
        pair = (self.contrast.negated, self.contrast.affirmed)
        return pair if (self.right == 0) == self.contrast.negated_is_true else pair[::-1]


@dataclass(frozen=True, slots=True)
class Selection:
    items: tuple[PlacedContrast, ...]
    """By id."""
    baselines: Mapping[str, Interval]
    """Share of right answers of each blind baseline, with its Wilson interval."""
    balanced: int
    """Items that could be balanced, before the limits of number, quotas and baselines."""
    removed: int
    """Items that were removed because a blind baseline had them right."""

    @property
    def power(self) -> dict[float, float]:
        """Share of discordant items -> the paired difference, 0..1, that is found with a power of 80 %."""
        return {share: detectable_difference(len(self.items), share) for share in DISCORDANT_SHARES}


class TooFewItems(BenchError):
    """No benchmark can be selected from these items."""

    def __init__(self, *, possible: int, balanced: int, needed: int, margin: float, blocking: str = "") -> None:
        after = f" after {blocking!r} was brought to chance" if blocking else ""
        super().__init__(
            f"{possible:,} items can be balanced{after}; it takes {needed:,} to show that blind baselines are within"
            f" {margin:g} of chance",
            hint="decide more candidates, widen the quotas, or allow a larger margin: --margin",
        )
        self.possible = possible
        self.balanced = balanced
        self.needed = needed
        self.blocking = blocking
        """The blind baseline that had too many of the items right; "": none."""


@dataclass(frozen=True, slots=True)
class _Match:
    negated_true: Contrast
    affirmed_true: Contrast

    @property
    def both(self) -> tuple[Contrast, Contrast]:
        return self.negated_true, self.affirmed_true


def items_needed(margin: float) -> int:
    """Return the smallest number of items, a multiple of 4, with which a baseline at chance is within the margin.

    Raises:
        ValueError: the margin is not above 0 and at most 0.5.
    """
    if not 0 < margin <= CHANCE:
        raise ValueError(f"margin {margin}: it must be above 0 and at most {CHANCE}")

    def suffices(quarter: int) -> bool:
        return wilson(2 * quarter, 4 * quarter).high <= CHANCE + margin

    high = 1
    while not suffices(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return 4 * high


def select(
    contrasts: Sequence[Contrast],
    *,
    items: int,
    margin: float,
    seed: int,
    quotas: Sequence[Quota] = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Selection:
    """Return at most `items` balanced items, one per image.

    Args:
        margin: How far above chance the upper end of a baseline's interval may be, above 0 and at most 0.5.
        progress: Called with the number of matches removed, and of all.

    Raises:
        TooFewItems: too few items can be balanced.
    """
    matches = _matches(_one_per_image(contrasts, seed), seed)
    available, needed = len(matches), items_needed(margin)
    judge = _BlindJudge(seed)
    blocking = ""
    while True:
        progress(available - len(matches), available)
        chosen = _admitted(matches, items, quotas)
        if 2 * len(chosen) < needed:
            raise TooFewItems(
                possible=2 * len(chosen), balanced=2 * available, needed=needed, margin=margin, blocking=blocking
            )
        credits = judge.credits(chosen)
        shares = {name: _share(values) for name, values in credits.items()}
        blocking = max(shares, key=lambda name: shares[name].high)
        if shares[blocking].high <= CHANCE + margin:
            shares[FIRST_CAPTION] = wilson(len(chosen), 2 * len(chosen))
            return Selection(_placed(chosen, seed), shares, 2 * available, 2 * (available - len(matches)))
        excess = math.ceil(sum(credits[blocking]) - len(chosen))
        matches = _without_right(matches, chosen, credits[blocking], max(1, excess // 4, len(chosen) // _STEPS))


def _share(credits: Sequence[float]) -> Interval:
    """Return the share of credits; its interval is that of the next whole number of right answers."""
    total, items = math.fsum(credits), len(credits)
    interval = wilson(min(items, math.ceil(total - 1e-9)), items)
    return Interval(total / items, min(interval.low, total / items), interval.high)


def _order(text: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{text}".encode("utf-8", "surrogatepass")).digest()


def _one_per_image(contrasts: Sequence[Contrast], seed: int) -> list[Contrast]:
    """Return one item of each image, of the label that fewer items have, so that items are independent."""
    labels = Counter(contrast.negated_is_true for contrast in contrasts)
    rare = labels[True] < labels[False]
    ordered = sorted(contrasts, key=lambda item: (item.negated_is_true is not rare, _order(item.id, seed), item.id))
    by_image: dict[str, Contrast] = {}
    for contrast in ordered:
        by_image.setdefault(contrast.image, contrast)
    return list(by_image.values())


def _matches(contrasts: Iterable[Contrast], seed: int) -> list[_Match]:
    """Return matches of two labels, those with the same concept first, each group in the order of the seed."""
    cells: defaultdict[tuple[str, ...], tuple[list[Contrast], list[Contrast]]] = defaultdict(lambda: ([], []))
    for contrast in sorted(contrasts, key=lambda item: (_order(item.id, seed), item.id)):
        cells[tuple(contrast.cuts.get(cut, "") for cut in _MATCHED_CUTS)][contrast.negated_is_true].append(contrast)
    same: list[_Match] = []
    other: list[_Match] = []
    for affirmed_true, negated_true in cells.values():
        by_concept: defaultdict[str, list[Contrast]] = defaultdict(list)
        for contrast in reversed(affirmed_true):
            by_concept[contrast.cuts.get("concept", "")].append(contrast)
        unmatched = []
        for contrast in negated_true:
            partners = by_concept[contrast.cuts.get("concept", "")]
            if partners:
                same.append(_Match(contrast, partners.pop()))
            else:
                unmatched.append(contrast)
        left = sorted((each for rest in by_concept.values() for each in rest), key=lambda item: _order(item.id, seed))
        other += [_Match(*both) for both in zip(unmatched, left, strict=False)]

    def place(match: _Match) -> bytes:
        return _order(match.negated_true.id, seed)

    return sorted(same, key=place) + sorted(other, key=place)


def _admitted(matches: Sequence[_Match], items: int, quotas: Sequence[Quota]) -> list[_Match]:
    """Return the first matches that the quotas allow, an even number; a share is of the items returned."""
    total = items - items % 4
    while total > 0:
        counter = QuotaCounter(quotas, total)
        chosen: list[_Match] = []
        for match in matches:
            if 2 * len(chosen) == total:
                return chosen
            if counter.admits(*(contrast.cuts for contrast in match.both)):
                chosen.append(match)
        if 2 * len(chosen) == total:
            return chosen
        total = 2 * len(chosen) - 2 * len(chosen) % 4
    return []


class _BlindJudge:
    """Credits of the blind baselines; those of the caption baselines are computed once per item."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._known: dict[str, dict[str, float]] = {}

    def credits(self, chosen: Sequence[_Match]) -> dict[str, list[float]]:
        """Return the credits of each baseline, for the two items of each match in turn."""
        contrasts = [contrast for match in chosen for contrast in match.both]
        of_items = [self._of_item(contrast) for contrast in contrasts]
        by_name = {name: [credits[name] for credits in of_items] for name in CAPTION_BASELINES}
        examples = [
            WordExample(contrast.negated, contrast.negated_is_true, self._fold(match))
            for match in chosen
            for contrast in match.both
        ]
        return {**by_name, word_baseline.NAME: cross_validated_credits(examples)}

    def _fold(self, match: _Match) -> int:
        """Return one fold for both items, so that the words of the other folds are balanced, too.

        A learner that sees one item of a match without the other would expect the wrong label for the other, and that
        would hide what it knows.
        """
        return _order(match.negated_true.id, self._seed)[0] % FOLDS

    def _of_item(self, contrast: Contrast) -> dict[str, float]:
        if contrast.id not in self._known:
            self._known[contrast.id] = {name: _credit(each, contrast) for name, each in CAPTION_BASELINES.items()}
        return self._known[contrast.id]


def _credit(baseline: Callable[[Sequence[str]], Sequence[float]], contrast: Contrast) -> float:
    negated, affirmed = baseline([contrast.negated, contrast.affirmed])
    return 0.5 if negated == affirmed else float((negated > affirmed) == contrast.negated_is_true)


def _without_right(
    matches: Sequence[_Match], chosen: Sequence[_Match], credits: Sequence[float], count: int
) -> list[_Match]:
    """Return `matches` without the `count` last of the chosen ones for which the baseline has the most credit."""
    places = sorted(range(len(chosen)), key=lambda place: (-(credits[2 * place] + credits[2 * place + 1]), -place))
    removed = {chosen[place].negated_true.id for place in places[:count]}
    return [match for match in matches if match.negated_true.id not in removed]


def _placed(chosen: Sequence[_Match], seed: int) -> tuple[PlacedContrast, ...]:
    """Return the items by id; of each label, every other one has its true caption first."""
    placed = []
    for label in (True, False):
        members = [match.negated_true if label else match.affirmed_true for match in chosen]
        members.sort(key=lambda item: (_order(f"place:{item.id}", seed), item.id))
        placed += [PlacedContrast(contrast, number % 2) for number, contrast in enumerate(members)]
    return tuple(sorted(placed, key=lambda item: item.contrast.id))
