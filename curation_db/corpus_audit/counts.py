"""Counts of an audit: integers that merge in any order and grouping, so that processes and parts combine exactly.

For each group of cues the sums hold what the intervals need: the number of captions with a cue of the group, and the
sums of h, h^2 and h*w over the captions, where h is the number of words of a caption in which a cue of the group
begins, and w the number of its words. A word is text between white space.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from curation_db.corpus_audit.word_class import word_class
from curation_db.language.negation_cues import Cue, CueClass

MOST_TARGETS: Final = 200_000
"""Different targets in one part of the corpus; then all but the `_KEPT_TARGETS` most frequent are counted together."""
_KEPT_TARGETS: Final = 20_000
_LONGEST_TARGET: Final = 60


class Group(StrEnum):
    """By what the cues are grouped."""

    ALL = "all"
    USE = "use"
    """negates, or mention: words quoted from the image"""
    CLASS = "class"
    CUE = "cue"
    POSITION = "position"
    TYPE = "type"
    """What the cue negates: absence, attribute, action, relation, other."""


ANY: Final = "any cue"
NEGATES: Final = "negates"
MENTION: Final = "mention"


@dataclass(slots=True)
class CueSums:
    """Sums over the captions for one group of cues."""

    captions: int = 0
    """Captions with h > 0."""
    hits: int = 0
    """Sum of h."""
    squares: int = 0
    """Sum of h^2."""
    products: int = 0
    """Sum of h * w."""

    def add(self, hits: int, words: int) -> None:
        """Add one caption with `hits` of its `words`."""
        self.captions += 1
        self.hits += hits
        self.squares += hits * hits
        self.products += hits * words

    def merge(self, other: CueSums) -> None:
        """Add the sums over other captions."""
        self.captions += other.captions
        self.hits += other.hits
        self.squares += other.squares
        self.products += other.products


@dataclass(slots=True)
class AuditCounts:
    """The counts of some captions."""

    captions: int = 0
    words: int = 0
    word_squares: int = 0
    """Sum of w^2."""
    empty: int = 0
    """Rows without a text; they are no captions."""
    sums: dict[tuple[Group, str], CueSums] = field(default_factory=dict)
    targets: Counter[str] = field(default_factory=Counter)
    """Number of cues by the head word of the negated phrase, mentions left out."""
    rare_targets: int = 0
    """Cues whose target was dropped from `targets`, because the part had too many."""
    without_target: int = 0

    def add_captions(self, captions: int, words: int, word_squares: int) -> None:
        """Add captions, of which those with cues are also given to `add_cues`."""
        self.captions += captions
        self.words += words
        self.word_squares += word_squares

    def add_cues(self, text: str, words: int, cues: Sequence[Cue]) -> None:
        """Add the cues of one caption, which has at least one."""
        for key, hits in _hits(text, cues).items():
            sums = self.sums.get(key)
            if sums is None:
                sums = self.sums[key] = CueSums()
            sums.add(hits, words)
        for cue in cues:
            if cue.cue_class is CueClass.MENTION:
                continue
            if cue.target is None:
                self.without_target += 1
            else:
                self.targets[cue.target[:_LONGEST_TARGET]] += 1
        if len(self.targets) > MOST_TARGETS:
            self._drop_rare_targets()

    def _drop_rare_targets(self) -> None:
        """Keep the most frequent targets. Parts are fixed and merged in order, so every run drops the same."""
        ordered = sorted(self.targets.items(), key=lambda item: (-item[1], item[0]))
        self.targets = Counter(dict(ordered[:_KEPT_TARGETS]))
        self.rare_targets += sum(count for _, count in ordered[_KEPT_TARGETS:])

    def merge(self, other: AuditCounts) -> None:
        """Add the counts of other captions."""
        self.add_captions(other.captions, other.words, other.word_squares)
        self.empty += other.empty
        for key, sums in other.sums.items():
            self.sums.setdefault(key, CueSums()).merge(sums)
        self.targets.update(other.targets)
        self.rare_targets += other.rare_targets
        if len(self.targets) > MOST_TARGETS:
            self._drop_rare_targets()
        self.without_target += other.without_target

    def of(self, group: Group, key: str) -> CueSums:
        """Return the sums of a group; all are 0 for a cue that no caption has."""
        return self.sums.get((group, key), CueSums())

    def keys(self, group: Group) -> list[str]:
        """Return the keys of a group, the most frequent first."""
        found = [(-sums.captions, key) for (each, key), sums in self.sums.items() if each is group]
        return [key for _, key in sorted(found)]

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON types."""
        groups: dict[str, dict[str, list[int]]] = {str(group): {} for group in Group}
        for (group, key), sums in sorted(self.sums.items()):
            groups[group][key] = [sums.captions, sums.hits, sums.squares, sums.products]
        return {
            "captions": self.captions,
            "words": self.words,
            "word_squares": self.word_squares,
            "empty": self.empty,
            "groups": groups,
            "targets": dict(sorted(self.targets.items(), key=lambda item: (-item[1], item[0]))),
            "rare_targets": self.rare_targets,
            "without_target": self.without_target,
        }

    @staticmethod
    def from_json(data: Any) -> AuditCounts:
        """Return the counts of `to_json`.

        Raises:
            ValueError: `data` has another shape.
        """
        try:
            numbers = {name: _natural(data[name]) for name in _NUMBERS}
            sums = {
                (Group(group), str(key)): CueSums(*map(_natural, _four(values)))
                for group, keys in data["groups"].items()
                for key, values in keys.items()
            }
            targets = Counter({str(target): _natural(count) for target, count in data["targets"].items()})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not the counts of an audit: {error}") from None
        return AuditCounts(**numbers, sums=sums, targets=targets)


_NUMBERS: Final = ("captions", "words", "word_squares", "empty", "rare_targets", "without_target")


def _natural(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("a count is not a whole number")
    return value


def _four(values: object) -> list[Any]:
    if not isinstance(values, list) or len(values) != 4:
        raise ValueError("a group has not four sums")
    return values


def _hits(text: str, cues: Sequence[Cue]) -> Mapping[tuple[Group, str], int]:
    """Return for each group of the caption's cues in how many words one of them begins."""
    if len(cues) == 1:
        return dict.fromkeys(_groups(cues[0]), 1)
    words: dict[tuple[Group, str], set[int]] = {}
    for cue in cues:
        before = text[: cue.start]
        start = len(before) - len(before.split()[-1]) if before and not before[-1].isspace() else cue.start
        for key in _groups(cue):
            words.setdefault(key, set()).add(start)
    return {key: len(starts) for key, starts in words.items()}


def _groups(cue: Cue) -> Iterator[tuple[Group, str]]:
    yield Group.ALL, ANY
    yield Group.USE, MENTION if cue.cue_class is CueClass.MENTION else NEGATES
    yield Group.CLASS, str(word_class(cue))
    yield Group.CUE, cue.word
    yield Group.POSITION, str(cue.position)
    yield Group.TYPE, str(cue.negation_type)
