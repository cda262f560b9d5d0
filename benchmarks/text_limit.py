"""Counts the texts of a task that a model cuts at its token limit. Does not import torch.

The limit and the tokenizer depend on the model: CLIP reads 77 tokens, SigLIP 2 reads 64, PE-Core 32. Of a text that is
cut, a late "without a hat" may not be read at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from benchmarks.schema import TextFacts
from curation_db.language.negation_cues import find_cues


@runtime_checkable
class TokenLimited(Protocol):
    """A model whose token limit is known; implemented in `trainers.models.clip_model`."""

    @property
    def context_length(self) -> int:
        """The most tokens that it reads, with those that its tokenizer adds."""

    @property
    def tokenizer_name(self) -> str: ...

    def token_counter(self) -> Callable[[str], int] | None:
        """Return a function that counts the tokens of a text, with those that are added; None: not known."""


def text_facts(model: object, texts: Sequence[str]) -> TextFacts | None:
    """Return how many of the distinct `texts` the model cuts; None if its limit is not known."""
    reader = _reader(model)
    count = reader.token_counter() if reader is not None else None
    if reader is None or count is None:
        return None
    limit = reader.context_length
    # A token has at least one byte, so a text of few bytes needs no count.
    long = [text for text in texts if len(text.encode()) + _ADDED > limit]
    cut = [text for text in long if count(text) > limit]
    return {
        "limit": limit,
        "tokenizer": reader.tokenizer_name,
        "texts": len(texts),
        "cut": len(cut),
        "cut_negations": sum(_loses_negation(text, count, limit) for text in cut),
    }


_ADDED = 3
"""The most tokens that a tokenizer adds."""


def _reader(model: object) -> TokenLimited | None:
    """Return the model that reads the texts: `model`, or the one inside a correction."""
    while model is not None and not isinstance(model, TokenLimited):
        model = getattr(model, "base", None) or getattr(model, "model", None)
    return model


def _loses_negation(text: str, count: Callable[[str], int], limit: int) -> bool:
    """Return whether a cue, or a part of what it denies, is behind the limit."""
    ends = (max(cue.end, cue.target_end if cue.target else 0) for cue in find_cues(text))
    return any(count(text[:end]) > limit for end in ends)


def cut_text(facts: TextFacts) -> str:
    """Return how many texts are cut as a sentence; "" if none is."""
    if not facts["cut"]:
        return ""
    limit = f"the limit of {facts['limit']} tokens ({facts['tokenizer']})"
    lost = f"; {facts['cut_negations']:,} of them lose a negation" if facts["cut_negations"] else ""
    return f"{facts['cut']:,} of {facts['texts']:,} texts are cut at {limit}{lost}"
