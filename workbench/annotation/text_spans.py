"""Highlighted spans of a negated caption and its original: negation cues, and the word diff between the two. Pure.

The diff is that of the lint rule `minimal-edit`: the words that a card marks as removed are those that the rule
reports. The spans are computed on the text as it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise

from curation_db.language.negation_cues import find_cues
from curation_db.language.sanitize import display_text
from curation_db.language.text_diff import Span, text_diff
from curation_db.lint.minimal_edit import omitted_words

_MOST_SPANS = 4
"""A text with more differences is a rewrite, in which no difference is marked."""
_WORDS_BETWEEN = 2
"""Differences with at most so many words between them are marked as one."""
OPENS, CLOSES = "«", "»"
REMOVED_OPENS, REMOVED_CLOSES = "‹", "›"


@dataclass(frozen=True, slots=True)
class TextSpan:
    """A part of a text with the same marks."""

    text: str
    changed: bool = False
    """Only in the negated caption."""
    cue: bool = False
    removed: bool = False
    """Only in the original."""


def highlighted_spans(text: str, original: str | None = None, *, limit: int = 2_000) -> list[TextSpan]:
    """Return the spans of `text` as shown, with «» around what differs from `original`."""
    shown = display_text(text, limit=limit)
    changed = _changed(shown, display_text(original, limit=limit)) if original is not None else []
    cues = [(cue.start, cue.end) for cue in find_cues(shown)]
    cuts = sorted({0, len(shown), *(edge for span in (*changed, *cues) for edge in span)})
    parts: list[TextSpan] = []
    for start, end in pairwise(cuts):
        inside = any(a <= start and end <= b for a, b in changed)
        cue = any(a <= start and end <= b for a, b in cues)
        opens = OPENS if any(a == start for a, _ in changed) else ""
        closes = CLOSES if any(b == end for _, b in changed) else ""
        parts += [TextSpan(opens, changed=True)] if opens else []
        parts.append(TextSpan(shown[start:end], changed=inside, cue=cue))
        parts += [TextSpan(closes, changed=True)] if closes else []
    return parts


def highlighted_original(original: str, text: str) -> list[TextSpan]:
    """Return the spans of `original` as shown, with ‹› around the content words that `text` does not have."""
    shown = display_text(original)
    parts: list[TextSpan] = []
    at = 0
    for start, end in omitted_words(shown, display_text(text)):
        parts.append(TextSpan(shown[at:start]))
        parts.append(TextSpan(f"{REMOVED_OPENS}{shown[start:end]}{REMOVED_CLOSES}", removed=True))
        at = end
    return [part for part in (*parts, TextSpan(shown[at:])) if part.text]


def edited_spans(before: str, after: str) -> list[TextSpan]:
    """Return the words of both texts as one text: ‹› around those of `before` only, «» around those of `after` only."""
    old, new = display_text(before, limit=2_000).split(), display_text(after, limit=2_000).split()
    matcher = SequenceMatcher(None, [word.lower() for word in old], [word.lower() for word in new], autojunk=False)
    parts: list[TextSpan] = []
    for tag, start, end, new_start, new_end in matcher.get_opcodes():
        removed, inserted = " ".join(old[start:end]), " ".join(new[new_start:new_end])
        if tag == "equal":
            parts.append(TextSpan(inserted))
            continue
        parts += [TextSpan(f"{REMOVED_OPENS}{removed}{REMOVED_CLOSES}", removed=True)] if removed else []
        parts += [TextSpan(f"{OPENS}{inserted}{CLOSES}", changed=True)] if inserted else []
    return [span for at, part in enumerate(parts) for span in ([TextSpan(" "), part] if at else [part])]


def _changed(shown: str, original: str) -> list[Span]:
    spans: list[Span] = []
    for start, end in text_diff(original, shown).inserted:
        if spans and len(shown[spans[-1][1] : start].split()) <= _WORDS_BETWEEN:
            spans[-1] = (spans[-1][0], end)
        elif start < end:
            spans.append((start, end))
    return spans if len(spans) <= _MOST_SPANS else []
