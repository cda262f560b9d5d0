"""Keys under which texts and concepts count as equal, and counts of them, for the rules that compare candidates.

The keys are pure functions of the text, so a database can store and index them. A rule sees only a `CorpusContext`,
which is built from `count_corpus` or from indexed look-ups.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

from curation_db.language.nouns import concept_key
from curation_db.language.sanitize import normalised

_NUMBERS: Final = {
    word: str(number)
    for number, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
            "twenty",
        ]
    )
}
_CONTRACTED: Final = re.compile("(?i)['’]|cannot")
_ARTICLES: Final = frozenset(("a", "an", "the"))
_NOT: Final = (
    (re.compile(r"(?i)\bcannot\b|\bcan\s?['’]\s?t\b|\bcan\s?n\s?['’]\s?t\b"), "can not"),
    (re.compile(r"(?i)\bwo\s?n\s?['’]\s?t\b"), "will not"),
    (re.compile(r"(?i)(?<=[a-z])\s?n\s?['’]\s?t\b"), " not"),
)


@lru_cache(maxsize=4_096)
def near_text(text: str) -> str:
    """Return the canonical wording of `text`, on which `near_key` is computed.

    Case, punctuation, blanks and a/an/the are dropped, number words to twenty become digits, "isn't", "can't" and
    "won't" become "is not", "can not" and "will not". Word order, singular or plural, and all other words count.
    """
    if _CONTRACTED.search(text):
        for pattern, spelled_out in _NOT:
            text = pattern.sub(spelled_out, text)
    return " ".join(_NUMBERS.get(word, word) for word in normalised(text).split() if word not in _ARTICLES)


def near_key(text: str) -> bytes:
    """Return eight bytes that are equal for texts with the same `near_text`.

    Among a million candidates, the probability that two different texts share a key is 3 in 100 million.
    """
    return blake2b(near_text(text).encode(), digest_size=8).digest()


def same_key(text: str) -> bytes:
    """Return eight bytes that are equal for texts that differ at most in case, punctuation and blanks."""
    return blake2b(normalised(text).encode(), digest_size=8).digest()


class CorpusRow(NamedTuple):
    """The values of one candidate that are counted."""

    image: Hashable
    text: str
    concept: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusContext:
    """How one candidate compares with the other candidates; superseded candidates are not counted."""

    candidates: int
    """Number of candidates, including this one."""
    same_concept: int
    """Number of candidates with the same negated concept, including this one."""
    rank_in_concept: int = 0
    """Position of this candidate among those, in corpus order, from 1; 0: no concept."""
    same_here: int = 0
    """Number of others on the same image with the same `same_key`."""
    near_here: int = 0
    """Number of others on the same image with the same `near_key` but another `same_key`."""
    near_elsewhere: int = 0
    """Number of others on other images with the same `near_key`."""


@dataclass(frozen=True, slots=True)
class CorpusTextCounts:
    """Counts over a corpus, by key; `near_here` and `same_here` by (image, key)."""

    candidates: int
    concepts: Mapping[str, int]
    near: Mapping[bytes, int]
    near_here: Mapping[tuple[Hashable, bytes], int]
    same_here: Mapping[tuple[Hashable, bytes], int]


def count_corpus(rows: Iterable[CorpusRow]) -> CorpusTextCounts:
    """Count the corpus for `corpus_context`; the result needs about 30 bytes per candidate."""
    candidates = 0
    concepts: Counter[str] = Counter()
    near: Counter[bytes] = Counter()
    near_here: Counter[tuple[Hashable, bytes]] = Counter()
    same_here: Counter[tuple[Hashable, bytes]] = Counter()
    for row in rows:
        candidates += 1
        if row.concept:
            concepts[concept_key(row.concept)] += 1
        key = near_key(row.text)
        near[key] += 1
        near_here[row.image, key] += 1
        same_here[row.image, same_key(row.text)] += 1
    return CorpusTextCounts(candidates, concepts, near, near_here, same_here)


def corpus_context(counts: CorpusTextCounts, row: CorpusRow, *, rank_in_concept: int = 0) -> CorpusContext:
    """Return the context of `row`, which `counts` include; `rank_in_concept` comes from `ConceptRanks`."""
    key = near_key(row.text)
    near_here = counts.near_here.get((row.image, key), 1)
    same_here = counts.same_here.get((row.image, same_key(row.text)), 1)
    return CorpusContext(
        candidates=counts.candidates,
        same_concept=counts.concepts.get(concept_key(row.concept), 0) if row.concept else 0,
        rank_in_concept=rank_in_concept,
        same_here=same_here - 1,
        near_here=near_here - same_here,
        near_elsewhere=counts.near.get(key, near_here) - near_here,
    )


class ConceptRanks:
    """Running rank of each candidate among those with the same concept, in corpus order."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def next_rank(self, concept: str | None) -> int:
        """Return the rank, from 1, of the next candidate with `concept`; 0 without a concept."""
        if not concept:
            return 0
        key = concept_key(concept)
        self._counts[key] += 1
        return self._counts[key]
