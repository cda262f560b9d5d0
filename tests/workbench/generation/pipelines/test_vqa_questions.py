"""Parsing of VQAv2 questions: what yes affirms, and the type of the negation that no expresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation_db.language.negation_cues import has_cue
from workbench.generation.pipelines.vqa_questions import denial_of, question_about, question_parts


@pytest.mark.parametrize(
    ("question", "concept", "kind", "denial"),
    [
        ("Is there a dog?", "dog", "absence", "there is no dog"),
        ("Do you see any cars?", "cars", "absence", "there are no cars"),
        ("Can you see the sky?", "sky", "absence", "there is no sky"),
        ("Are there any people in the picture?", "people", "absence", "there are no people"),
        ("Does the man have a hat?", "hat", "absence", "the man does not have a hat"),
        ("Does the girl have long hair?", "long hair", "absence", "the girl does not have long hair"),
        ("Is the person running?", "running", "action", "the person is not running"),
        ("Are they playing tennis?", "playing tennis", "action", "they are not playing tennis"),
        (
            "Is the man on the left wearing glasses?",
            "wearing glasses",
            "action",
            "the man on the left is not wearing glasses",
        ),
        ("Is anyone wearing a hat?", "wearing a hat", "action", "nobody is wearing a hat"),
        ("Is there anyone swimming in the water?", "swimming", "action", "nobody is swimming"),
        ("Are all the zebras standing?", "standing", "action", "not all the zebras are standing"),
        ("Is the dog's tail wagging?", "wagging", "action", "the dog's tail is not wagging"),
        ("Is the car red?", "red car", "attribute", "the car is not red"),
        ("Is the tennis court green?", "green tennis court", "attribute", "the tennis court is not green"),
        ("Is it sunny?", "sunny", "attribute", "it is not sunny"),
        ("Is this a kitchen?", "kitchen", "attribute", "this is not a kitchen"),
        ("Has the pizza been eaten?", "pizza eaten", "attribute", "the pizza has not been eaten"),
        ("Does this look like a party?", "look like a party", "attribute", "this does not look like a party"),
        ("Is the cat on the table?", "cat on the table", "relation", "the cat is not on the table"),
        ("Are these animals in a zoo?", "animals in a zoo", "relation", "these animals are not in a zoo"),
    ],
)
def test_a_question_is_parsed(question: str, concept: str, kind: str, denial: str):
    parts = question_parts(question)
    assert parts is not None
    assert parts.concept is not None
    assert parts.concept == concept or (concept in parts.concept and kind == "action")
    assert parts.negation_type == kind
    assert denial_of(parts).startswith(denial)


@pytest.mark.parametrize("question", ["What color is it?", "How many dogs?", "Where is the cat?", "", "hat", "\x00"])
def test_other_questions_are_not_yes_no_questions(question: str):
    assert question_parts(question) is None


def test_a_negation_uses_the_requested_cue():
    parts = question_parts("Is the car red?")
    assert parts is not None
    assert denial_of(parts, "isn't") == "the car isn't red"
    assert denial_of(parts, "never") == "the car is never red"


def test_a_concept_gives_a_question():
    assert question_about("glasses") == "Are there glasses in this picture?"
    assert question_about("wearing a hat") == "Is there anybody wearing a hat in this picture?"


# fmt: off
_WORDS = st.sampled_from(
    ["is", "are", "there", "the", "a", "man", "hat", "on", "in", "red", "running", "has", "been", "all", "of", "and",
     "wearing", "not", "it", ",", "'", "?"]
)
# fmt: on


@given(st.one_of(st.text(), st.lists(_WORDS, max_size=12).map(lambda verdicts: f"Is {' '.join(verdicts)}?")))
def test_any_text_can_be_parsed_and_each_negation_has_a_cue(question: str):
    parts = question_parts(question)
    if parts is not None and (denial := denial_of(parts)):
        assert has_cue(denial) or not denial.isascii()
