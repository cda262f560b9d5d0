"""A blind classifier: guesses from the words of an item alone which of its two captions is true.

Multinomial naive Bayes over the words and word pairs of the negated caption, with add-one smoothing (Manning et al.
2008, section 13.2), cross-validated: an item is judged by counts from the items of the other folds. It finds what
models could exploit without the image, for example that "hat" is mostly denied truly.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

NAME: Final = "word n-grams"
"""Name of the baseline beside those of `benchmarks.baselines`."""
FOLDS: Final = 5
_WORD: Final = re.compile(r"[\w'’-]+")


class WordExample(NamedTuple):
    text: str
    label: bool
    fold: int
    """0..`FOLDS` - 1; items that share what a learner must not see twice (an image, a match) share a fold."""


def cross_validated_credits(examples: Sequence[WordExample]) -> list[float]:
    """Return for each example the credit of the classifier: 1 right, 0 wrong, 0.5 if both labels are equally likely."""
    words = [_ngrams(example.text) for example in examples]
    counts = {(fold, label): Counter[str]() for fold in range(FOLDS) for label in (False, True)}
    sizes: Counter[tuple[int, bool]] = Counter()
    for example, found in zip(examples, words, strict=True):
        counts[example.fold, example.label].update(found)
        sizes[example.fold, example.label] += 1
    vocabulary = len({word for found in words for word in found})
    totals = {label: sum((counts[fold, label] for fold in range(FOLDS)), Counter[str]()) for label in (False, True)}
    masses = {key: sum(counter.values()) for key, counter in counts.items()}

    def evidence(found: Sequence[str], fold: int, label: bool) -> float:
        others = sum(sizes[other, label] for other in range(FOLDS) if other != fold)
        mass = sum(masses[other, label] for other in range(FOLDS) if other != fold) + vocabulary
        held_out, total = counts[fold, label], totals[label]
        words_of = sum(math.log((total[word] - held_out[word] + 1) / mass) for word in found)
        return math.log(others + 1) + words_of

    credits = []
    for example, found in zip(examples, words, strict=True):
        margin = evidence(found, example.fold, label=True) - evidence(found, example.fold, label=False)
        credits.append(0.5 if abs(margin) < 1e-9 else float((margin > 0) == example.label))
    return credits


def _ngrams(text: str) -> list[str]:
    words = _WORD.findall(text.lower())
    return words + [f"{first} {second}" for first, second in pairwise(words)]
