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
from curation_db.language.nouns import stem
from curation_db.language.object_mentions import concept_cue, cues_of
from curation_db.language.text_diff import Span, text_diff

_WORD: Final = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")
_CLAUSE_START: Final = re.compile(r"[,;:.–-]\s|\b(?:and|but|with|while|though|although)\b")
_CLAUSE_END: Final = re.compile(r"[;:.](?:\s|$)|\b(?:and|while|but)\b")
_MAX_SHOWN: Final = 3
# fmt: off
_FUNCTION_WORDS: Final = (
    words.NEVER_HEADS | words.DETERMINERS | words.AFTER_NOUN | words.ADVERBS | words.PRESENCE | words.PARTITIVES
    | words.PLACES_OF_PRESENCE | words.POSSESSION_VERBS | words.VACUOUS | words.DEGREES | words.EMPTY_PRONOUNS
    | words.VERBS_OF_PRESENCE
    | {"although", "though", "however", "not", "no", "without", "only", "just", "exist", "exists", "isn", "t", "s"}
)
# fmt: on


def extra_changes(caption: str, text: str, concept: str | None) -> str | None:
    """Return one line on what `text` changes in `caption` besides negating `concept`, or None."""
    diff = text_diff(caption, text)
    if not diff.inserted:
        return None
    concept_stems = _stems(_WORD.findall(concept.lower())) if concept else frozenset()
    contradiction = _negated_content(caption, text, concept_stems, diff.inserted)
    if contradiction is not None:
        return f"negates what the caption says: {contradiction}"
    omitted = [caption[start:end].lower() for start, end in _omitted_words(caption, text, diff.removed)]
    if omitted:
        return f"leaves out words of the caption: {_listed(omitted)}"
    cue = concept_cue(text, concept)
    outside = diff.inserted if cue is None else _without(diff.inserted, _clause_of(text, cue, diff.inserted))
    new = [word for word in _words_in(text, outside) if stem(word) not in concept_stems | _content_of(caption)]
    return f"adds more than the negation: {_listed(new)}" if new else None


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


def _negated_content(caption: str, text: str, concept_stems: frozenset[str], inserted: Iterable[Span]) -> str | None:
    """Return the words that a new cue negates although the caption affirms them and they are not the concept.

    In "not using a spoon" the concept is the spoon; in "not riding a horse on a beach with a hat" the riding is
    negated, although the scope includes the hat.
    """
    for cue in cues_of(text):
        is_new = any(start < cue.end and cue.start < end for start, end in inserted)
        if not is_new or cue.cue_class is CueClass.MENTION or cue.target is None or cue.concept_span is None:
            continue
        if not concept_stems and cue.text.lower() in {other.text.lower() for other in cues_of(caption)}:
            continue
        ahead = [stem(word) for word in _words_in(text, [(cue.end, cue.concept_span[1])])]
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
