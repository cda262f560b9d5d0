"""Counts tokens with a tokenizer that open_clip has loaded; nothing is cut."""

from __future__ import annotations

from collections.abc import Callable

from open_clip.tokenizer import HFTokenizer, SimpleTokenizer  # type: ignore[import-untyped]

from trainers.tokens.token_counting import CLIPS_MODE

_START_AND_END = 2
_CLIPS_TOKENS = 3


def counter_of(tokenizer: object) -> Callable[[str], int] | None:
    """Return a function that counts the tokens of a text, with those that `tokenizer` adds; None: an unknown kind."""
    if isinstance(tokenizer, SimpleTokenizer):
        return lambda text: len(tokenizer.encode(text)) + _START_AND_END
    if isinstance(tokenizer, HFTokenizer):
        special = tokenizer.tokenizer_mode != CLIPS_MODE

        def count(text: str) -> int:
            cleaned = tokenizer.clean_fn(text)
            ids = tokenizer.tokenizer(cleaned, add_special_tokens=special, truncation=False, verbose=False)["input_ids"]
            return len(ids) + (0 if special else _CLIPS_TOKENS)

        return count
    return None
