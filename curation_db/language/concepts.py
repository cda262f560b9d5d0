"""Derives what a rewritten caption denies, for sets that come with no more than a caption and its rewrite.

Two witnesses are heard: the difference between the texts, and the scope of the cues in the rewrite. `confidence` is a
measured share: of the answers in the labelled sample that look alike, how many were right (see `_CONFIDENCE`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from curation_db.enums import NegationType
from curation_db.language.negation_cues import CueClass, find_cues
from curation_db.language.nouns import concept_key
from curation_db.language.object_mentions import negating_cue
from curation_db.language.text_diff import Span, changed_spans


@dataclass(frozen=True, slots=True)
class Concept:
    """What a candidate denies, as far as its texts tell."""

    text: str | None
    """Lower-case, without article, number as written; None where nothing could be named."""
    confidence: float
    """About how often an answer got in this way is right; 0 where `text` is None."""
    negation_type: NegationType
    method: str
    """How it was found; a key of the confidences, or "none"."""


# (right + 1) / (answers + 2) on the "dev" half of tests/curation_db/fixtures/concept_sample.jsonl, never above
# 0.95: who wrote the sample also wrote the rules. "old cue" and "chatter" were too rare to count, so are guessed low.
_CONFIDENCE: Final = {
    "one cue": 0.95,  # 83 of 83
    "verb phrase": 0.92,  # 11 of 11; also relations and contrasts
    "long phrase": 0.83,  # 4 of 4
    "several cues": 0.8,  # 3 of 3: each may be the one that was asked for
    "in the original": 0.8,  # 3 of 3: the rewrite denies what the caption says
    "old cue": 0.6,
    "chatter": 0.6,
}
_LONG: Final = 3
_CHATTER: Final = re.compile(
    r"(?i)\b(?:sorry|captions?|original|rephrase|updated|as an ai|instructions?|sure[,!]|note:|here is|here's)"
)
_REFUSAL: Final = re.compile(
    r"(?i)\bI(?:['’]m|\s+am)?\s*(?:can(?:not|\s?['’]t)|sorry|unable|not\s+able|do(?:n['’]t|\s+not))\b"
)


def derive_concept(original: str, updated: str) -> Concept:
    """What `updated` denies that `original` did not."""
    changed = changed_spans(original, updated)
    cues = find_cues(updated)
    named = [(cue, cue.concept_span) for cue in cues if cue.concept_span is not None]
    new = [(cue, span) for cue, span in named if _overlaps((cue.start, cue.end), changed)]
    found = new or [(cue, span) for cue, span in named if _overlaps(span, changed)]
    if _REFUSAL.search(updated) and not _REFUSAL.search(original):
        return Concept(None, 0.0, NegationType.OTHER, "none")
    if not found:
        unnamed = (cue.negation_type for cue in cues if _overlaps((cue.start, cue.end), changed))
        return Concept(None, 0.0, next(unnamed, NegationType.OTHER), "none")
    cue, span = found[0]
    negation_type = cue.negation_type
    text = "person" if cue.target == "person" else " ".join(updated[span[0] : span[1]].lower().split())
    method = _method(original, updated, text, negation_type, len(new))
    return Concept(text, _CONFIDENCE[method], negation_type, method)


def concept_after_edit(
    original: str | None, before: str, concept: str | None, confidence: float | None, after: str
) -> Concept:
    """What `after` denies, which a person wrote in place of `before`; never what it does not deny.

    The old concept stays where `after` denies it and gives no better answer: none at all, or the denied phrases are
    those of `before`, or the old concept is one of them.

    Args:
        original: The caption, where there is one.
        before: The text that is replaced.
        concept: What `before` was known to deny; None: nothing.
        confidence: The confidence in that; None: not known.
        after: The new text.
    """
    derived = derive_concept(original or before, after)
    cue = negating_cue(after, concept) if concept else None
    if cue is None or concept is None:
        return derived
    phrases = _denied_phrases(after)
    if derived.text is None or phrases == _denied_phrases(before) or concept_key(concept) in phrases:
        return Concept(concept, 1.0 if confidence is None else confidence, cue.negation_type, "kept")
    return derived


def _denied_phrases(text: str) -> frozenset[str]:
    """The phrases that the cues of `text` deny, as they are counted."""
    spans = (cue.concept_span for cue in find_cues(text) if cue.cue_class is not CueClass.MENTION)
    return frozenset(concept_key(text[span[0] : span[1]]) for span in spans if span is not None)


def _method(original: str, updated: str, concept: str, negation_type: NegationType, new_cues: int) -> str:
    """The first thing to say about how the answer was got, the most doubtful first."""
    words = set(concept.split())
    if _CHATTER.search(updated) and not _CHATTER.search(original):
        return "chatter"
    if new_cues == 0:
        return "old cue"
    if len(concept.split()) > _LONG:
        return "long phrase"
    if new_cues > 1:
        return "several cues"
    if negation_type in {NegationType.ACTION, NegationType.RELATION, NegationType.OTHER}:
        return "verb phrase"
    return "in the original" if words <= set(original.lower().split()) else "one cue"


def _overlaps(span: Span, others: tuple[Span, ...]) -> bool:
    return any(start < span[1] and span[0] < end for start, end in others)
