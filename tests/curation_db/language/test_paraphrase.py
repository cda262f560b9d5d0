"""Paraphrases of denials: another wording of the same negation, or none."""

from __future__ import annotations

import pytest

from curation_db.language.affirmation import affirmed
from curation_db.language.negation_cues import find_cues
from curation_db.language.object_mentions import negating_cue
from curation_db.language.paraphrase import paraphrased

CASES = [
    ("a woman riding a horse without a hat", "hat", "a woman riding a horse with no hat"),
    ("A man without glasses", "glasses", "A man with no glasses"),
    ("a kitchen with a sink but no refrigerator", "refrigerator", "a kitchen with a sink but without a refrigerator"),
    ("a street with no cars", "cars", "a street without cars"),
    ("there is no book on the table", "book", "there is not a book on the table"),
    ("There are no people in the room", "people", "There are not any people in the room"),
    ("the man is not wearing a hat", "hat", "the man is wearing no hat"),
    ("the man isn't wearing a hat", "hat", "the man is wearing no hat"),
    ("two dogs not wearing collars", "collars", "two dogs wearing no collars"),
    ("a dog that does not have a collar", "collar", "a dog that has no collar"),
    ("a cat has no tail", "tail", "a cat does not have a tail"),
    ("a man wearing no hat", "hat", "a man not wearing a hat"),
    ("the man isn't sitting", "sitting", "the man is not sitting"),
    ("a red car is not parked here", "parked", "a red car isn't parked here"),
]


@pytest.mark.parametrize(("text", "concept", "expected"), CASES)
def test_the_paraphrase_negates_the_same_concept(text: str, concept: str, expected: str) -> None:
    assert paraphrased(text, concept) == expected
    assert negating_cue(expected, concept) is not None
    twin = affirmed(text, concept)
    assert twin is not None
    assert not find_cues(twin)


@pytest.mark.parametrize(
    ("text", "concept"),
    [
        ("a man without his hat", "hat"),  # "with no his hat"
        ("a woman without wearing a hat", "hat"),
        ("a dog without a hat and no collar", "hat"),  # two cues
        ("a dog in a field", "hat"),
        ("a no parking sign", "parking"),
        ("a dog without a hat", "collar"),  # another concept
    ],
)
def test_a_doubtful_text_has_no_paraphrase(text: str, concept: str) -> None:
    assert paraphrased(text, concept) is None
