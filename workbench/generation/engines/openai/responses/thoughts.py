"""Thoughts of reasoning models in front of their answers. Pure."""

from __future__ import annotations

import re
from typing import Final

_NAMES: Final = "(?:seed:)?(?:think(?:ing)?|thoughts?|reason(?:ing)?)"
_OPEN: Final = re.compile(rf"(?:<{_NAMES}>|\[{_NAMES}\]|◁{_NAMES}▷|<\|channel\|>(?:analysis|commentary)\b)", re.I)
_CLOSE: Final = re.compile(rf"(?:</{_NAMES}>|\[/{_NAMES}\]|◁/{_NAMES}▷|<\|channel\|>final\s*<\|message\|>)", re.I)
"""The tags of the common chat templates: DeepSeek and Qwen, Magistral, Kimi, gpt-oss."""
_END: Final = re.compile(r"<\|(?:return|end)\|>\s*$")


def answer_after_thought(text: str) -> str | None:
    """Return the text without the thought; None if the thought has no end. A text without a thought is unchanged.

    The opening tag may be missing, because many chat templates put it into the prompt.
    """
    *_, last = (0, *(match.end() for match in _CLOSE.finditer(text)))
    opened = _OPEN.search(text, last)
    if not last and opened is None:
        return text
    answer = text[last : opened.start()] if opened is not None else text[last:]
    answer = _END.sub("", answer).strip()
    return None if opened is not None and not answer else answer
