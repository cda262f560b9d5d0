"""The two protocols that decide whether an answer is right.

`official` is the published rule: the first highest score in the file's order is chosen, NaN is the highest (numpy's
argmax), and the answer is right if the chosen box equals the right box. `strict` shuffles the options by a seeded hash
of the item's id, counts a tie of the highest score as wrong, and does not allow NaN. Does not import torch.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from benchmarks.errors import BenchError
from benchmarks.task import Baseline, BenchItem, OfficialRule
from benchmarks.twins import has_tie, images_right, texts_right

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

ProtocolName = Literal["strict", "official"]
PROTOCOLS: Final[tuple[ProtocolName, ...]] = ("strict", "official")
"""Protocols in the order of reports."""


@dataclass(frozen=True, slots=True)
class Protocol:
    name: ProtocolName
    seed: int = 0
    """Seed of the shuffle; unused by `official`."""
    allow_nan: bool = False
    """Under `strict`: count NaN as wrong instead of raising an error. `official` handles NaN as published."""


BOTH_PROTOCOLS: Final = tuple(map(Protocol, PROTOCOLS))
"""Both protocols with their default settings."""


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    pred: int | None
    """Index of the chosen option in the file's order; None if NaN allows no choice."""
    correct: bool
    tie: bool
    """The highest score is shared."""
    nan: bool
    """At least one score is NaN."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The rank of the right option of a retrieval item; of several, the best rank."""

    rank: int
    """From 1."""
    tie: bool
    """A wrong option has exactly the same similarity as the right one."""
    nan: bool
    """At least one similarity is NaN."""


def argmax(scores: Sequence[float]) -> int:
    """Return numpy's argmax: the index of the first NaN if there is any, else of the first highest score."""
    for place, score in enumerate(scores):
        if math.isnan(score):
            return place
    return max(range(len(scores)), key=scores.__getitem__)


def presented_order(item: BenchItem, rule: Protocol) -> list[int]:
    """Return the order in which the options are presented, as indices into the file's order."""
    order = list(range(len(item.choices)))
    if rule.name == "official":
        return order
    return sorted(order, key=lambda place: hashlib.sha256(f"{rule.seed}\0{item.id}\0{place}".encode()).digest())


def judge(
    item: BenchItem, scores: Sequence[float], rule: Protocol, *, official: OfficialRule = "argmax"
) -> ItemOutcome:
    """Judge an item of a regions or captions task.

    Args:
        scores: One score per option, in the file's order.
        official: Choice of the published code of the task, for the protocol of that name.

    Raises:
        BenchError: A score is NaN, and `strict` does not allow NaN.
    """
    if len(scores) != len(item.choices):
        raise ValueError(f"{len(scores)} scores for the {len(item.choices)} options of item {item.id}")
    nan = any(map(math.isnan, scores))
    order = presented_order(item, rule)
    pred = order[argmax([scores[place] for place in order])]
    tie = not nan and sum(score == scores[pred] for score in scores) > 1
    if rule.name == "official" and official == "greater":
        others = (score for place, score in enumerate(scores) if place != item.target)
        right = all(scores[item.target] > score for score in others)
        return ItemOutcome(None if nan else pred, right, tie, nan)
    if rule.name == "official":
        return ItemOutcome(pred, _is_right(item, pred, rule), tie, nan)
    if nan:
        refuse_nan(item, rule)
        return ItemOutcome(None, False, tie, nan)
    return ItemOutcome(pred, _is_right(item, pred, rule) and not tie, tie, nan)


