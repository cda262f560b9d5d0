"""CLIP as a judge of presence: phrases, objects for comparison, and answers."""

from __future__ import annotations

import math
from typing import Any

import pytest

from workbench.errors import UsageError
from workbench.generation.engines.local.clip_presence import (
    LEAST_OBJECTS,
    OBJECTS,
    THRESHOLD,
    PresencePrompts,
    phrase_of,
    presence_answer,
    presence_of,
    related,
)
from workbench.generation.engines.requests import ModelAnswer, RequestFailure

MANY = [f"a thing{number}" for number in range(LEAST_OBJECTS)]


@pytest.mark.parametrize(
    ("facts", "phrase"),
    [
        ({"question": "Is there a dog in the image?"}, "a dog"),
        ({"question": "Are there red cars in the image?"}, "red cars"),
        ({"question": "Is there any milk in this picture?"}, "milk"),
        ({"question": "Is there a man in the water?"}, "a man in the water"),
        ({"question": "is  there a cat"}, "a cat"),
        ({"question": "Is the man running?", "a_concept": "anybody running"}, None),
        ({"question": "Is there?"}, None),
        ({"a_concept": "an umbrella"}, "an umbrella"),
        ({"a_concept": ""}, None),
        ({}, None),
    ],
)
def test_the_phrase_is_that_of_the_question(facts: dict[str, str], phrase: str | None) -> None:
    assert phrase_of(facts) == phrase


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a dog", "dogs", True),
        ("a dog", "a puppy", True),
        ("a person", "a woman", True),
        ("a dining table", "table", True),
        ("a tv", "a television", True),
        ("a cell phone", "a phone", True),
        ("a dog", "a cat", False),
        ("a cup", "a fork", False),
        ("a dog", "", False),
    ],
)
def test_related_objects_are_no_comparison(one: str, other: str, same: bool) -> None:
    assert related(one, other) is same
    assert related(other, one) is same


def test_unrelated_objects_are_compared_in_the_same_prompt() -> None:
    others = PresencePrompts().others("a puppy")
    assert len(others) == len(OBJECTS) - 1
    assert "a photo of a cat" in others
    assert "a photo of a dog" not in others


def test_a_message_has_all_texts() -> None:
    prompts = PresencePrompts("{object}!", tuple(MANY))
    message = presence_of(prompts, "p.png", {"a_concept": "a dog"})
    assert message == {"picture": "p.png", "text": "a dog!", "others": [f"{each}!" for each in MANY]}


def test_too_few_unrelated_objects_give_no_score() -> None:
    answer = presence_of(PresencePrompts(objects=tuple(MANY)), "p.png", {"a_concept": MANY[0]})
    assert isinstance(answer, ModelAnswer)
    assert answer.error == RequestFailure.UNSUPPORTED


def test_the_threshold_has_the_probability_one_half() -> None:
    above, below = presence_answer(THRESHOLD + 1), presence_answer(THRESHOLD - 1)
    assert above.p == pytest.approx(1 / (1 + math.exp(-1)))
    assert above.p + below.p == pytest.approx(1)  # type: ignore[operator]
    assert (above.text, below.text) == ("yes: z +2.645", "no: z +0.645")
    assert presence_answer(-2000.0).p == 0.0


@pytest.mark.parametrize("z", [None, THRESHOLD])
def test_an_undecided_score_is_neither_yes_nor_no(z: float | None) -> None:
    answer = presence_answer(z)
    assert answer.p is None
    assert answer.text.startswith("unclear")
    assert not answer.failed


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"prompts": "a"}, "prompts is unknown"),
        ({"prompt": "a photo"}, "prompt must be a text"),
        ({"prompt": 3}, "prompt must be a text"),
        ({"objects": "a dog"}, "objects must be a list"),
        ({"objects": [*MANY, 3]}, "objects must be a list"),
        ({"objects": [*MANY, " "]}, "objects must be a list"),
        ({"objects": MANY[1:]}, "needs at least 20"),
        ({"objects": [*MANY[1:], MANY[1]]}, "needs at least 20"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        PresencePrompts.of("judge", options)


def test_options_replace_the_defaults() -> None:
    assert PresencePrompts.of("judge", {"objects": [*MANY, MANY[0]]}).objects == tuple(MANY)
    assert PresencePrompts.of("judge", {"prompt": "{object}"}).filled("a dog") == "a dog"
