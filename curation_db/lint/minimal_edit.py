"""Finds what a rewrite changes beyond the denial that was asked for, by the word diff between caption and rewrite.

A minimal edit inserts one denial and leaves every content word of the caption as it is. Function words, number and
verb forms do not count. Precision first: without a caption, or where nothing was inserted, nothing is said.
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
_MOST_SHOWN: Final = 3
# fmt: off
_FUNCTION_WORDS: Final = (
    words.NEVER_HEADS | words.DETERMINERS | words.AFTER_NOUN | words.ADVERBS | words.PRESENCE | words.PARTITIVES
    | words.PLACES_OF_PRESENCE | words.POSSESSION_VERBS | words.VACUOUS | words.DEGREES | words.EMPTY_PRONOUNS
    | words.VERBS_OF_PRESENCE
    | {"although", "though", "however", "not", "no", "without", "only", "just", "exist", "exists", "isn", "t", "s"}
)
# fmt: on


def extra_changes(caption: str, text: str, concept: str | None) -> str | None:
    """What `text` changes of `caption` beside denying `concept`, in one line, or None."""
    diff = text_diff(caption, text)
    if not diff.inserted:
        return None
    wanted = _stems(_WORD.findall(concept.lower())) if concept else frozenset()
    affirmed = _denied_besides(caption, text, wanted, diff.inserted)
    if affirmed is not None:
        return f"denies what the caption says: {affirmed}"
    lost = [caption[start:end].lower() for start, end in _left_out(caption, text, diff.removed)]
    if lost:
        return f"leaves out words of the caption: {_listed(lost)}"
    asked = concept_cue(text, concept)
    outside = diff.inserted if asked is None else _without(diff.inserted, _clause_of(text, asked, diff.inserted))
    new = [word for word in _words_in(text, outside) if stem(word) not in wanted | _content_of(caption)]
    return f"adds more than the denial: {_listed(new)}" if new else None


def omitted_words(caption: str, text: str) -> tuple[Span, ...]:
    """The content words of `caption` that its rewrite `text` has nowhere, in no form: spans of `caption`, in order.

    A word that the rewrite moves is not left out.
    """
    return _left_out(caption, text, text_diff(caption, text).removed)


def _left_out(caption: str, text: str, removed: Iterable[Span]) -> tuple[Span, ...]:
    lost = []
    for first, last in removed:
        for match in _WORD.finditer(caption, first, last):
            known = _words_in(caption, [match.span()])
            if known and stem(known[0]) not in _content_of(text):
                lost.append(match.span())
    joined = "".join(caption[start:end].lower() for start, end in lost)
    if joined and joined in "".join(_WORD.findall(text.lower())):  # "bath room" became "bathroom"
        return ()
    return tuple(lost)


def _denied_besides(caption: str, text: str, wanted: frozenset[str], inserted: Iterable[Span]) -> str | None:
    """The words that a new cue denies though the caption affirms them and the concept is another one.

    "not using a spoon" is about the spoon; in "not riding a horse on a beach with a hat" it is the riding that is
    denied, however far the scope reaches.
    """
    for cue in cues_of(text):
        is_new = any(start < cue.end and cue.start < end for start, end in inserted)
        if not is_new or cue.cue_class is CueClass.MENTION or cue.target is None or cue.concept_span is None:
            continue
        if not wanted and cue.text.lower() in {known.text.lower() for known in cues_of(caption)}:
            continue
        ahead = [stem(word) for word in _words_in(text, [(cue.end, cue.concept_span[1])])]
        if cue.target_start < cue.end:
            ahead = [stem(word) for word in _WORD.findall(cue.target)]
        at = next((i for i, word in enumerate(ahead) if word in wanted), None)
        if ahead and (at is None or at > 1) and ahead[0] in _content_of(caption):
            return text[cue.start : max(cue.end, cue.concept_span[1])]
    return None


def _clause_of(text: str, cue: Cue, inserted: Iterable[Span]) -> Span:
    """The span that holds a cue and what it denies, and the rest of its clause as far as that was inserted with it."""
    start, end = min(cue.start, cue.scope_start), max(cue.end, cue.scope_end)
    for first, last in inserted:
        if first < cue.end and cue.start < last:
            ends = _CLAUSE_END.search(text, end, last)
            end = max(end, ends.start() if ends else last)
            starts = [match.end() for match in _CLAUSE_START.finditer(text, first, start)]
            start = min(start, starts[-1] if starts else first)
    return start, end


def _without(spans: Iterable[Span], hole: Span) -> list[Span]:
    """The parts of `spans` outside of `hole`."""
    parts = [part for start, end in spans for part in ((start, min(end, hole[0])), (max(start, hole[1]), end))]
    return [(start, end) for start, end in parts if start < end]


def _words_in(text: str, spans: Iterable[Span]) -> list[str]:
    """The content words of `text` in `spans`, in lower case and without a possessive ending."""
    words_found = []
    for start, end in spans:
        for word in _WORD.findall(text[start:end].lower()):
            if "'" in word or "’" in word:
                if word.endswith(("n't", "n’t")):
                    continue
                word = word.removesuffix("'s").removesuffix("’s")  # noqa: PLW2901 -- the plain form of the same word
            if word not in _FUNCTION_WORDS:
                words_found.append(word)
    return words_found


@lru_cache(maxsize=1_024)
def _content_of(text: str) -> frozenset[str]:
    return _stems(_words_in(text, [(0, len(text))]))


def _stems(found: Iterable[str]) -> frozenset[str]:
    return frozenset(stem(word) for word in found)


def _listed(found: list[str]) -> str:
    shown = list(dict.fromkeys(found))
    return ", ".join(shown[:_MOST_SHOWN]) + (", …" if len(shown) > _MOST_SHOWN else "")
