"""What a rewritten caption says that the original did not, as character spans of the rewrite, word by word.

Case does not count. Common starts and ends are taken off first, so the costly comparison sees only what differs; where
even that is too long to compare, all of it counts as changed. The cost stays linear in the length of the texts.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Final

Span = tuple[int, int]

_WORD: Final = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
_COMPARABLE: Final = 250_000  # words times words: about a tenth of a second at worst


def changed_spans(original: str, changed: str) -> tuple[Span, ...]:
    """The spans of `changed` that are not in `original`, merged over blanks, in reading order."""
    before = [word.lower() for word in _WORD.findall(original)]
    places = [match.span() for match in _WORD.finditer(changed)]
    after = [changed[start:end].lower() for start, end in places]
    head = _common(before, after)
    tail = _common(before[head:][::-1], after[head:][::-1])
    new = _new_words(before[head : len(before) - tail], after[head : len(after) - tail])
    return tuple((places[head + first][0], places[head + last - 1][1]) for first, last in new)


def _common(left: list[str], right: list[str]) -> int:
    """How many words both start with."""
    shared = min(len(left), len(right))
    return next((i for i in range(shared) if left[i] != right[i]), shared)


def _new_words(before: list[str], after: list[str]) -> list[Span]:
    """Index ranges of `after` that `before` has not."""
    if not after:
        return []
    if len(before) * len(after) > _COMPARABLE:
        return [(0, len(after))]
    blocks = SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    gaps, end = [], 0
    for block in blocks:
        if block.b > end:
            gaps.append((end, block.b))
        end = block.b + block.size
    return gaps
