"""Whether the texts of an export give away which captions are true, or which were accepted. Pure, but for one query.

A set with hard negatives, which shows a model a true and a false caption of the same image, must pass a gate: a
classifier that never sees an image must not pick the true caption (`trust.blind_classifier`). Telling an original
caption from a negated one is trivially possible and is not the question.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from sqlalchemy import Connection, text

from curation_db.enums import State
from curation_db.exporting.manifest import ExportItem
from curation_db.exporting.training_rows import TrainingRow, row_of
from curation_db.language.object_mentions import affirms
from curation_db.stats.targets import Targets
from curation_db.trust.blind_classifier import (
    BlindResult,
    CaptionPair,
    Progress,
    TextBias,
    balanced,
    blind_accuracy,
    text_bias,
)

MOST_PAIRS: Final = 20_000
"""Larger sets are sampled: the fit takes seconds."""
LEAST_TEXTS: Final = 50
"""Accepted, and rejected, texts that a prediction of accept needs."""
_DECIDED = text("""
    SELECT c.text, c.image_id, s.state FROM candidate c JOIN candidate_state s ON s.candidate_id = c.id
    WHERE s.state IN ('accepted', 'rejected') ORDER BY c.id
""")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HardNegatives:
    """Pairs of a true and a false caption."""

    forward: tuple[CaptionPair, ...] = ()
    """The negated caption is true."""
    reverse: tuple[CaptionPair, ...] = ()
    """The negated caption is false."""

    @property
    def pairs(self) -> tuple[CaptionPair, ...]:
        return self.forward + self.reverse


@dataclass(frozen=True, slots=True)
class GateResult:
    limit: float
    forward: int
    reverse: int
    blind: BlindResult
    """On all pairs, or on the sample."""
    balanced: BlindResult | None
    """On as many forward pairs as reverse ones; None: the gate is passed, or one kind is missing."""

    @property
    def passes(self) -> bool:
        return self.blind.passes(self.limit)

    @property
    def sampled(self) -> bool:
        return self.blind.pairs < self.forward + self.reverse


@dataclass(frozen=True, slots=True)
class TraitShares:
    """Shares of the values of a trait, and how far they are from the target."""

    shares: Mapping[str, float]
    target: Mapping[str, float]

    @property
    def distance(self) -> float:
        """Total variation: the share of pairs that would have to change; 0 without a target."""
        if not self.target:
            return 0.0
        values = self.shares.keys() | self.target.keys()
        return sum(abs(self.shares.get(each, 0.0) - self.target.get(each, 0.0)) for each in values) / 2


@dataclass(frozen=True, slots=True)
class TextReport:
    """What a set of true captions only may teach besides negation."""

    pairs: int
    traits: Mapping[str, TraitShares]
    concept: str | None
    """The most frequent denied concept; None: no pair has a concept."""
    concept_share: float
    bias: TextBias | None = field(default=None)
    """None: fewer than `LEAST_TEXTS` accepted or rejected texts."""
    sampled: bool = False


def hard_negatives(items: Iterable[ExportItem]) -> HardNegatives:
    """Return the pairs that `negwb export-as --hard-negatives` would write (`training_rows.row_of`), if the set has a
    false caption of its own.

    It has one where a text was rejected only because its concept is in the image, or where an original caption affirms
    what the accepted text denies. Otherwise all its captions are true, and the result is empty: the gate is checked
    when a set with derived false captions is written (`workbench.export_formats.derive`).
    """
    forward: list[CaptionPair] = []
    reverse: list[CaptionPair] = []
    has_false = False
    for item in items:
        row = row_of(item, hard_negatives=True)
        if row is None or row.negative is None:
            continue
        (reverse if row.reverse else forward).append(pair_of(row, row.negative))
        has_false = has_false or row.reverse or _is_contradicted(item)
    return HardNegatives(tuple(forward), tuple(reverse)) if has_false else HardNegatives()


def pair_of(row: TrainingRow, negative: str) -> CaptionPair:
    """Return the pair of a row's text and its `negative`, which a model of the set learns to tell apart."""
    return CaptionPair(row.text, negative, (row.item.source, row.item.image_key))


def _is_contradicted(item: ExportItem) -> bool:
    return item.caption is not None and item.concept is not None and affirms(item.caption, item.concept)


def check_gate(
    negatives: HardNegatives, limit: float, *, seed: int = 0, progress: Progress = lambda _done, _total: None
) -> GateResult:
    """Cross-validate the blind classifier on the pairs; more than `MOST_PAIRS` are sampled."""
    blind = blind_accuracy(_sample(negatives.pairs, MOST_PAIRS, seed), progress=progress)
    even = None
    if not blind.passes(limit) and negatives.forward and negatives.reverse:
        pairs = balanced(negatives.forward, negatives.reverse, seed=seed)
        even = blind_accuracy(_sample(pairs, MOST_PAIRS, seed), progress=progress)
    return GateResult(limit, len(negatives.forward), len(negatives.reverse), blind, even)


def text_report(
    items: Iterable[ExportItem],
    targets: Targets,
    decided: tuple[Sequence[tuple[str, int]], Sequence[tuple[str, int]]],
    *,
    seed: int = 0,
    progress: Progress = lambda _done, _total: None,
) -> TextReport:
    """Report on a set of true captions only.

    Args:
        targets: Trait to shares; cue and position are reported.
        decided: Accepted and rejected texts of the record with their images (`decided_texts`).
    """
    counted: dict[str, Counter[str]] = {"cue": Counter(), "position": Counter(), "concept": Counter()}
    pairs = 0
    for item in items:
        pairs += 1
        for name, value in (("cue", item.cue), ("position", item.cue_position), ("concept", item.concept)):
            if value is not None:
                counted[name][value] += 1
    concept, most = min(counted["concept"].items(), key=lambda each: (-each[1], each[0]), default=(None, 0))
    traits = {
        name: TraitShares(
            {value: count / pairs for value, count in sorted(counted[name].items(), key=lambda each: (-each[1], each))},
            targets.get(name, {}),
        )
        for name in ("cue", "position")
    }
    accepted, rejected = decided
    bias = None
    if min(len(accepted), len(rejected)) >= LEAST_TEXTS:
        half = MOST_PAIRS // 2
        bias = text_bias(_sample(accepted, half, seed), _sample(rejected, half, seed), progress=progress)
    sampled = bias is not None and bias.accepted + bias.rejected < len(accepted) + len(rejected)
    return TextReport(pairs, traits, concept, most / pairs if pairs else 0.0, bias, sampled)


def decided_texts(connection: Connection) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Return the accepted and the rejected texts of the record with the numbers of their images."""
    texts: dict[str, list[tuple[str, int]]] = {State.ACCEPTED: [], State.REJECTED: []}
    for row in connection.execute(_DECIDED):
        texts[row.state].append((row.text, row.image_id))
    return texts[State.ACCEPTED], texts[State.REJECTED]


def _sample(rows: Sequence[T], most: int, seed: int) -> Sequence[T]:
    return rows if len(rows) <= most else random.Random(seed).sample(rows, most)
