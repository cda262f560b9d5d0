"""Find changes of a rewrite beyond the requested negation, by the word diff between caption and rewrite.

A minimal edit inserts one negation and keeps every content word of the caption. Function words, singular or plural, and
verb forms are ignored. Precision goes before recall: where nothing was inserted, nothing is reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from curation_db.language import negation_lexicon as words
from curation_db.language.negation_cues import Cue, CueClass
from curation_db.language.nouns import forms_of, stem
from curation_db.language.object_mentions import concept_cue, cues_of, negating_cue
from curation_db.language.text_diff import Span, text_diff

_WORD: Final = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")
_CLAUSE_START: Final = re.compile(r"[,;:.–-]\s|\b(?:and|but|with|while|though|although)\b")
_CLAUSE_END: Final = re.compile(r"[;:.](?:\s|$)|\b(?:and|while|but)\b")
_SENTENCE_END: Final = re.compile(r"[.!?](?=\s+\w)")
_ORDINARY_MARKS: Final = frozenset(" \t,.;'’-–—")
"""Marks that an edit may add. Brackets, slashes, quotation marks, colons and the like belong to notes and lists."""
_CONJUNCTION: Final = re.compile(r"(?:,|\b(?:or|nor|and))\s")
_MAX_DETAILS: Final = 2
"""Content words of an inserted phrase besides the concept: two in "with no cars parked on the street"."""
_MAX_SHOWN: Final = 3
# fmt: off
_FUNCTION_WORDS: Final = (
    words.NEVER_HEADS | words.DETERMINERS | words.AFTER_NOUN | words.ADVERBS | words.PRESENCE | words.PARTITIVES
    | words.PLACES_OF_PRESENCE | words.POSSESSION_VERBS | words.VACUOUS | words.DEGREES | words.EMPTY_PRONOUNS
    | words.VERBS_OF_PRESENCE
    | {"although", "though", "however", "not", "no", "without", "only", "just", "exist", "exists", "isn", "t", "s"}
)
# fmt: on
# fmt: off
_FREE_WORDS: Final = frozenset((
    "a", "an", "the", "some", "is", "are", "was", "were", "be", "being", "that", "who", "which", "and", "with", "there",
    "it", "has", "have", "having",
))
# fmt: on
"""Words of the caption that a rewrite may replace: "a kitchen that has a stove but no window"."""


def extra_changes(caption: str, text: str, concept: str | None) -> str | None:
    """Return one line on what `text` changes in `caption` besides negating `concept`, or None."""
    diff = text_diff(caption, text)
    if not diff.inserted:
        return None
    concept_stems = _stems(_WORD.findall(concept.lower())) if concept else frozenset()
    contradiction = _negated_content(caption, text, concept, concept_stems, diff.inserted)
    if contradiction is not None:
        return f"negates what the caption says: {contradiction}"
    omitted = [caption[start:end].lower() for start, end in _omitted_words(caption, text, diff.removed)]
    if omitted:
        return f"leaves out words of the caption: {_listed(omitted)}"
    cue = concept_cue(text, concept)
    outside = diff.inserted if cue is None else _without(diff.inserted, _clause_of(text, cue, diff.inserted))
    new = [word for word in _words_in(text, outside) if stem(word) not in concept_stems | _content_of(caption)]
    return f"adds more than the negation: {_listed(new)}" if new else None


def insertion_fault(caption: str, text: str, concept: str | None) -> str | None:
    """Return one line on why `text` is not `caption` with one inserted negation of `concept`, or None.

    Stricter than `extra_changes`, for texts of models that were asked for nothing else and can be asked again: one
    inserted span holds the only new cue and the concept, and all words of the caption stay in their order.

    Args:
        caption: The original caption.
        text: Its rewrite.
        concept: What the rewrite negates; None: not known.
    """
    form = form_fault(caption, text)
    if form is not None:
        return form
    diff = text_diff(caption, text)
    fault = extra_changes(caption, text, concept) or _lost_words(caption, text, diff.removed)
    if fault is not None:
        return fault
    return _other_target(caption, text, concept, diff.inserted) if concept else None


def form_fault(caption: str, text: str) -> str | None:
    """Return one line on why `text` cannot be one caption with one new negation, however it is worded, or None.

    It finds alternatives, lists, JSON, notes in brackets, and a sentence added to the caption.
    """
    marks = {each for each in text if not each.isalnum()} - set(caption) - _ORDINARY_MARKS
    if marks:
        return f"adds marks: {' '.join(sorted(marks))}"
    if len(_SENTENCE_END.findall(text)) > len(_SENTENCE_END.findall(caption)):
        return "adds a sentence"
    new = len(_new_cues(text, text_diff(caption, text).inserted))
    return None if new == 1 else f"{new} negations are new, not one"


def _new_cues(text: str, inserted: Iterable[Span]) -> list[Cue]:
    return [cue for cue in cues_of(text) if cue.cue_class is not CueClass.MENTION and _is_in(cue, inserted)]


def _other_target(caption: str, text: str, concept: str, inserted: Iterable[Span]) -> str | None:
    """Return one line on what the new cue negates instead of the concept, or besides it."""
    cue = negating_cue(text, concept)
    if cue is None or cue not in _new_cues(text, inserted):
        return "the new negation is not of the concept"
    return _more_than_concept(caption, text, concept, cue, inserted)


def _is_in(cue: Cue, spans: Iterable[Span]) -> bool:
    return any(start < cue.end and cue.start < end for start, end in spans)


def _lost_words(caption: str, text: str, removed: Iterable[Span]) -> str | None:
    """Return one line on words of the caption that are replaced or moved; "Three dogs" for "Two dogs" replaces one."""
    present = _stems(_plain_words(text, (0, len(text))))
    replaced = [word for span in removed for word in _plain_words(caption, span)]
    lost = [word for word in replaced if len(word) > 1 and word not in _FREE_WORDS and stem(word) not in present]
    if lost and (len(lost) == 1 or "".join(lost) not in "".join(_WORD.findall(text.lower()))):  # "in to" became "into"
        return f"leaves out words of the caption: {_listed(lost)}"
    written = set(_WORD.findall(text.lower()))
    nouns = [word for first, last in removed for word in _WORD.findall(caption[first:last].lower()) if word.isalnum()]
    renumbered = [word for word in nouns if word not in written and written & forms_of(word)]
    if renumbered:
        return f"changes singular or plural: {_listed(renumbered)}"
    rest = iter([stem(word) for word in _words_in(text, [(0, len(text))])])
    moved = [word for word in _words_in(caption, [(0, len(caption))]) if stem(word) not in rest]
    return f"moves words of the caption: {_listed(moved)}" if moved else None


def _plain_words(text: str, span: Span) -> list[str]:
    """Return the words of `text` in `span`, in lower case and without a possessive ending."""
    return [
        re.sub("['’]s?$", "", word) if "'" in word or "’" in word else word
        for word in _WORD.findall(text[slice(*span)].lower())
    ]


def _more_than_concept(caption: str, text: str, concept: str, cue: Cue, inserted: Iterable[Span]) -> str | None:
    """Return one line on further things in the inserted span with the cue: "without a fork or knife"."""
    known = _content_of(caption) | _stems(_WORD.findall(concept.lower()))
    for start, end in inserted:
        if not _is_in(cue, [(start, end)]):
            continue
        details = [word for word in _words_in(text, [(start, end)]) if stem(word) not in known]
        if len(details) > _MAX_DETAILS:
            return f"adds more than the negation: {_listed(details)}"
        conjunction = _CONJUNCTION.search(text, cue.end, end)
        more = _words_in(text, [(conjunction.end(), end)]) if conjunction else []
        listed = [word for word in more if stem(word) not in known]
        if listed:
            return f"negates more than the concept: {_listed(listed)}"
    return None


def omitted_words(caption: str, text: str) -> tuple[Span, ...]:
    """Return the content words of `caption` that the rewrite `text` lacks in every form, as spans of `caption`.

    A word that the rewrite moves is not omitted.
    """
    return _omitted_words(caption, text, text_diff(caption, text).removed)


def _omitted_words(caption: str, text: str, removed: Iterable[Span]) -> tuple[Span, ...]:
    omitted = []
    for first, last in removed:
        for match in _WORD.finditer(caption, first, last):
            content = _words_in(caption, [match.span()])
            if content and stem(content[0]) not in _content_of(text):
                omitted.append(match.span())
    joined = "".join(caption[start:end].lower() for start, end in omitted)
    if joined and joined in "".join(_WORD.findall(text.lower())):  # "bath room" became "bathroom"
        return ()
    return tuple(omitted)


def _negated_content(
    caption: str, text: str, concept: str | None, concept_stems: frozenset[str], inserted: Iterable[Span]
) -> str | None:
    """Return the words that a new cue negates although the caption affirms them and they are not the concept.

    In "not using a spoon" the concept is the spoon; in "not riding a horse on a beach with a hat" the riding is
    negated, although the scope includes the hat. A concept that ends in a particle (lamp on) is negated by "not on".
    """
    particle = concept.lower().split()[-1:] if concept else []
    for cue in cues_of(text):
        is_new = any(start < cue.end and cue.start < end for start, end in inserted)
        if not is_new or cue.cue_class is CueClass.MENTION or cue.target is None or cue.concept_span is None:
            continue
        if not concept_stems and cue.text.lower() in {other.text.lower() for other in cues_of(caption)}:
            continue
        ahead = [stem(word) for word in _words_in(text, [(cue.end, cue.concept_span[1])])]
        if particle and particle[0] in words.PREPOSITIONS and _WORD.findall(text[cue.end :].lower())[:1] == particle:
            continue
        if cue.target_start < cue.end:
            ahead = [stem(word) for word in _WORD.findall(cue.target)]
        at = next((i for i, word in enumerate(ahead) if word in concept_stems), None)
        if ahead and (at is None or at > 1) and ahead[0] in _content_of(caption):
            return text[cue.start : max(cue.end, cue.concept_span[1])]
    return None


def _clause_of(text: str, cue: Cue, inserted: Iterable[Span]) -> Span:
    """Return the span of a cue and its scope, extended to the part of its clause that was inserted with it."""
    start, end = min(cue.start, cue.scope_start), max(cue.end, cue.scope_end)
    for first, last in inserted:
        if first < cue.end and cue.start < last:
            ends = _CLAUSE_END.search(text, end, last)
            end = max(end, ends.start() if ends else last)
            starts = [match.end() for match in _CLAUSE_START.finditer(text, first, start)]
            start = min(start, starts[-1] if starts else first)
    return start, end


def _without(spans: Iterable[Span], hole: Span) -> list[Span]:
    """Return the parts of `spans` outside of `hole`."""
    parts = [part for start, end in spans for part in ((start, min(end, hole[0])), (max(start, hole[1]), end))]
    return [(start, end) for start, end in parts if start < end]


def _words_in(text: str, spans: Iterable[Span]) -> list[str]:
    """Return the content words of `text` in `spans`, in lower case and without a possessive ending."""
    content_words = []
    for start, end in spans:
        for word in _WORD.findall(text[start:end].lower()):
            if "'" in word or "’" in word:
                if word.endswith(("n't", "n’t")):
                    continue
                word = word.removesuffix("'s").removesuffix("’s")  # noqa: PLW2901 -- the plain form of the same word
            if word not in _FUNCTION_WORDS:
                content_words.append(word)
    return content_words


@lru_cache(maxsize=1_024)
def _content_of(text: str) -> frozenset[str]:
    return _stems(_words_in(text, [(0, len(text))]))


def _stems(each: Iterable[str]) -> frozenset[str]:
    return frozenset(stem(word) for word in each)


def _listed(each: list[str]) -> str:
    distinct = list(dict.fromkeys(each))
    return ", ".join(distinct[:_MAX_SHOWN]) + (", …" if len(distinct) > _MAX_SHOWN else "")
