"""The classifier that sees only texts: sets that give the answer away, and sets that do not."""

from __future__ import annotations

import random

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from curation_db.trust.blind_classifier import CaptionPair, _Differences, _fit, balanced, blind_accuracy, ngrams

THINGS = ("hat", "dog", "bench", "kite", "cup", "umbrella")
PLACES = ("beach", "street", "kitchen", "field")


def pair(draw: random.Random, image: int, *, forward: bool) -> CaptionPair:
    thing, place = draw.choice(THINGS), draw.choice(PLACES)
    negated, affirmed = f"a man in a {place} without a {thing}", f"a man in a {place} with a {thing}"
    return CaptionPair(negated, affirmed, image) if forward else CaptionPair(affirmed, negated, image)


def test_negated_captions_that_are_always_true_give_the_answer_away() -> None:
    draw = random.Random(0)
    result = blind_accuracy([pair(draw, image, forward=True) for image in range(200)])
    assert result.accuracy.estimate == 1.0
    assert not result.passes()
    assert {gram for gram, weight in result.habits if weight > 0} >= {"without", "without a"}
    assert {gram for gram, weight in result.habits if weight < 0} >= {"with", "with a"}


def test_a_balanced_set_does_not() -> None:
    draw = random.Random(1)
    forward = [pair(draw, image, forward=True) for image in range(900)]
    reverse = [pair(draw, image, forward=False) for image in range(900, 1300)]
    assert not blind_accuracy(forward + reverse).passes()
    chosen = balanced(forward, reverse)
    assert len(chosen) == 800
    assert sum(each in forward for each in chosen) == 400
    assert balanced(forward[::-1], reverse[::-1]) == chosen
    result = blind_accuracy(chosen)
    assert 0.4 < result.accuracy.estimate < 0.55
    assert result.passes()


def test_pairs_of_one_image_are_never_on_both_sides() -> None:
    """Each image has one word of its own on its true captions: it helps only where the image was seen."""
    pairs = [
        CaptionPair(f"word{image} {number}", f"other{image} {number}", image)
        for image in range(120)
        for number in range(4)
    ]
    accuracy = blind_accuracy(pairs).accuracy.estimate
    leaking = [CaptionPair(each.true, each.false, number) for number, each in enumerate(pairs)]
    assert accuracy < 0.65
    assert blind_accuracy(leaking).accuracy.estimate > 0.9


def test_the_weights_are_those_of_scikit_learn() -> None:
    draw = random.Random(3)
    pairs = [pair(draw, image, forward=draw.random() < 0.7) for image in range(150)]
    vocabulary: dict[str, int] = {}
    ours = _fit(_Differences.of(pairs, vocabulary))
    counter = CountVectorizer(analyzer=ngrams, vocabulary=list(vocabulary))
    x = counter.transform([each.true for each in pairs]) - counter.transform([each.false for each in pairs])
    both, y = np.vstack([x.toarray(), -x.toarray()]), np.array([1] * len(pairs) + [0] * len(pairs))
    theirs = LogisticRegression(C=0.5, fit_intercept=False, tol=1e-10, max_iter=10_000).fit(both, y)
    assert ours == pytest.approx(theirs.coef_[0], abs=2e-2)


def test_equal_texts_are_ties_and_no_pairs_pass() -> None:
    result = blind_accuracy([CaptionPair("a man", "a man", image) for image in range(10)])
    assert result.accuracy.estimate == 0.5
    nothing = blind_accuracy([])
    assert (nothing.pairs, nothing.passes()) == (0, True)


def test_any_text_is_split_into_words() -> None:
    grams = ngrams("A dog, isn't!")
    assert grams[:7] == ["<", "a", "dog", ",", "isn't", "!", ">"]
    assert grams[7:] == ["< a", "a dog", "dog ,", ", isn't", "isn't !", "! >"]
    assert ngrams("") == ["<", ">", "< >"]
    assert ngrams("\x00\u202e") == ["<", "\x00", "\u202e", ">", "< \x00", "\x00 \u202e", "\u202e >"]
