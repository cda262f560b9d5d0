"""Word diff between a caption and its rewrite, as character spans of both.

Case is ignored. The common prefix and suffix are removed before the costly comparison. Where the rest is still too
long to compare, all of it counts as changed, so the cost stays linear in the length of the texts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice
from typing import Final

Span = tuple[int, int]

_WORD: Final = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
_MAX_WORD_PAIRS: Final = 250_000  # about a tenth of a second in the worst case


@dataclass(frozen=True, slots=True)
class Diff:
    """Changes of a rewrite, in reading order."""

    inserted: tuple[Span, ...]
    """Spans of the rewrite that are not in the original."""
    removed: tuple[Span, ...]
    """Spans of the original that are not in the rewrite."""


def text_diff(original: str, changed: str) -> Diff:
    """Return the word diff from `original` to `changed`; adjacent words form one span."""
    before, after = _words_of(original), _words_of(changed)
    head = _common(before, after)
    tail = _common(before[head:][::-1], after[head:][::-1])
    blocks = _equal_blocks(before[head : len(before) - tail], after[head : len(after) - tail])
    return Diff(
        inserted=_spans(changed, head, _gaps([(b, size) for _, b, size in blocks])),
        removed=_spans(original, head, _gaps([(a, size) for a, _, size in blocks])),
    )


def _words_of(text: str) -> list[str]:
    if text.isascii():
        return _WORD.findall(text.lower())
    return [word.lower() for word in _WORD.findall(text)]  # lower-casing first could change the number of letters


def changed_spans(original: str, changed: str) -> tuple[Span, ...]:
    """Return the spans of `changed` that are not in `original`, merged over blanks, in reading order."""
    return text_diff(original, changed).inserted


def _common(left: list[str], right: list[str]) -> int:
    """Return the length of the common prefix in words."""
    for at, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return at
    return min(len(left), len(right))


def _equal_blocks(before: list[str], after: list[str]) -> list[tuple[int, int, int]]:
    """Return runs of equal words as (start in `before`, start in `after`, length); an empty run ends the list."""
    end = (len(before), len(after), 0)
    if len(before) * len(after) > _MAX_WORD_PAIRS or set(before).isdisjoint(after):
        return [end]
    blocks = SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    return [(block.a, block.b, block.size) for block in blocks]


def _gaps(runs: list[tuple[int, int]]) -> list[Span]:
    """Return the index ranges between the `runs`, which are (start, length)."""
    gaps, end = [], 0
    for start, size in runs:
        if start > end:
            gaps.append((end, start))
        end = start + size
    return gaps


def _spans(text: str, head: int, ranges: list[Span]) -> tuple[Span, ...]:
    """Convert word ranges, counted after the first `head` words of `text`, to character spans."""
    if not ranges:
        return ()
    spans = [match.span() for match in islice(_WORD.finditer(text), head, head + ranges[-1][1])]
    return tuple((spans[first][0], spans[last - 1][1]) for first, last in ranges)
