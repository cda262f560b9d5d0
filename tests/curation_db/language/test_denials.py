"""Denials in other words, and the roots that they are compared by."""

from __future__ import annotations

import pytest
from support.lint_sample import finds, subject

from curation_db.language.denials import denies
from curation_db.language.object_mentions import negating_cue
from curation_db.language.word_roots import roots
from curation_db.lint.linter import Rule


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tieless", "tie"),
        ("unripe", "ripe"),
        ("windy", "wind"),
        ("icy", "ice"),
        ("foggy", "fog"),
        ("asleep", "sleeping"),
        ("flight", "flying"),
        ("happiness", "happy"),
        ("colourful", "colours"),
        ("bearded", "beard"),
        ("unsliced", "slices"),
    ],
)
def test_words_of_one_root(one: str, other: str) -> None:
    assert roots(one) & roots(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("party", "part"), ("under", "sand"), ("awake", "asleep"), ("lady", "lad"), ("unless", "tie"), ("city", "cite")],
)
def test_words_of_different_roots(one: str, other: str) -> None:
    assert not roots(one) & roots(other)


@pytest.mark.parametrize(
    ("text", "scope", "concept", "denied"),
    [
        ("a man without a tie", "a tie", "wearing a tie", True),
        ("a man without a hat", "a hat", "wearing a tie", False),
        ("tomatoes that are not ripe", "ripe", "ripe tomatoes", True),
        ("ripe fruit and no tomatoes", "tomatoes", "ripe tomatoes", False),  # the fruit are ripe
        ("a dog without a leash", "a leash", "dog on a leash", True),
        ("a leash but no dog", "dog", "dog on a leash", False),
        ("a lamp that is not on", "on", "lamp on", True),
        ("a lamp without a shade", "a shade", "lamp on", False),
    ],
)
def test_a_cue_must_deny_what_the_concept_says_of_the_thing(text: str, scope: str, concept: str, denied: bool) -> None:
    assert denies(text, scope, concept) is denied


def test_the_cue_of_a_denial_in_other_words_is_the_cue_of_the_concept() -> None:
    text = "a hatless man who is not asleep"
    cues = [negating_cue(text, concept) for concept in ("wearing a hat", "sleeping", "wearing a tie")]
    assert [cue and cue.text for cue in cues] == ["hatless", "not", None]


@pytest.mark.parametrize(
    ("text", "concept", "lost"),
    [
        ("a tieless man in a park", "wearing a tie", False),
        ("a man without a tie", "wearing a tie", False),
        ("a dog that isn't asleep", "sleeping", False),
        ("a street with no wind", "windy", False),
        ("an unwrapped gift", "wrapped gift", False),
        ("a tieless man in a park", "wearing a hat", True),
        ("a dog that isn't awake", "sleeping", True),
        ("a street with no rain", "windy", True),
        ("an unopened gift", "wrapped gift", True),
        ("a bearded man without a hat", "wearing a tie", True),
    ],
)
def test_a_natural_denial_does_not_lose_the_concept(text: str, concept: str, lost: bool) -> None:
    assert finds(Rule.CONCEPT_LOST, subject(text, concept)) is lost
