"""Derive the negated concept of a rewritten caption, for data sets that state only the caption and its rewrite.

The concept is the target of a cue that the word diff shows as new, or that negates a changed span. `confidence` is a
measured accuracy: the share of correct answers in the labelled sample that were derived by the same method
(`_CONFIDENCE`).
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
    """A negated concept derived from texts."""

    text: str | None
    """Lower-case, without article, singular or plural as written; None: the text names no concept."""
    confidence: float
    """Estimated probability that `text` is correct; 0 where `text` is None."""
    negation_type: NegationType
    method: str
    """A key of `_CONFIDENCE`, "kept" (`concept_after_edit`), or "none"."""


# (correct + 1) / (answers + 2) on the "dev" half of tests/curation_db/fixtures/concept_sample.jsonl, at most 0.95,
# because the author of the sample also wrote the rules. "old cue" and "chatter" are too rare in the sample to measure;
# their values are low guesses.
_CONFIDENCE: Final = {
    "one cue": 0.95,  # 83 of 83
    "verb phrase": 0.92,  # 11 of 11; also relations and contrasts
    "long phrase": 0.83,  # 4 of 4
    "several cues": 0.8,  # 3 of 3: any of them may be the intended one
    "in the original": 0.8,  # 3 of 3: the rewrite negates words of the caption
    "old cue": 0.6,
    "chatter": 0.6,
}
_MAX_PHRASE_WORDS: Final = 3
_CHATTER: Final = re.compile(
    r"(?i)\b(?:sorry|captions?|original|rephrase|updated|as an ai|instructions?|sure[,!]|note:|here is|here's)"
)
_REFUSAL: Final = re.compile(
    r"(?i)\bI(?:['’]m|\s+am)?\s*(?:can(?:not|\s?['’]t)|sorry|unable|not\s+able|do(?:n['’]t|\s+not))\b"
)


def derive_concept(original: str, updated: str) -> Concept:
    """Return the concept that `updated` negates and `original` does not."""
    changed = changed_spans(original, updated)
    cues = find_cues(updated)
    with_target = [(cue, cue.concept_span) for cue in cues if cue.concept_span is not None]
    new = [(cue, span) for cue, span in with_target if _overlaps((cue.start, cue.end), changed)]
    eligible = new or [(cue, span) for cue, span in with_target if _overlaps(span, changed)]
    if _REFUSAL.search(updated) and not _REFUSAL.search(original):
        return Concept(None, 0.0, NegationType.OTHER, "none")
    if not eligible:
        types = (cue.negation_type for cue in cues if _overlaps((cue.start, cue.end), changed))
        return Concept(None, 0.0, next(types, NegationType.OTHER), "none")
    cue, span = eligible[0]
    negation_type = cue.negation_type
    text = "person" if cue.target == "person" else " ".join(updated[span[0] : span[1]].lower().split())
    method = _method(original, updated, text, negation_type, len(new))
    return Concept(text, _CONFIDENCE[method], negation_type, method)


def concept_after_edit(
    original: str | None, before: str, concept: str | None, confidence: float | None, after: str
) -> Concept:
    """Return the concept that `after`, an annotator's edit of `before`, negates.

    The old concept stays if `after` negates it and if one of these holds: no concept can be derived from `after`, the
    negated phrases are those of `before`, or the old concept is one of them.

    Args:
        before: The text that the edit replaces.
        concept: The concept of `before`, if known.
        confidence: The confidence in `concept`; None: unknown, counts as 1.
    """
    derived = derive_concept(original or before, after)
    cue = negating_cue(after, concept) if concept else None
    if cue is None or concept is None:
        return derived
    phrases = _negated_phrases(after)
    if derived.text is None or phrases == _negated_phrases(before) or concept_key(concept) in phrases:
        return Concept(concept, 1.0 if confidence is None else confidence, cue.negation_type, "kept")
    return derived


def _negated_phrases(text: str) -> frozenset[str]:
    """Return the concept keys of the phrases that the cues of `text` negate."""
    spans = (cue.concept_span for cue in find_cues(text) if cue.cue_class is not CueClass.MENTION)
    return frozenset(concept_key(text[span[0] : span[1]]) for span in spans if span is not None)


def _method(original: str, updated: str, concept: str, negation_type: NegationType, new_cues: int) -> str:
    """Return the first method that applies, the least reliable first."""
    words = set(concept.split())
    if _CHATTER.search(updated) and not _CHATTER.search(original):
        return "chatter"
    if new_cues == 0:
        return "old cue"
    if len(concept.split()) > _MAX_PHRASE_WORDS:
        return "long phrase"
    if new_cues > 1:
        return "several cues"
    if negation_type in {NegationType.ACTION, NegationType.RELATION, NegationType.OTHER}:
        return "verb phrase"
    return "in the original" if words <= set(original.lower().split()) else "one cue"


def _overlaps(span: Span, others: tuple[Span, ...]) -> bool:
    return any(start < span[1] and span[0] < end for start, end in others)
