"""How many tokens a model reads of a text, and how its tokens are counted; by default CLIP's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from curation_db.language.clip_tokenizer import CONTEXT_LENGTH, count_tokens


class TokenCounter(Protocol):
    """Counts the tokens of a text with those that the tokenizer adds, such as start and end of text."""

    @property
    def name(self) -> str:
        """Name of the tokenizer, for manifests."""

    def count(self, text: str) -> int:
        """Return the number of tokens of `text`; nothing is cut."""

    def problem(self) -> str:
        """Return why CLIP's tokenizer counts instead of the model's, in one line; empty: the model's counts."""


@dataclass(frozen=True, slots=True)
class ClipTokenCounter:
    """Counts with CLIP's vocabulary."""

    reason: str = ""
    """Why it replaces the tokenizer of a model; empty: the model uses CLIP's vocabulary."""

    @property
    def name(self) -> str:
        return "clip"

    def count(self, text: str) -> int:
        return count_tokens(text)

    def problem(self) -> str:
        return self.reason


CLIP_TOKENS: Final = ClipTokenCounter()


@dataclass(frozen=True, slots=True)
class TextLimit:
    """The longest text that a model reads."""

    most_tokens: int = CONTEXT_LENGTH
    """Number of tokens with those that the tokenizer adds; the model ignores the rest."""
    counter: TokenCounter = CLIP_TOKENS

    def count(self, text: str, clip_tokens: int | None = None) -> int:
        """Return the number of tokens of `text`.

        Args:
            clip_tokens: The known count with CLIP's vocabulary, which is then not counted again.
        """
        if clip_tokens is not None and isinstance(self.counter, ClipTokenCounter):
            return clip_tokens
        return self.counter.count(text)

    @property
    def key(self) -> str:
        """Text that differs between limits that give different findings."""
        return f"{self.most_tokens} {self.counter.name}"


CLIP_LIMIT: Final = TextLimit()
