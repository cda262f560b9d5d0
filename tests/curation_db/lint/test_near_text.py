"""Canonical wording of `near_text` and the equality of its keys."""

from __future__ import annotations

import pytest

from curation_db.lint.corpus_counts import near_key, near_text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("The dog won't sit.", "dog will not sit"),
        ("the dog wo n't sit", "dog will not sit"),
        ("A dog WON’T sit", "dog will not sit"),
        ("the dog wo n ' t sit", "dog will not sit"),
        ("the dog can't sit", "dog can not sit"),
        ("the dog cannot sit", "dog can not sit"),
        ("the dog isn't here", "dog is not here"),
        ("the dog is n't here", "dog is not here"),
        ("They don't want two hats", "they do not want 2 hats"),
        ("a wont of dogs", "wont of dogs"),
        ("twenty-one dogs", "20 1 dogs"),
    ],
)
def test_canonical_wording(text: str, canonical: str) -> None:
    assert near_text(text) == canonical


@pytest.mark.parametrize("one", ["he won't wave", "He wo n't wave.", "he won’t   wave"])
def test_spellings_of_will_not_have_one_key(one: str) -> None:
    assert near_key(one) == near_key("He will not wave")
    assert near_key(one) != near_key("he will wave")
    assert near_key(one) != near_key("he would not wave")
