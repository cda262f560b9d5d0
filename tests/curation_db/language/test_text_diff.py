"""Inserted and removed spans of the word diff."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation_db.language.text_diff import changed_spans, text_diff

VOCABULARY = ["a", "the", "woman", "hat", "not", "wearing", ",", "riding", "horse", "no", "It's"]
WORDS = st.lists(st.sampled_from(VOCABULARY), max_size=14).map(" ".join)


@pytest.mark.parametrize(
    ("original", "changed", "new"),
    [
        ("a woman riding a horse", "a woman not wearing a hat riding a horse", ["not wearing a hat"]),
        ("a child in the park", "a child in the park with no tree", ["with no tree"]),
        ("A bathroom with a sink.", "A bathroom with a sink, but no bathtub.", [", but no bathtub"]),
        ("a dog", "A  DOG", []),
        ("a dog", "", []),
        ("", "no  dog", ["no  dog"]),
        ("a red bus", "a bus", []),
        ("a cat and a dog", "no cat and no dog", ["no", "no"]),
        ("it's a dog", "it’s a dog", ["it’s"]),
        ("a dog here", "a dog\n\tnot\nhere", ["not"]),
    ],
)
def test_new_words_are_found(original: str, changed: str, new: list[str]) -> None:
    assert [changed[start:end] for start, end in changed_spans(original, changed)] == new


@given(WORDS, WORDS)
def test_unchanged_words_keep_their_order(original: str, changed: str) -> None:
    rest = changed
    for start, end in reversed(changed_spans(original, changed)):
        rest = rest[:start] + rest[end:]
    before = iter(re.findall(r"\w+(?:'\w+)*|[^\w\s]", original.lower()))
    assert all(word in before for word in re.findall(r"\w+(?:'\w+)*|[^\w\s]", rest.lower()))


@settings(deadline=None)
@given(st.text(), st.text())
def test_spans_are_ordered_disjoint_and_without_blank_edges(original: str, changed: str) -> None:
    end_before = -1
    for start, end in changed_spans(original, changed):
        assert end_before < start < end <= len(changed)
        assert changed[start:end] == changed[start:end].strip()
        end_before = end


def test_equal_texts_have_no_diff() -> None:
    assert changed_spans("a man, not a dog", "a man, not a dog") == ()


def test_the_time_for_megabytes_is_linear() -> None:
    """Common ends are removed at any length; two long texts without common words count as changed as a whole."""
    long = "a dog and a cat " * 70_000
    assert changed_spans(long, long + "no bird") == ((len(long), len(long) + 7),)
    other = "one bird or two " * 70_000
    assert changed_spans(long, other) == ((0, len(other) - 1),)


@pytest.mark.parametrize(
    ("original", "changed", "inserted", "removed"),
    [
        ("a child with a ball", "a kid with a ball", ["kid"], ["child"]),
        ("a red bus", "a bus", [], ["red"]),
        ("a man riding a horse", "a man not riding a horse", ["not"], []),
        ("two dogs run.", "two dogs and no cat.", ["and no cat"], ["run"]),
    ],
)
def test_both_sides_of_the_diff(original: str, changed: str, inserted: list[str], removed: list[str]) -> None:
    diff = text_diff(original, changed)
    assert [changed[start:end] for start, end in diff.inserted] == inserted
    assert [original[start:end] for start, end in diff.removed] == removed


@settings(deadline=None)
@given(WORDS, WORDS)
def test_the_reverse_diff_swaps_both_sides_for_an_insertion(original: str, changed: str) -> None:
    both = text_diff(original, f"{original} {changed}".strip())
    assert both.removed == ()
    assert text_diff(f"{original} {changed}".strip(), original).inserted == ()
