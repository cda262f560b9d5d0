"""Images that a negated text may be true of, by the decisions of an export and by the words of captions."""

from __future__ import annotations

import pytest

from trainers.data.possible_matches import ImageFacts, PossibleMatches

TEXT = "a man but no hat"


@pytest.mark.parametrize(
    ("captions", "by_words"),
    [
        (["a man on a horse"], True),
        (["men on horses"], True),
        (["a man in a hat"], False),
        (["a man on a horse", "someone wears hats"], False),
        (["a woman on a horse"], False),
        (["a man without a hat"], True),
        (["a dog near no man"], False),
        ([], False),
    ],
)
def test_by_the_words_of_captions(captions: list[str], by_words: bool) -> None:
    matches = PossibleMatches([ImageFacts(captions)]).of(TEXT, "hat")
    assert (matches.by_words, matches.by_decision) == (frozenset([0] if by_words else []), frozenset())


def test_a_synonym_and_a_kind_are_mentions_of_the_concept() -> None:
    index = PossibleMatches([ImageFacts(["a man at a television"]), ImageFacts(["a man at a desk"])])
    assert index.of("a man with no tv", "tv").by_words == {1}


def test_a_decision_goes_before_the_words() -> None:
    """By a decision the concept is absent from 0 and in 1, whatever their captions say."""
    index = PossibleMatches(
        [
            ImageFacts(["a cat in a hat"], absent=["hats"]),
            ImageFacts(["a man on a horse"], present=["hat"]),
            ImageFacts(["a man on a bench"], absent=["dog"]),
        ]
    )
    matches = index.of(TEXT, "hat")
    assert (matches.by_decision, matches.by_words) == ({0}, {2})


def test_without_a_concept_the_first_cue_names_it() -> None:
    index = PossibleMatches([ImageFacts(["a man in a hat"]), ImageFacts(["a man on a horse"])])
    assert index.of(TEXT, None) == index.of(TEXT, "hat")
    assert index.of("a man", None).by_words == {0, 1}, "no cue: the words alone"
