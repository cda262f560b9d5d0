"""The word diff between a negated caption and what an annotator types."""

from __future__ import annotations

import pytest

from workbench.annotation.text_spans import edited_spans


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ("a dog without a hat", "a dog without a hat", "a dog without a hat"),
        ("a dog not wearing a hat", "a dog without a hat", "a dog ‹not wearing› «without» a hat"),
        ("a dog", "A dog, no hat", "a ‹dog› «dog, no hat»"),
        ("no hat", "", "‹no hat›"),
        ("", "", ""),
    ],
)
def test_removed_and_inserted_words_stand_in_one_text(before: str, after: str, shown: str) -> None:
    spans = edited_spans(before, after)
    assert "".join(span.text for span in spans).lower() == shown
    assert [span.text for span in spans if span.removed] == [f"‹{part}›" for part in _between(shown, "‹", "›")]


def _between(text: str, opens: str, closes: str) -> list[str]:
    return [part.partition(closes)[0] for part in text.split(opens)[1:]]
