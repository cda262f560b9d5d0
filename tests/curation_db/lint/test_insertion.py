"""The strict rule for one inserted negation, which decides on rewrites in the generation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curation_db.lint.minimal_edit import insertion_fault

FIXTURES = Path(__file__).parents[1] / "fixtures"


KEEPS = (
    ("hat", "A man riding a horse", "There is no hat on the man riding a horse"),
    ("phone", "A man on a bench", "A man who isn't holding a phone on a bench"),
    ("phone", "A man on a bench", "A man on a bench where there isn't a phone"),
    ("person", "A bench", "A bench, and nobody is on it"),
    ("rider", "A horse without a saddle", "A horse without a saddle and with no rider"),
    ("sail", "Several boats on water", "Several boats on water, none of which has a sail"),
    ("sink", "A kitchen with a stove", "A kitchen that has a stove but does not have a sink"),
    ("dog", "A bird flying in to the sky", "A bird flying into the sky with no dog around"),
)
BREAKS = (
    ("negates what", "hat", "A man riding a horse on a beach", "A man not riding a horse on a beach with a hat"),
    ("leaves out", "phone", "A man on a bench near a park", "A man on a bench in a park with no phone"),
    ("leaves out", "phone", "Two men on a bench", "Three men on a bench with no phone"),
    ("moves", "phone", "A man riding a horse", "A horse riding a man with no phone"),
    ("singular or plural", "phone", "A desk with laptops", "A desk with a laptop and no phone"),
    ("not of the concept", "fork", "A plate of pizza", "A plate of pizza with no knife next to a fork"),
    ("not of the concept", "hat", "A man on a bench", "A man on a bench with a hat but no phone"),
    ("adds more", "phone", "A man on a bench", "A man on a bench with a hat but no phone"),
    ("negates more", "fork", "A plate of pizza", "A plate of pizza without a fork or knife"),
    ("2 negations", "bag", "A woman on a bench", "A woman on a bench with neither a bag nor a hat"),
    ("0 negations", "rider", "A horse without a saddle", "A horse without a saddle or a rider"),
    ("adds more", "hat", "A man rides", "A happy man rides without a hat"),
    ("a sentence", "bird", "A boat on a lake", "A boat on a lake. No bird can be seen."),
    ("marks: ( )", "bird", "A boat on a lake", "A boat on a lake (no bird)"),
)


@pytest.mark.parametrize(("concept", "caption", "text"), KEEPS)
def test_one_inserted_negation_is_no_fault(concept: str, caption: str, text: str):
    assert insertion_fault(caption, text, concept) is None


@pytest.mark.parametrize(("fault", "concept", "caption", "text"), BREAKS)
def test_a_rewrite_that_is_more_than_one_inserted_negation_has_a_fault(
    fault: str, concept: str, caption: str, text: str
):
    assert fault in (insertion_fault(caption, text, concept) or "")


def test_an_action_may_be_denied_in_other_words():
    caption, text = "A cat on a chair", "A cat that isn't asleep on a chair"
    assert insertion_fault(caption, text, "sleeping") is None
    assert insertion_fault(caption, text, "eating") is not None


def test_the_published_rewrites_are_mostly_one_insertion():
    rows = map(json.loads, (FIXTURES / "concept_sample.jsonl").read_text("utf-8").splitlines())
    passing = [insertion_fault(row["original"], row["updated"], row["concept"]) is None for row in rows]
    print(f"{sum(passing)} of {len(passing)} published rewrites are one inserted negation")  # noqa: T201
    assert sum(passing) >= 180
