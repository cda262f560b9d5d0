"""Derived concepts against a labelled sample that was written before the rules were tuned.

The "test" half was not used for tuning. Measured on it: precision 0.961 at a confidence of 0.8 or more (99 of 103),
coverage 0.945 (103 of 109); the type agrees in 102 of 109. The authors of the rules wrote the sample in the style of
the rewrites, so real files may give lower values.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation_db.enums import NegationType
from curation_db.language.concepts import Concept, concept_after_edit, derive_concept

ROWS: list[dict[str, Any]] = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "fixtures" / "concept_sample.jsonl").read_text("utf-8").splitlines()
]
TEST = [row for row in ROWS if row["split"] == "test"]
SURE = 0.8


def _answers() -> list[tuple[dict[str, Any], Concept]]:
    return [(row, derive_concept(row["original"], row["updated"])) for row in TEST]


def test_the_sample_is_large_enough() -> None:
    assert len(ROWS) >= 200
    assert len(TEST) * 2 == len(ROWS)
    assert len({row["updated"] for row in ROWS}) == len(ROWS)


def test_confident_answers_are_correct_and_most_answers_are_confident() -> None:
    sure = [(row, concept) for row, concept in _answers() if concept.confidence >= SURE]
    right = sum(row["concept"] == concept.text for row, concept in sure)
    assert right / len(sure) >= 0.94
    assert len(sure) / len(TEST) >= 0.92


def test_confidence_is_close_to_the_accuracy() -> None:
    answered = [(row, concept) for row, concept in _answers() if concept.text is not None]
    expected = sum(concept.confidence for _, concept in answered)
    right = sum(row["concept"] == concept.text for row, concept in answered)
    assert abs(expected - right) / len(answered) < 0.08


def test_negation_types_agree_with_the_labels() -> None:
    assert sum(row["type"] == concept.negation_type for row, concept in _answers()) / len(TEST) >= 0.9


@pytest.mark.parametrize(
    ("original", "updated", "concept", "negation_type", "method"),
    [
        ("a woman on a horse", "a woman not wearing a hat on a horse", "hat", "attribute", "one cue"),
        ("a child in the park", "a child in the park with no tree", "tree", "absence", "one cue"),
        ("A sink and toilet", "A sink and toilet, but no bathtub.", "bathtub", "absence", "one cue"),
        ("A man rides a board", "A man rides a board without a helmet", "helmet", "absence", "one cue"),
        ("A street", "There is no dog in the street", "dog", "absence", "one cue"),
        ("A park with no dog", "A park with no dog and no Traffic  Light", "traffic light", "absence", "one cue"),
        ("A park with no dog", "A park with no cat", "cat", "absence", "old cue"),
        ("A park with a dog", "A park with no dog", "dog", "absence", "in the original"),
        ("A bus stop", "A bus stop without a bench, with no roof", "bench", "absence", "several cues"),
        ("A bus stop", "A bus stop with no little old black dog", "little old black dog", "absence", "long phrase"),
        ("A bench", "A bench nobody sits on", "person", "absence", "one cue"),
        ("A dog", "A dog not chasing the red ball", "chasing the red ball", "action", "long phrase"),
        ("A dog", "Updated caption: a dog without a collar", "collar", "absence", "chatter"),
        ("A dog", "I'm sorry, I cannot do that without a picture", None, "other", "none"),
        ("A dog with no collar", "A dog with no collar", None, "other", "none"),
        ("A street", "A street with a no parking sign", None, "other", "none"),
        ("A plate", "A plate with nothing on it", None, "absence", "none"),
        ("A plate with nothing on it", "A big plate with nothing on it", None, "other", "none"),
        ("", "", None, "other", "none"),
    ],
)
def test_the_concept_that_a_rewrite_negates(
    original: str, updated: str, concept: str | None, negation_type: str, method: str
) -> None:
    derived = derive_concept(original, updated)
    assert (derived.text, derived.negation_type, derived.method) == (concept, NegationType(negation_type), method)


@settings(deadline=None)
@given(st.text(), st.text() | st.sampled_from([row["updated"] for row in ROWS]))
def test_any_text_gives_a_valid_concept(original: str, updated: str) -> None:
    derived = derive_concept(original, updated)
    assert (derived.text is None) == (derived.confidence == 0.0)
    assert 0.0 <= derived.confidence <= 0.95


CAPTION = "a man on a bench"


@pytest.mark.parametrize(
    ("before", "concept", "after", "expected"),
    [
        # the denial is gone, or there never was one
        ("a man without a hat on a bench", "hat", "a man on a green bench", None),
        ("a man without a hat on a bench", "hat", "a man with a hat on a bench", None),
        ("a man without a hat on a bench", "hat", "a hat, and nothing else, on a bench", None),
        ("a man without a hat on a bench", "hat", 'a man on a bench by a "no hat" sign', None),
        ("a man on a bench", "hat", "a man on a wooden bench", None),
        ("a man on a bench", None, "a man on a wooden bench", None),
        # something else is denied
        ("a man without a hat on a bench", "hat", "a man without a scarf on a bench", "scarf"),
        ("a man without a hat on a bench", "hat", "a man with a hat but no scarf on a bench", "scarf"),
        ("a man without a hat on a bench", "hat", "a man without a hat rack on a bench", "hat rack"),
        ("a man without a hat on a bench", "hat", "a man without a red hat on a bench", "red hat"),
        ("a man on a bench", None, "a man without a scarf on a bench", "scarf"),
        # the text still denies it, whatever else has changed
        ("a man without a hat on a bench", "hat", "a tall man without a hat on a bench", "hat"),
        ("a man without a hat on a bench", "hat", "a hatless man on a bench", "hat"),
        ("a man without a hat on a bench", "hat", "a man without hats on a bench", "hat"),
        ("a man without a hat on a bench", "hat", "a man without a scarf, not wearing a hat, on a bench", "hat"),
        (
            "a man not wearing a hat on a bench",
            "wearing a hat",
            "an old man not wearing a hat on a bench",
            "wearing a hat",
        ),
        ("a man without a helmet on a bench", "headgear", "an old man without a helmet on a bench", "helmet"),
    ],
)
def test_the_concept_after_an_edit_is_one_that_the_new_text_negates(
    before: str, concept: str | None, after: str, expected: str | None
) -> None:
    assert concept_after_edit(CAPTION, before, concept, 0.7, after).text == expected


def test_a_kept_concept_keeps_its_confidence_and_a_removed_one_leaves_none() -> None:
    before = "a man without a hat on a bench"
    stays = concept_after_edit(CAPTION, before, "hat", 0.7, "a tall man without a hat on a bench")
    assert (stays.confidence, stays.negation_type) == (0.7, NegationType.ABSENCE)
    goes = concept_after_edit(CAPTION, before, "hat", 0.7, "a tall man on a bench")
    assert (goes.text, goes.confidence, goes.negation_type) == (None, 0.0, NegationType.OTHER)


def test_without_a_caption_an_unchanged_negation_keeps_its_concept() -> None:
    """An edit elsewhere in the text derives no new concept, so the old concept stays."""
    before = "a man without a hat on a bench"
    assert concept_after_edit(None, before, "hat", None, "a man without a hat on a green bench").text == "hat"
    assert concept_after_edit(None, before, "hat", None, "a man on a green bench").text is None
    before = "a man not wearing a hat and with no scarf"
    assert concept_after_edit(None, before, "wearing a hat", None, "a man not wearing a hat").text == "wearing a hat"


def test_the_cue_nobody_negates_a_person() -> None:
    for after in ("a bench with no one on it at noon", "a bench with nobody on it at noon"):
        assert concept_after_edit(None, "a bench with no one on it", "person", None, after).text == "person"
