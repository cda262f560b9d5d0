"""Similarity of texts by words."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from curation_db.similarity.words import AskedText, inverse_frequency, words_of

_WORDS = st.sampled_from(["a", "no", "hat", "man", "dog", "park", "with"])
_TEXT = st.lists(_WORDS, min_size=1, max_size=9)
_COUNTS = {"a": 900, "no": 1000, "hat": 4, "man": 90, "dog": 20, "park": 7, "with": 600}
_WEIGHTS = {word: inverse_frequency(1000, count) for word, count in _COUNTS.items()}


def _bm25(asked: list[str], other: list[str]) -> float:
    """The textbook formula, with the length of the asked text as the mean length."""
    total = 0.0
    for word in set(asked):
        f = other.count(word)
        idf = math.log(1 + (1000 - _COUNTS[word] + 0.5) / (_COUNTS[word] + 0.5))
        total += idf * f * 2.2 / (f + 1.2 * (0.25 + 0.75 * len(other) / len(asked))) if f else 0.0
    return total


@given(_TEXT, _TEXT)
def test_the_similarity_is_the_share_of_the_best_score(asked: list[str], other: list[str]) -> None:
    expected = min(1.0, _bm25(asked, other) / _bm25(asked, asked))
    compared = AskedText(asked, _WEIGHTS)
    assert math.isclose(compared.similarity(other), expected)
    assert math.isclose(compared.similarity(asked), 1.0)


def test_a_shared_rare_word_counts_more_than_many_frequent_ones() -> None:
    asked = AskedText(["a", "man", "with", "no", "hat"], _WEIGHTS)
    assert asked.similarity(["hat", "park"]) > asked.similarity(["a", "dog", "with", "no", "park"])
    assert asked.similarity(["dog", "park"]) == asked.similarity([]) == 0


def test_words_are_folded_as_the_full_text_index_folds_them() -> None:
    assert words_of("A Café, not_a ÉCLAIR!", None, "hat") == ["a", "cafe", "not", "a", "eclair", "hat"]
    assert AskedText([], {}).similarity(["a"]) == 0
