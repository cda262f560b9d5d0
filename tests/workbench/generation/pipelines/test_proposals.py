"""Parsing of proposed concepts: one noun, or a rejection with a reason."""

from __future__ import annotations

import json
from pathlib import Path

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
        ("Helmet\n\nRiders wear helmets, so one is likely.", "helmet", "a helmet", "is"),
        ('I would say: "fence".', "fence", "a fence", "is"),
        ("I'd pick a kite", "kite", "a kite", "is"),
        ("helmet<|eot_id|>", "helmet", "a helmet", "is"),
        ("<think>\nA rider needs one.\n</think>\n\nHelmet", "helmet", "a helmet", "is"),
        ("<start_of_turn>model\nhelmet<end_of_turn>", "helmet", "a helmet", "is"),
        ('"Trees" is one object', "trees", "trees", "are"),
        ("Bird?", "bird", "a bird", "is"),
        ("Bird\n\n" + "Birds are often in parks. " * 400, "bird", "a bird", "is"),
        ("Umbrella (accessory)", "umbrella", "an umbrella", "is"),
        ("☂️ umbrella", "umbrella", "an umbrella", "is"),
        ("T-shirt", "T-shirt", "a T-shirt", "is"),
        ("Coca-Cola can", "Coca-Cola can", "a Coca-Cola can", "is"),
        ("iPhone", "iPhone", "an iPhone", "is"),
        ("STOP SIGN", "stop sign", "a stop sign", "is"),
        ("**Object:** Hat", "hat", "a hat", "is"),
        ("Object: `kite`", "kite", "a kite", "is"),
        ("1. **Kite**", "kite", "a kite", "is"),
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
        ("Hat (or helmet)", NoConcept.LIST),
        ("empty", NoConcept.VAGUE),
        ('There is no "hat" here', NoConcept.SENTENCE),
        ("Helmet\nRiders wear helmets", NoConcept.LIST),
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


NOUNS = (
    "a harness, a crossroads, a pancreas, a sheep, an ostrich, an x-ray, a U-turn sign, an RV, an HDMI cable,"
    " an heirloom, an iris, a specimen, a business",
    "spaghetti, news, seaweed, lightning, footwear, driftwood, measles, toothpaste, barley, peanut butter, chewing gum",
    "cacti, firemen, grandchildren, salespeople, dice, cattle, jeans, knives, butterflies, radios, dishes",
)
"""Countable nouns with their article, mass nouns, and plurals. Of 108 such nouns that were written after the lists 80
were right, 67 before the lists grew; inflect 7.6, which knows no mass nouns, has 57."""


@pytest.mark.parametrize("phrase", [phrase.strip() for phrases in NOUNS for phrase in phrases.split(",")])
def test_article_and_number_of_unusual_nouns(phrase: str):
    noun = phrase.partition(" ")[2] if phrase.split(maxsplit=1)[0] in {"a", "an"} else phrase
    plural = phrase in [each.strip() for each in NOUNS[2].split(",")]
    words = concept_words(noun)
    assert (words.a_concept, words.be) == (phrase, "are" if plural else "is")


def test_the_shared_answers_are_parsed(shared_data: Path):
    path = shared_data.parent / "cases" / "concepts.jsonl"
    if not path.is_file():
        pytest.skip(f"no file {path}")
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    parsed = [parse_concept(row["answer"]) for row in rows]
    texts = [concept.text if isinstance(concept, ConceptWords) else None for concept in parsed]
    wrong = [row for row, text in zip(rows, texts, strict=True) if text != row["wanted"]]
    assert len(wrong) <= 0.05 * len(rows), wrong


@given(st.text())
def test_any_answer_can_be_parsed_and_a_concept_is_short_and_clean(answer: str):
    parsed = parse_concept(answer)
    if isinstance(parsed, ConceptWords):
        assert 1 <= len(parsed.text.split()) <= 4
        assert parsed.text.isprintable()
        assert parsed.a_concept.endswith(parsed.text)
