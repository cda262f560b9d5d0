"""The thought of a reasoning model is not part of its answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.generation.engines.openai.thinking import StrippedAnswer, strip_thinking


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>\nIs it? No.\n</think>\n\nYes", StrippedAnswer("Yes", thought=True)),
        ("I see no dog, but yes.\n</think>\n\nNo", StrippedAnswer("No", thought=True)),
        ("<THINK></THINK>a man with no hat", StrippedAnswer("a man with no hat", thought=True)),
        ("<thinking>a</thinking>b", StrippedAnswer("b", thought=True)),
        ("<think>a</think><think>b</think> c", StrippedAnswer("c", thought=True)),
        (" <think>It could be", StrippedAnswer("", thought=True, unfinished=True)),
        ("<think>a</think> <think>b", StrippedAnswer("", thought=True, unfinished=True)),
        ("<think>a</think>", StrippedAnswer("", thought=True)),
        ("Yes, I think.", StrippedAnswer("Yes, I think.")),
        (" a <think> b", StrippedAnswer(" a <think> b")),
        ("", StrippedAnswer("")),
    ],
)
def test_the_answer_follows_the_thought(text: str, expected: StrippedAnswer) -> None:
    assert strip_thinking(text) == expected


@given(st.text(max_size=60).filter(lambda text: "<" not in text))
def test_a_text_without_a_thought_stays_as_it_is(text: str) -> None:
    assert strip_thinking(text) == StrippedAnswer(text)
    assert strip_thinking(f"<think>{text}</think>{text}").text == text.lstrip()