def judge_rank(
    item: BenchItem, similarities: npt.NDArray[np.float32], rule: Protocol, *, nan_first: bool = False
) -> Ranking:
    """Return the best rank of a right option of a retrieval or classification item, in a gallery.

    `official` ranks by a stable sort: earlier options win ties, and NaN comes last. `strict` ranks all tied wrong
    options before the right one. Published recall defines no rule for ties.

    Args:
        similarities: Shape (G,), one similarity per option of the gallery.
        nan_first: NaN comes first under `official`, as in the argmax of published classification.

    Raises:
        BenchError: A similarity is NaN, and `strict` does not allow NaN.
    """
    sound = abs(similarities) <= math.inf  # all but NaN
    nan, tie = not sound.all(), _has_rank_tie(item, similarities)
    if nan and nan_first and rule.name == "official":
        similarities = similarities.copy()
        similarities[~sound] = math.inf
        sound[:] = True
    best = best_right(item, similarities)
    target = float(similarities[best])
    same, higher = (~sound, sound) if math.isnan(target) else (similarities == target, similarities > target)
    same[[item.target, *item.also_right]] = False
    earlier, shared = int(same[:best].sum()), int(same.sum())
    if rule.name == "official":
        return Ranking(1 + int(higher.sum()) + earlier, tie, nan)
    if nan:
        refuse_nan(item, rule)
        return Ranking(len(similarities), False, nan)
    return Ranking(1 + int(higher.sum()) + shared, tie, nan)


def _has_rank_tie(item: BenchItem, similarities: npt.NDArray[np.float32]) -> bool:
    """Return whether a wrong option has the same similarity as the best right one; NaN equals nothing."""
    equal = similarities == similarities[best_right(item, similarities)]
    equal[[item.target, *item.also_right]] = False
    return bool(equal.any())


def judge_twins(item: BenchItem, scores: Sequence[float], rule: Protocol) -> ItemOutcome:
    """Judge a twins item: right only if all four comparisons are; a tie is wrong under both protocols.

    Args:
        scores: First image with both texts, then second image with both texts.

    Raises:
        BenchError: A score is NaN, and `strict` does not allow NaN.
    """
    nan = any(map(math.isnan, scores))
    if nan and rule.name == "strict":
        refuse_nan(item, rule)
    right = texts_right(scores) and images_right(scores)
    return ItemOutcome(None if nan else argmax(scores), right, not nan and has_tie(scores), nan)


def best_right(item: BenchItem, similarities: npt.NDArray[np.float32]) -> int:
    """Return the index of the right option with the highest similarity, of equal ones the first; NaN is the lowest."""
    right = (item.target, *item.also_right)
    return max(right, key=lambda place: (not math.isnan(similarities[place]), similarities[place], -place))


@dataclass(frozen=True, slots=True)
class BaselineCredit:
    """The expected score of a baseline on one item."""

    right: float
    """Probability of the right answer, 0..1."""
    tied: bool
    """Whether several boxes have the highest score."""


def baseline_credit(item: BenchItem, baseline: Baseline, rule: Protocol) -> BaselineCredit:
    """Return the expected score of a baseline on one item; the baseline gets the options in the presented order.

    With a tie of k boxes the credit is the share of right boxes among them, the expected value of a random choice.
    Ties of a model are judged differently (`judge`): a model with ties is broken or gives the same answer to
    everything, while a baseline such as "smaller box" has no information if the boxes have the same size. If its ties
    counted as wrong, it would score 0 % at chance level; if the first box won, 100 %. Both would make the model look
    better or worse than it is. On NegRefCOCOg no two boxes of an item have the same area, so "smaller box" is right for
    252 of 440 items under any rule.
    """
    order = presented_order(item, rule)
    shown = baseline([item.choices[place] for place in order])
    best = [place for place, score in zip(order, shown, strict=True) if score == max(shown)]
    right = [_is_right(item, place, rule) for place in best]
    return BaselineCredit(sum(right) / len(right), len(best) > 1)


def _is_right(item: BenchItem, place: int, rule: Protocol) -> bool:
    if rule.name == "official" and item.options:  # the published code compares boxes, not indices
        return item.options[place] == item.options[item.target]
    return place == item.target


def refuse_nan(item: BenchItem, rule: Protocol) -> None:
    """Refuse a score that is NaN under `strict`.

    Raises:
        BenchError: The rule does not allow NaN; the message names the item.
    """
    if not rule.allow_nan:
        raise BenchError(
            f"item {item.id} ({item.image or item.text}): the score is NaN",
            hint="the model is broken or its precision too low; --allow-nan counts such items as wrong",
        )
