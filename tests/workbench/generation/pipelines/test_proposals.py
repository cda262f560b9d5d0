"""Parsing of proposed concepts: one noun, or a rejection with a reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.generation.pipelines.proposals import ConceptWords, NoConcept, concept_words, parse_concept, with_article


@pytest.mark.parametrize(
    ("answer", "text", "a_concept", "be"),
    [
        ("An Umbrella.", "umbrella", "an umbrella", "is"),
        ("Object: hat", "hat", "a hat", "is"),
        ('"Teddy Bear"', "teddy bear", "a teddy bear", "is"),
        ("**Frisbee**", "frisbee", "a frisbee", "is"),
        ("The answer is: dog", "dog", "a dog", "is"),
        ("It is likely a bench.", "bench", "a bench", "is"),
        ("a pair of glasses", "glasses", "glasses", "are"),
        ("Scissors", "scissors", "scissors", "are"),
        ("People", "people", "people", "are"),
        ("trees", "trees", "trees", "are"),
        ("bottles of water", "bottles of water", "bottles of water", "are"),
        ("A cup of coffee", "cup of coffee", "a cup of coffee", "is"),
        ("Water", "water", "water", "is"),
        ("grass", "grass", "grass", "is"),
        ("bus", "bus", "a bus", "is"),
        ("glass", "glass", "a glass", "is"),
        ("the Eiffel Tower", "Eiffel Tower", "an Eiffel Tower", "is"),
        ("TV", "TV", "a TV", "is"),
        ("Great Dane", "great dane", "a great dane", "is"),
        ("christmas tree", "Christmas tree", "a Christmas tree", "is"),
        ("swimming pool", "swimming pool", "a swimming pool", "is"),
        ("\that \n", "hat", "a hat", "is"),
    ],
)
def test_a_noun_is_parsed_with_article_and_number(answer: str, text: str, a_concept: str, be: str):
    concept = parse_concept(answer)
    assert isinstance(concept, ConceptWords)
    assert (concept.text, concept.a_concept, concept.be) == (text, a_concept, be)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", NoConcept.EMPTY),
        ("a woman with no dog", NoConcept.DENIAL),
        ("no hat", NoConcept.DENIAL),
        (" .\n", NoConcept.EMPTY),
        ("I'm sorry, I can't see it.", NoConcept.REFUSAL),
        ("None", NoConcept.REFUSAL),
        ("As an AI language model", NoConcept.REFUSAL),
        ("Sure! A hat", NoConcept.CHATTER),
        ("Here is one: hat", NoConcept.CHATTER),
        ("hat, scarf", NoConcept.LIST),
        ("a hat and a scarf", NoConcept.LIST),
        ("1. hat\n2. scarf", NoConcept.LIST),
        ("car/truck", NoConcept.LIST),
        ("There is a dog.", NoConcept.SENTENCE),
        ("A hat is likely.", NoConcept.SENTENCE),
        ("person with a very red hat", NoConcept.LONG),
        ("x" * 1_000_000, NoConcept.LONG),
        ("雨伞", NoConcept.LETTERS),
        ("42", NoConcept.LETTERS),
        ("An object.", NoConcept.VAGUE),
        ("Yes", NoConcept.VAGUE),
        ("Great! A dog", NoConcept.CHATTER),
        ("\x1b[31mhat", NoConcept.LETTERS),
    ],
)
def test_other_answers_are_rejected_with_a_reason(answer: str, reason: NoConcept):
    assert parse_concept(answer) is reason


@pytest.mark.parametrize(
    ("phrase", "article"),
    [
        ("hour glass", "an"),
        ("uniform", "a"),
        ("umbrella", "an"),
        ("unicycle", "a"),
        ("SUV", "an"),
        ("UFO", "a"),
        ("one-way sign", "a"),
        ("herb", "an"),
        ("European flag", "a"),
        ("oven", "an"),
        ("usher", "an"),
        ("utensil", "a"),
        ("unmade bed", "an"),
        ("uninflated balloon", "an"),
    ],
)
def test_the_article_depends_on_the_sound(phrase: str, article: str):
    assert with_article(phrase).split()[0] == article


@pytest.mark.parametrize(
    ("concept", "phrase"),
    [
        ("wearing a hat", "anybody wearing a hat"),
        ("red", "anything red"),
        ("red dress", "a red dress"),
        ("on the table", "on the table"),
    ],
)
def test_concepts_that_are_not_nouns_have_an_indefinite_form(concept: str, phrase: str):
    assert concept_words(concept).a_concept == phrase


@given(st.text())
def test_any_answer_can_be_parsed_and_a_concept_is_short_and_clean(answer: str):
    parsed = parse_concept(answer)
    if isinstance(parsed, ConceptWords):
        assert 1 <= len(parsed.text.split()) <= 4
        assert parsed.text.isprintable()
        assert parsed.a_concept.endswith(parsed.text)
