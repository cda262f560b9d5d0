"""The highlighted spans of the word diff and the cues."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from curation_db.language.sanitize import display_text
from workbench.annotation.text_spans import highlighted_original, highlighted_spans

WORDS = st.lists(
    st.sampled_from(["a", "man", "hat", "no", "without", "red", ",", "dog", "\x1b[1m", "[b]"]), max_size=12
)


def test_inserted_words_and_the_cue_are_marked_in_the_rewrite() -> None:
    spans = highlighted_spans("a man with no hat", "a man")
    assert "".join(span.text for span in spans) == "a man «with no hat»"
    assert [span.text for span in spans if span.cue] == ["no"]
    assert [span.text for span in spans if span.changed] == ["«", "with ", "no", " hat", "»"]


def test_removed_words_are_marked_in_the_caption() -> None:
    spans = highlighted_original("a child with a red ball.", "a kid with a ball and no dog")
    assert "".join(span.text for span in spans) == "a ‹child› with a ‹red› ball."
    assert [span.text for span in spans if span.removed] == ["‹child›", "‹red›"]
    assert [span.removed for span in highlighted_original("a dog", "a dog with no hat")] == [False]


def test_moved_words_are_not_marked_as_removed() -> None:
    spans = highlighted_original(
        "a ball is next to a white dog", "without a flower, a white dog with a ball next to it"
    )
    assert [span.text for span in spans] == ["a ball is next to a white dog"]


@given(WORDS.map(" ".join), WORDS.map(" ".join))
def test_the_spans_join_to_the_shown_caption(original: str, text: str) -> None:
    shown = "".join(span.text for span in highlighted_original(original, text))
    assert shown.replace("‹", "").replace("›", "") == display_text(original)
