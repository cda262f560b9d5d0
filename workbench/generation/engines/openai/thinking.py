"""Thoughts that a reasoning model writes before its answer: <think>...</think>. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_NAMES: Final = "think|thinking|thought|reasoning"
_OPEN: Final = re.compile(rf"\s*<(?:{_NAMES})>", re.IGNORECASE)
_CLOSE: Final = re.compile(rf"</(?:{_NAMES})>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class StrippedAnswer:
    """An answer without the thought before it."""

    text: str
    thought: bool = False
    """Whether there was a thought."""
    unfinished: bool = False
    """Whether the thought did not end; `text` is then empty."""


def strip_thinking(text: str) -> StrippedAnswer:
    """Return the answer after the thought; a text without a thought is returned as it is.

    Some chat templates write the opening tag into the prompt, so that the text has only the closing one.
    """
    end = max((match.end() for match in _CLOSE.finditer(text)), default=0)
    answer = text[end:].lstrip() if end else text
    if _OPEN.match(answer):
        return StrippedAnswer("", thought=True, unfinished=True)
    return StrippedAnswer(answer, thought=end > 0)
