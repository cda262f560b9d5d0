"""The caption without its negation."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from curation_db.language.affirmation import affirmed
from curation_db.language.negation_cues import find_cues


@pytest.mark.parametrize(
    ("text", "concept", "expected"),
    [
        ("a dog with no hat", "hat", "a dog with a hat"),
        ("A street with no cars", "cars", "A street with cars"),
        ("no dog is on the bed", "dog", "a dog is on the bed"),
        ("No umbrella is open here", "umbrella", "An umbrella is open here"),
        ("a table with no water on it", "water", "a table with water on it"),
        ("a man with no glasses", "glasses", "a man with glasses"),
        ("a clock with no honest hour hand", "hand", "a clock with an honest hour hand"),
        ("a school with no uniform", "uniform", "a school with a uniform"),
        ("a man without a hat", "hat", "a man with a hat"),
        ("a man without any hat", "hat", "a man with a hat"),
        ("a road without any cars", "cars", "a road with cars"),
        ("a room lacking furniture", "furniture", "a room with furniture"),
        ("a dog that does not have a ball", "ball", "a dog that has a ball"),
        ("dogs that don't have balls", "balls", "dogs that have balls"),
        ("a man who isn't wearing a hat", "hat", "a man who is wearing a hat"),
        ("a man not wearing a hat", "hat", "a man wearing a hat"),
        ("a cat that is not gray", "gray", "a cat that is gray"),
        ("a man with a bag but no book", "book", "a man with a bag and a book"),
        ("a bench without a cup but with an apple", "cup", "a bench with a cup and with an apple"),
    ],
)
def test_the_concept_is_affirmed(text: str, concept: str, expected: str) -> None:
    assert affirmed(text, concept) == expected


@pytest.mark.parametrize(
    ("text", "concept"),
    [
        ("a dog with a hat", "hat"),  # nothing is denied
        ("a dog without a hat and with no ball", "hat"),  # two cues
        ("a man with nothing on his head", "hat"),  # no rule
        ("a man without zero hats", "hats"),
        ("a man without zero nonsense", "nonsense"),  # the rest denies it
        ("nobody is on the bench", "person"),
        ("a hatless man", "hat"),
        ("a sign that says no parking", "parking"),  # a quoted cue
        ("a dog with no hat", "ball"),  # another concept
        ("", "hat"),
        ("a dog with no hat", ""),
    ],
)
def test_without_a_rule_there_is_no_affirmation(text: str, concept: str) -> None:
    assert affirmed(text, concept) is None


@settings(max_examples=examples(30), deadline=None)
@given(st.text(max_size=60), st.text(max_size=12))
def test_any_text_is_handled(text: str, concept: str) -> None:
    for one in (text, f"a man with no {concept} {text}", f"{text} without {concept}"):
        changed = affirmed(one, concept)
        assert changed is None or not find_cues(changed)
