"""Tests of the texts that a model cuts at its token limit."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.clip_models import make_tiny

from benchmarks.text_limit import cut_text, text_facts
from trainers.models.clip_model import ClipModel

LATE = "a man " + "and a man " * 9 + "without a hat"
"""34 tokens of CLIP: 32 words, start and end; the last three words are cue, article and denied thing."""
EARLY = "without a hat a man" + " and a man" * 9
SHORT = "a man without a hat"


@cache
def limited(length: int) -> ClipModel:
    return make_tiny(context_length=length)


@pytest.mark.parametrize(
    ("length", "cut", "negations"),
    [(77, 0, 0), (34, 0, 0), (33, 2, 1), (6, 3, 2)],
)
def test_texts_above_the_limit_are_counted(length: int, cut: int, negations: int) -> None:
    model = limited(length)
    facts = text_facts(model, [LATE, EARLY, SHORT])
    assert facts == {"limit": length, "tokenizer": "clip", "texts": 3, "cut": cut, "cut_negations": negations}


@pytest.mark.parametrize("length", [6, 33, 34, 77])
def test_a_text_is_cut_exactly_if_its_end_does_not_matter(length: int) -> None:
    """The oracle: the tokenizer gives other ids for a text without its last word."""
    model = limited(length)
    for text in (LATE, EARLY, SHORT):
        whole, shorter = model.tokenizer([text, text.rsplit(" ", 1)[0]])
        facts = text_facts(model, [text])
        assert facts is not None
        assert bool(facts["cut"]) is bool((whole == shorter).all())


def test_the_sentence_states_limit_and_lost_negations() -> None:
    facts = text_facts(limited(33), [LATE, EARLY, SHORT])
    assert facts is not None
    assert cut_text(facts) == "2 of 3 texts are cut at the limit of 33 tokens (clip); 1 of them lose a negation"
    assert cut_text({**facts, "cut": 0, "cut_negations": 0}) == ""


def test_a_model_inside_a_correction_is_found() -> None:
    class Correction:
        base: Any = limited(33)

    assert text_facts(Correction(), [LATE]) == text_facts(limited(33), [LATE])
    assert text_facts(Path(), [LATE]) is None
