"""Similarity of texts by their words: BM25 with the document frequencies of the record, as a share of the best score.

    similarity(q, d) = sum over the words t of q of idf(t) * part(t, d)  /  the same sum for d = q
    idf(t)     = ln(1 + (N - n(t) + 0.5) / (n(t) + 0.5)), with n(t) of N texts that contain t
    part(t, d) = f * (k1 + 1) / (f + k1 * (1 - b + b * |d| / |q|)), with t occurring f times in d; k1 = 1.2, b = 0.75

The length is compared with that of the asked text, so an equal text has similarity 1. Pure.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

_K1: Final = 1.2
_B: Final = 0.75
_WORD: Final = re.compile(r"[^\W_]+")


def words_of(*texts: str | None) -> list[str]:
    """Return the words of the texts in the form of the full-text index: lower case, without diacritics."""
    joined = unicodedata.normalize("NFKD", " ".join(filter(None, texts)).lower())
    return _WORD.findall("".join(letter for letter in joined if not unicodedata.combining(letter)))


def inverse_frequency(texts: int, with_word: int) -> float:
    """Return the weight of a word that `with_word` of `texts` texts contain; never negative."""
    counted = min(max(with_word, 1), texts)
    return math.log(1 + (texts - counted + 0.5) / (counted + 0.5))


class AskedText:
    """The text to which others are compared."""

    def __init__(self, words: Sequence[str], weights: Mapping[str, float]) -> None:
        """Args: weights: `inverse_frequency` of each word of the text; words that are missing here count nothing."""
        self._weights = {word: weights[word] for word in words if word in weights}
        self._length = len(words)
        self._best = self._score(words)

    def similarity(self, words: Sequence[str]) -> float:
        """Return the similarity of a text with these words, from 0 (no word in common) to 1."""
        return min(1.0, self._score(words) / self._best) if self._best > 0 else 0.0

    def _score(self, words: Sequence[str]) -> float:
        common = Counter(word for word in words if word in self._weights)
        longer = _K1 * (1 - _B + _B * len(words) / max(self._length, 1))
        return sum(self._weights[word] * n * (_K1 + 1) / (n + longer) for word, n in common.items())
