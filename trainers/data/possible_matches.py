"""Which images a negated text may be true of: by the decisions of the export, or else by the words of captions.

"A dog with no hat" retrieves dogs with a hat, which are good negatives, and dogs without one, of which it is true. Does
not import torch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from curation_db.language import negation_lexicon as lexicon
from curation_db.language.negation_cues import Cue, CueClass, find_cues
from curation_db.language.nouns import concept_key, core_words, stem
from curation_db.language.object_mentions import names_of
from curation_db.language.sanitize import normalised

_FUNCTION_WORDS: Final = lexicon.NEVER_HEADS | lexicon.DETERMINERS


@dataclass(slots=True)
class ImageFacts:
    """What is known of an image."""

    captions: list[str] = field(default_factory=list)
    """Captions that people wrote."""
    absent: list[str] = field(default_factory=list)
    """Concepts that a pair of the export negates: a person or the judges decided that they are not in the image."""
    present: list[str] = field(default_factory=list)
    """Concepts whose negation was rejected, because they are in the image."""


@dataclass(frozen=True, slots=True)
class Matches:
    """Images, by row, that a text may be true of."""

    by_decision: frozenset[int]
    """The negated concept was decided to be absent."""
    by_words: frozenset[int]
    """No caption mentions the negated concept, and the captions have all other content words of the text."""


class PossibleMatches:
    """Index over images for `of`: a text may be true of an image unless the image is known to have the concept."""

    def __init__(self, images: Sequence[ImageFacts]) -> None:
        self._count = len(images)
        self._rows_by_stem: dict[str, set[int]] = defaultdict(set)
        self._absent: dict[str, set[int]] = defaultdict(set)
        self._present: dict[str, set[int]] = defaultdict(set)
        self._mentioned: dict[str, frozenset[int]] = {}
        for row, facts in enumerate(images):
            for caption in facts.captions:
                for word in _affirmed_stems(caption, find_cues(caption)):
                    self._rows_by_stem[word].add(row)
            for concepts, rows in ((facts.absent, self._absent), (facts.present, self._present)):
                for concept in concepts:
                    rows[concept_key(concept)].add(row)

    def of(self, text: str, concept: str | None) -> Matches:
        """Return the images that `text` may be true of.

        Args:
            text: a negated text.
            concept: the concept that it negates; None: the concept of its first cue, where it has one.
        """
        cues = find_cues(text)
        concept = negated_concept(text, concept)
        matching = self._with_all({*_affirmed_stems(text, cues)} - _FUNCTION_STEMS)
        if concept is None:
            return Matches(frozenset(), frozenset(matching))
        key = concept_key(concept)
        absent = self._absent.get(key, frozenset[int]())
        present = self._mentions(concept) | self._present.get(key, frozenset[int]())
        return Matches(frozenset(absent), frozenset(matching - present - absent))

    def showing(self, concept: str) -> frozenset[int]:
        """Return the images with a caption that affirms the concept, without those where it was decided absent."""
        return self._mentions(concept) - self._absent.get(concept_key(concept), set())

    def _mentions(self, concept: str) -> frozenset[int]:
        """Return the images with a caption that affirms the concept, by its name or a synonym."""
        if (known := self._mentioned.get(concept)) is None:
            rows = set[int]()
            for name in names_of(concept):
                if words := {stem(word) for word in core_words(name)}:
                    rows |= self._with_all(words)
            known = self._mentioned[concept] = frozenset(rows)
        return known

    def _with_all(self, stems: Iterable[str]) -> set[int]:
        """Return the images whose captions have all these stems; all images without any stem."""
        sets = sorted((self._rows_by_stem.get(each, set()) for each in stems), key=len)
        return set.intersection(*sets) if sets else set(range(self._count))


def _affirmed_stems(text: str, cues: Sequence[Cue]) -> Iterable[str]:
    """Yield the stems of the words outside of negated scopes, without the cues themselves."""
    at, parts = 0, []
    for cue in cues:
        if cue.cue_class is CueClass.MENTION:
            continue
        start, end = min(cue.start, cue.scope_start), max(cue.end, cue.scope_end)
        parts.append(text[at : max(at, start)])
        at = max(at, end)
    parts.append(text[at:])
    return (stem(word) for word in normalised(" ".join(parts)).split())


def negated_concept(text: str, concept: str | None) -> str | None:
    """Return `concept`, or where it is not known the concept of the first cue of `text`, where that has one."""
    if concept:
        return concept
    spans = (cue.concept_span for cue in find_cues(text) if cue.cue_class is not CueClass.MENTION)
    return next((text[slice(*span)] for span in spans if span is not None), None)


_FUNCTION_STEMS: Final = frozenset(stem(word) for word in _FUNCTION_WORDS)
