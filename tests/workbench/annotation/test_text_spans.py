"""The word diff and the cues on the card, as pieces of the shown text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from curation_db.language.sanitize import display_text
from workbench.annotation.text_spans import highlighted_original, highlighted_spans

WORDS = st.lists(
    st.sampled_from(["a", "man", "hat", "no", "without", "red", ",", "dog", "\x1b[1m", "[b]"]), max_size=12
)


def test_inserted_words_and_the_cue_are_marked_in_the_rewrite() -> None:
    made = highlighted_spans("a man with no hat", "a man")
    assert "".join(piece.text for piece in made) == "a man «with no hat»"
    assert [piece.text for piece in made if piece.cue] == ["no"]
    assert [piece.text for piece in made if piece.changed] == ["«", "with ", "no", " hat", "»"]


def test_words_that_the_rewrite_leaves_out_are_marked_in_the_caption() -> None:
    made = highlighted_original("a child with a red ball.", "a kid with a ball and no dog")
    assert "".join(piece.text for piece in made) == "a ‹child› with a ‹red› ball."
    assert [piece.text for piece in made if piece.removed] == ["‹child›", "‹red›"]
    assert [piece.removed for piece in highlighted_original("a dog", "a dog with no hat")] == [False]


def test_words_that_the_rewrite_moves_are_not_left_out() -> None:
    made = highlighted_original("a ball is next to a white dog", "without a flower, a white dog with a ball next to it")
    assert [piece.text for piece in made] == ["a ball is next to a white dog"]


@given(WORDS.map(" ".join), WORDS.map(" ".join))
def test_the_caption_stays_as_it_is_shown(original: str, text: str) -> None:
    shown = "".join(piece.text for piece in highlighted_original(original, text))
    assert shown.replace("‹", "").replace("›", "") == display_text(original)
