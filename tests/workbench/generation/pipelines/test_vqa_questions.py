"""Parsing of VQAv2 questions: what yes affirms, and the type of the negation that no expresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation_db.language.negation_cues import has_cue
from workbench.generation.pipelines.vqa_questions import (
    QuestionFault,
    denial_of,
    gerund,
    question_about,
    question_fault,
    question_parts,
)


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
        ("Has the pizza been eaten?", "eaten pizza", "attribute", "the pizza has not been eaten"),
        ("Does this look like a party?", "looking like a party", "attribute", "this does not look like a party"),
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


# fmt: off
SAID = (
    ('Is he wearing a tie?', 'wearing a tie'),
    ('Is the bus red?', 'red bus'),
    ('Are the bananas ripe?', 'ripe bananas'),
    ('Does the man have a beard?', 'beard'),
    ('Does the cat look happy?', 'happy'),
    ("Is the dog's tongue out?", 'tongue out'),
    ('Has the pizza been cut?', 'cut pizza'),
    ('Does this animal live in the wild?', 'living in the wild'),
    ('Is it raining?', 'raining'),
    ('Is the man on the left wearing a helmet?', 'wearing a helmet'),
    ('Is there a window?', 'window'),
    ('Is there a clock on the wall?', 'clock'),
    ('Are there any people in the picture?', 'people'),
    ('Do you see a dog?', 'dog'),
    ('Can you see the ocean?', 'ocean'),
    ('Is this a kitchen?', 'kitchen'),
    ('Is that a real giraffe?', 'real giraffe'),
    ('Is this person a woman?', 'woman'),
    ('Is the woman holding an umbrella?', 'holding an umbrella'),
    ('Is the light on?', 'light on'),
    ('Are the lights turned off?', 'lights turned off'),
    ('Is the door open?', 'open door'),
    ('Is the tv turned on?', 'tv turned on'),
    ("Is the man's hair long?", 'long hair'),
    ("Is the girl's shirt striped?", 'striped shirt'),
    ('Is the cat on the table?', 'cat on the table'),
    ('Are these animals in a zoo?', 'animals in a zoo'),
    ('Is the train moving?', 'moving'),
    ('Is the train at the station?', 'train at the station'),
    ('Are they playing tennis?', 'playing tennis'),
    ('Is anyone wearing a hat?', 'wearing a hat'),
    ('Is there anyone swimming?', 'swimming'),
    ('Is someone sitting on the bench?', 'sitting on the bench'),
    ('Are all the zebras standing?', 'standing'),
    ('Are both dogs brown?', 'brown dogs'),
    ('Is the water calm?', 'calm water'),
    ('Is it sunny?', 'sunny'),
    ('Is it night time?', 'night time'),
    ('Is it cold outside?', 'cold outside'),
    ('Was this photo taken at night?', 'photo taken at night'),
    ('Is this picture in color?', 'picture in color'),
    ('Is the photo black and white?', 'black and white photo'),
    ('Does the bear look friendly?', 'friendly'),
    ('Does this look like a party?', 'looking like a party'),
    ('Does the pizza have cheese on it?', 'cheese'),
    ('Does the woman have long hair?', 'long hair'),
    ('Does he need a haircut?', 'needing a haircut'),
    ('Can the bird fly?', 'flying'),
    ('Can this plane hold many people?', 'holding many people'),
    ('Could this be a hotel room?', 'hotel room'),
    ('Will the boy hit the ball?', 'hitting the ball'),
    ('Would a vegetarian eat this?', 'eating'),
    ('Has the man lost his hat?', 'lost his hat'),
    ('Have the candles been lit?', 'lit candles'),
    ('Is the food on a white plate?', 'food on a white plate'),
    ('Is the laptop plugged in?', 'laptop plugged in'),
    ('Is the man about to hit the ball?', 'about to hit the ball'),
    ('Is the bed made?', 'made bed'),
    ('Is the fruit in the bowl fresh?', 'fresh fruit'),
    ('Does the woman in the red coat smile?', 'smiling'),
    ('Do these people know each other?', 'knowing each other'),
    ('Is the toilet seat up?', 'toilet seat up'),
    ('Is this a black and white photo?', 'black and white photo'),
    ('Are the people in the water?', 'people in the water'),
    ('Does the train have its lights on?', 'lights'),
    ('Is the cat looking at the camera?', 'looking at the camera'),
    ('Is this cat asleep?', 'asleep'),
    ('Are they outside?', 'outside'),
    ('Can you eat this?', 'eating'),
    ('Does that dog like water?', 'liking water'),
    ('Is the tennis player about to serve?', 'about to serve'),
    ('Is the sky clear?', 'clear sky'),
    ('Are the giraffes taller than the trees?', 'giraffes taller than the trees'),
    ('Do all the boats have sails?', 'sails'),
    ('Did someone bite the apple?', 'biting the apple'),
    ('Is everyone smiling?', 'smiling'),
    ('Are the flowers in the vase yellow?', 'yellow flowers'),
    ('Is the man in the hat tall?', 'tall man'),
    ('Should the man be wearing a helmet?', 'wearing a helmet'),
    ('Have the dishes been washed?', 'washed dishes'),
    ('Does the sign say stop?', 'saying stop'),
    ('Is the airplane in the air?', 'airplane in the air'),
    ("Is the boy's shirt tucked in?", 'shirt tucked in'),
)
# fmt: on
"""Questions of varied form and their concepts, each read and found to be a phrase that a person would say."""


@pytest.mark.parametrize(("question", "concept"), SAID)
def test_a_concept_is_a_phrase_that_a_person_would_say(question: str, concept: str):
    parts = question_parts(question)
    assert parts is not None
    assert parts.concept == concept
    assert question_fault(question) is None


@pytest.mark.parametrize("question", ["Is it on?", "Is there more than one elephant?"])
def test_a_question_without_a_phrase_has_no_concept(question: str):
    parts = question_parts(question)
    assert parts is not None
    assert parts.concept is None


@pytest.mark.parametrize(
    ("question", "fault"),
    [
        *(
            (question, QuestionFault.NEGATIVE)
            for question in (
                "Is the woman not smiling?",
                "Isn't the woman smiling?",
                "isnt it raining?",
                "Aren\u2019t they happy?",
                "Can't you see the dog?",
                "Is the man shirtless?",
                "Is the bed unmade?",
                "Is there no one here?",
                "Is the man without a hat?",
                "Are none of them old?",
                "Is nobody looking?",
                "Is the dog missing a leg?",
                "Does the man lack hair?",
                "Has he never smiled?",
                "Is it neither hot nor cold?",
            )
        ),
        *(
            (question, QuestionFault.CONJUNCTION)
            for question in (
                "Is the man tall and thin?",
                "Is it a cat or a dog?",
                "Is it a hot dog/burger?",
                "Is it sunny but cold?",
                "Is there a man & a woman?",
                "Is it raining? Is it cold?",
                "Are the cat and the dog asleep?",
                "Does he have a beard or glasses?",
                "Is it day or night?",
                "Is the boy as well as the girl sitting?",
            )
        ),
        *(
            (question, None)
            for question in (
                "Is the photo black and white?",
                "Is there a salt and pepper shaker?",
                "Is there a no parking sign?",
                "Is the android new?",
                "Is the orchid orange?",
                "Is it one or more dogs?",
                "Is the horse running?",
            )
        ),
        ("What is it?", QuestionFault.NOT_YES_NO),
    ],
)
def test_negative_questions_and_conjunctions_are_refused_as_such(question: str, fault: QuestionFault | None):
    assert question_fault(question) is fault


@pytest.mark.parametrize(
    ("verb", "form"),
    [
        ("run", "running"),
        ("live", "living"),
        ("lie", "lying"),
        ("see", "seeing"),
        ("hit", "hitting"),
        ("eat", "eating"),
        ("fly", "flying"),
        ("open", "opening"),
        ("stop", "stopping"),
        ("play", "playing"),
        ("show", "showing"),
        ("fix", "fixing"),
        ("begin", "beginning"),
        ("look", "looking"),
        ("dye", "dyeing"),
    ],
)
def test_the_form_with_ing_is_spelled_correctly(verb: str, form: str):
    assert gerund(verb) == form


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
