"""The thought of a reasoning model is not part of its answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.generation.engines.openai.responses.thoughts import answer_after_thought


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>\nIs it? No.\n</think>\n\nYes", "Yes"),
        ("I see no dog, but yes.\n</think>\n\nNo", "No"),
        ("<THINK></THINK>a man with no hat", "a man with no hat"),
        ("<thinking>a</thinking>b", "b"),
        ("<think>a</think><think>b</think> c", "c"),
        (" <think>It could be", None),
        ("<think>a</think> <think>b", None),
        ("<think>a</think>", ""),
        ("Yes, I think.", "Yes, I think."),
        ("", ""),
    ],
)
def test_the_answer_follows_the_thought(text: str, expected: str | None) -> None:
    assert answer_after_thought(text) == expected


@given(st.text(alphabet=st.characters(exclude_characters="<[◁"), max_size=60))
def test_a_text_without_a_thought_stays_as_it_is(text: str) -> None:
    assert answer_after_thought(text) == text
    assert answer_after_thought(f"<think>{text}</think>{text}") == text.strip()
