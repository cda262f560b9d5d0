"""Tests of cutting captions to a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.content import Content

from curation_db.enums import Kind
from workbench.annotation.models import RecentDecision
from workbench.tui.rendering.line_cut import cut_line, cut_lines
from workbench.tui.widgets.card.side_panel import decision_lines

_LONG = "a man riding a brown horse across a wide green field near the lake without a hat"


@pytest.mark.parametrize(
    ("text", "width", "wanted"),
    [
        ("a dog without a hat", 30, "a dog without a hat"),
        (_LONG, 46, "a man riding a brown horse … without a hat"),
        (_LONG, 24, "a man … without a hat"),
        (_LONG, 15, "… without a hat"),
        (_LONG, 11, "witho…a hat"),
        ("a white dog that isn't wearing a scarf but a hat", 38, "… isn't wearing a scarf but a hat"),
        ("no dog is lying in front of the old red house", 20, "no dog is lying in …"),
        (
            "a woman in a long blue coat who is not wearing a hat on a busy street full of people",
            44,
            "a woman in … not wearing a hat on a busy st…",
        ),
        ("a picture of a park full of people with bikes", 20, "a picture of a park…"),
        ("図書館の前に立っている女性 without a hat", 24, "図書館の … without a hat"),
    ],
)
def test_cue_and_concept_stay(text: str, width: int, wanted: str) -> None:
    assert cut_line(Content(text), width).plain == wanted


@given(st.text(st.sampled_from("ab 図é\u0301👩\u200d"), max_size=30), st.integers(1, 40), st.booleans())
def test_a_cut_line_fits(words: str, width: int, at_end: bool) -> None:
    text = f"{words} without a hat" if at_end else f"no hat {words}"
    cut = cut_line(Content(text), width).plain
    assert cell_len(cut) <= width
    if cell_len(text) <= width:
        assert cut == text


def test_the_styles_stay_with_their_words() -> None:
    content = Content.assemble("a man riding a brown horse across a field ", ("without", "bold"), " a hat")
    (span,) = [each for each in cut_line(content, 30).spans if each.style == "bold"]
    assert cut_line(content, 30).plain[span.start : span.end] == "without"


def test_the_lines_of_the_last_decisions_keep_cue_and_concept() -> None:
    decisions = [RecentDecision(Kind.REJECT, "rest_false", _LONG), RecentDecision(Kind.ACCEPT, None, "no hat")]
    assert decision_lines(decisions, 40).plain == "✗ rest false: a man … without a hat\n✓ no hat"


@given(st.text("ab no\n", max_size=300), st.integers(4, 30), st.integers(1, 8))
def test_few_lines_hold_the_text_or_its_longest_paragraph_cut(text: str, width: int, lines: int) -> None:
    cut = cut_lines(Content(text), width, lines)
    whole = len(Content(text).wrap(width))
    if whole <= lines:
        assert cut.plain == text
    else:
        assert len(cut.wrap(width)) < whole or text.count("\n") >= lines
    assert text.count("\n") == cut.plain.count("\n")


def test_few_lines_keep_cue_concept_and_the_warning_below() -> None:
    text = Content("word " * 600 + "with no hat\n⚠ 1805/40 tokens: the model ignores the rest")
    cut = cut_lines(text, 40, 6)
    assert len(cut.wrap(40)) <= 6
    assert "… no hat\n⚠ 1805/40 tokens" in cut.plain
    assert cut.plain.startswith("word word")
