"""What is marked in a negated caption and its original: the cue that says no, and the word diff between them. Pure.

It is the diff that the lint's rule `minimal-edit` reads: what the card marks in the caption is what the rule finds to
be left out. Works on the text as it is shown, so that marks and letters always fit together.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from curation_db.language.negation_cues import find_cues
from curation_db.language.sanitize import display_text
from curation_db.language.text_diff import Span, text_diff
from curation_db.lint.minimal_edit import omitted_words

_MOST_SPANS = 4
"""More differences than these are a rewrite: marking them all would mark nothing."""
_WORDS_BETWEEN = 2
"""So few words between two differences belong to both: a phrase reads better than its crumbs."""
OPENS, CLOSES = "«", "»"
REMOVED_OPENS, REMOVED_CLOSES = "‹", "›"


@dataclass(frozen=True, slots=True)
class TextSpan:
    """A run of letters marked alike."""

    text: str
    changed: bool = False
    """In the rewrite: the original does not have it."""
    cue: bool = False
    removed: bool = False
    """In the original: the rewrite does not have it."""


def highlighted_spans(text: str, original: str | None = None, *, limit: int = 2_000) -> list[TextSpan]:
    """`text` as shown, cut where marks begin and end; «» stand round what differs from `original`."""
    shown = display_text(text, limit=limit)
    changed = _changed(shown, display_text(original, limit=limit)) if original is not None else []
    cues = [(cue.start, cue.end) for cue in find_cues(shown)]
    cuts = sorted({0, len(shown), *(edge for span in (*changed, *cues) for edge in span)})
    made: list[TextSpan] = []
    for start, end in pairwise(cuts):
        inside = any(a <= start and end <= b for a, b in changed)
        cue = any(a <= start and end <= b for a, b in cues)
        opens = OPENS if any(a == start for a, _ in changed) else ""
        closes = CLOSES if any(b == end for _, b in changed) else ""
        made += [TextSpan(opens, changed=True)] if opens else []
        made.append(TextSpan(shown[start:end], changed=inside, cue=cue))
        made += [TextSpan(closes, changed=True)] if closes else []
    return made


def highlighted_original(original: str, text: str, *, limit: int = 2_000) -> list[TextSpan]:
    """`original` as shown, with ‹› round the content words that its rewrite `text` has nowhere."""
    shown = display_text(original, limit=limit)
    spans = omitted_words(shown, display_text(text, limit=limit))
    made: list[TextSpan] = []
    at = 0
    for start, end in spans:
        made.append(TextSpan(shown[at:start]))
        made.append(TextSpan(f"{REMOVED_OPENS}{shown[start:end]}{REMOVED_CLOSES}", removed=True))
        at = end
    return [piece for piece in (*made, TextSpan(shown[at:])) if piece.text]


def _changed(shown: str, original: str) -> list[Span]:
    spans: list[Span] = []
    for start, end in text_diff(original, shown).inserted:
        if spans and len(shown[spans[-1][1] : start].split()) <= _WORDS_BETWEEN:
            spans[-1] = (spans[-1][0], end)
        elif start < end:
            spans.append((start, end))
    return spans if len(spans) <= _MOST_SPANS else []
