"""The word diff between a caption and its rewrite, as character spans of both.

Case does not count. Common starts and ends are taken off first, so the costly comparison sees only what differs; where
even that is too long to compare, all of it counts as changed. The cost stays linear in the length of the texts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice
from typing import Final

Span = tuple[int, int]

_WORD: Final = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
_COMPARABLE: Final = 250_000  # words times words: about a tenth of a second at worst


@dataclass(frozen=True, slots=True)
class Diff:
    """What a rewrite changes, word by word."""

    inserted: tuple[Span, ...]
    """Spans of the rewrite that the original does not have, in reading order."""
    removed: tuple[Span, ...]
    """Spans of the original that the rewrite does not have, in reading order."""


def text_diff(original: str, changed: str) -> Diff:
    """The word diff from `original` to `changed`; neighbouring words are one span."""
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
    return [word.lower() for word in _WORD.findall(text)]  # a letter's lower case may be two


def changed_spans(original: str, changed: str) -> tuple[Span, ...]:
    """The spans of `changed` that are not in `original`, merged over blanks, in reading order."""
    return text_diff(original, changed).inserted


def _common(left: list[str], right: list[str]) -> int:
    """How many words both start with."""
    for at, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return at
    return min(len(left), len(right))


def _equal_blocks(before: list[str], after: list[str]) -> list[tuple[int, int, int]]:
    """Runs of equal words as (start in `before`, start in `after`, length); an empty run at both ends is the last."""
    end = (len(before), len(after), 0)
    if len(before) * len(after) > _COMPARABLE or set(before).isdisjoint(after):
        return [end]
    blocks = SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    return [(block.a, block.b, block.size) for block in blocks]


def _gaps(runs: list[tuple[int, int]]) -> list[Span]:
    """Index ranges between the `runs`, each given as (start, length)."""
    gaps, end = [], 0
    for start, size in runs:
        if start > end:
            gaps.append((end, start))
        end = start + size
    return gaps


def _spans(text: str, head: int, ranges: list[Span]) -> tuple[Span, ...]:
    """Ranges of words behind the first `head` words of `text` as character spans."""
    if not ranges:
        return ()
    places = [match.span() for match in islice(_WORD.finditer(text), head, head + ranges[-1][1])]
    return tuple((places[first][0], places[last - 1][1]) for first, last in ranges)
