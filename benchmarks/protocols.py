"""The two rules by which scores become right or wrong.

`official` is the published rule bit for bit: the first highest score in the file's order, NaN counting as the highest
(numpy's argmax), right when the boxes are equal. `strict` shuffles the options by a seeded hash of the item's id, calls
a shared highest score wrong and does not accept NaN. Torch-free and pure.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from benchmarks.errors import BenchError
from benchmarks.task import Baseline, BenchItem

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

ProtocolName = Literal["strict", "official"]
PROTOCOLS: Final[tuple[ProtocolName, ...]] = ("strict", "official")
"""In the order in which reports show them."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """A rule and its settings."""

    name: ProtocolName
    seed: int = 0
    """Of the shuffle; `official` has none."""
    allow_nan: bool = False
    """Under `strict`: count NaN as wrong instead of stopping. `official` credits it as published."""


BOTH: Final = tuple(map(Protocol, PROTOCOLS))
"""With their default settings."""


@dataclass(frozen=True, slots=True)
class ItemJudgement:
    """What became of one item."""

    pred: int | None
    """Index of the chosen option in the file's order; None where NaN leaves no choice."""
    correct: bool
    tie: bool
    """The highest score is shared."""
    nan: bool
    """At least one score is NaN."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Where the right picture of a retrieval item came out."""

    rank: int
    """From 1."""
    tie: bool
    """Another picture is exactly as similar to the text as the right one."""
    nan: bool
    """At least one similarity is NaN."""


def protocol(name: str, *, seed: int = 0, allow_nan: bool = False) -> Protocol:
    """The protocol called `name`.

    Raises:
        BenchError: there is none.
    """
    for known in PROTOCOLS:
        if name == known:
            return Protocol(known, seed, allow_nan)
    raise BenchError(f"there is no protocol {name!r}", hint="known: " + ", ".join(PROTOCOLS))


def argmax(scores: Sequence[float]) -> int:
    """numpy's argmax: the first NaN if there is any, else the first of the highest."""
    for place, score in enumerate(scores):
        if math.isnan(score):
            return place
    return max(range(len(scores)), key=scores.__getitem__)


def presented(item: BenchItem, rule: Protocol) -> list[int]:
    """The order in which the options are put, as indices into the file's order."""
    order = list(range(len(item.options)))
    if rule.name == "official":
        return order
    return sorted(order, key=lambda place: hashlib.sha256(f"{rule.seed}\0{item.id}\0{place}".encode()).digest())


def judge(item: BenchItem, scores: Sequence[float], rule: Protocol) -> ItemJudgement:
    """What `rule` says to `scores`, one per option in the file's order.

    Raises:
        BenchError: a score is NaN under `strict`, unless that is allowed.
    """
    if len(scores) != len(item.options):
        raise ValueError(f"{len(scores)} scores for the {len(item.options)} options of item {item.id}")
    nan = any(map(math.isnan, scores))
    order = presented(item, rule)
    pred = order[argmax([scores[place] for place in order])]
    tie = not nan and sum(score == scores[pred] for score in scores) > 1
    if rule.name == "official":
        return ItemJudgement(pred, _is_right(item, pred, rule), tie, nan)
    if nan:
        _refuse_nan(item, rule)
        return ItemJudgement(None, False, tie, nan)
    return ItemJudgement(pred, _is_right(item, pred, rule) and not tie, tie, nan)


def judge_rank(item: BenchItem, similarities: npt.NDArray[np.float32], rule: Protocol) -> Ranking:
    """Where the right picture stands among `similarities` (G,), one per picture of the gallery.

    `official` ranks by a stable sort, so earlier pictures win ties and NaN comes last; `strict` lets every tie win
    against the target. Published recall has no rule for ties.

    Raises:
        BenchError: a similarity is NaN under `strict`, unless that is allowed.
    """
    target = float(similarities[item.target])
    sound = abs(similarities) <= math.inf  # all but NaN
    same, higher = (~sound, sound) if math.isnan(target) else (similarities == target, similarities > target)
    nan, earlier = not sound.all(), int(same[: item.target].sum())
    shared = int(same.sum()) - 1
    if rule.name == "official":
        return Ranking(1 + int(higher.sum()) + earlier, shared > 0, nan)
    if nan:
        _refuse_nan(item, rule)
        return Ranking(len(similarities), False, nan)
    return Ranking(1 + int(higher.sum()) + shared, shared > 0, nan)


@dataclass(frozen=True, slots=True)
class Credit:
    """What a blind guess is worth on one item."""

    right: float
    """The chance that it is right, 0..1."""
    tied: bool
    """It cannot tell some of the boxes that it likes best apart."""


def blind_credit(item: BenchItem, baseline: Baseline, rule: Protocol) -> Credit:
    """What a baseline that sees only the boxes, in the order presented, is right about on average.

    Of k boxes that it likes equally it takes any, so it is credited with the share of them that is right: the value
    expected of whoever then flips a coin. Models are judged otherwise (`judge`): a model that cannot tell is broken or
    says the same to everything, while a guess such as "the smaller box" merely has nothing to go by where the boxes
    are of one size. Calling its ties wrong would say 0 % where it is worth chance, and giving them to the first box
    100 %: both would make the model beside it look like something else than it is. On NegRefCOCOg no two boxes of an
    item have the same area, so "the smaller box" is right for 252 of 440 under any rule.
    """
    order = presented(item, rule)
    shown = baseline([item.options[place] for place in order])
    best = [place for place, score in zip(order, shown, strict=True) if score == max(shown)]
    right = [_is_right(item, place, rule) for place in best]
    return Credit(sum(right) / len(right), len(best) > 1)


def _is_right(item: BenchItem, place: int, rule: Protocol) -> bool:
    # Equal boxes, not equal places: that is what the published loop compares.
    return item.options[place] == item.options[item.target] if rule.name == "official" else place == item.target


def _refuse_nan(item: BenchItem, rule: Protocol) -> None:
    if not rule.allow_nan:
        raise BenchError(
            f"item {item.id} ({item.image}): its score is NaN",
            hint="the model is broken or its precision too low; --allow-nan counts such items wrong",
        )
