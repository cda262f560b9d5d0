"""Whether a cue denies a concept in other words: "no tie" for wearing a tie, "unripe tomatoes" for ripe tomatoes.

A concept is a phrase about a thing: an adjective or participle and its noun (ripe tomatoes, lights turned off), a place
(dog on a leash), or an act (wearing a tie). The cue must deny what the phrase says of the thing, in any form of the
word; the rest of the phrase may stand anywhere in the text.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from curation_db.language import negation_lexicon as words
from curation_db.language.chunker import is_participle, is_past_participle
from curation_db.language.nouns import core_words
from curation_db.language.sanitize import normalised
from curation_db.language.word_roots import roots

# fmt: off
_LIGHT_VERBS: Final = words.WEARING_VERBS | words.HOLDING_VERBS | words.POSSESSION_VERBS | {
    "use", "using", "look", "looks", "looking", "seem", "seeming", "appear", "appearing", "be", "being", "get",
    "getting", "do", "doing", "need", "needing",
}
"""Verbs that say nothing without their object: "no tie" denies wearing a tie."""
_EMPTY: Final = _LIGHT_VERBS | words.NEVER_HEADS | words.DETERMINERS | words.PLACES_OF_PRESENCE
_PLACES: Final = words.PREPOSITIONS - {"like"}
# fmt: on


class _ConceptParts(NamedTuple):
    """Roots of the content words of a concept, one set for each word."""

    predicate: tuple[frozenset[str], ...]
    """What the concept says of the thing; a cue must deny one of these."""
    thing: tuple[frozenset[str], ...]


def denies(text: str, scope: str, concept: str) -> bool:
    """Return whether a negation of `scope`, a part of `text`, denies `concept` in any word form."""
    parts = _parts_of(concept)
    denied, present = _roots_of(scope), _roots_of(text)
    if not any(word & denied for word in parts.predicate):
        return False
    return all(word & present for word in (*parts.predicate, *parts.thing))


@lru_cache(maxsize=8192)
def _parts_of(concept: str) -> _ConceptParts:
    named = core_words(concept)
    at = _predicate_start(named)
    predicate = named[at:] if at else named[:-1] or named
    thing = named[:at] if at else named[len(predicate) :]
    if named and is_participle(named[0]):
        predicate, thing = named, []
    return _ConceptParts(_content(predicate), _content(thing))


def _predicate_start(named: list[str]) -> int:
    """Return the index of the place or participle that follows the noun; 0: the adjective precedes it."""
    return next((at for at in range(1, len(named)) if _is_predicate(named[at])), 0)


def _is_predicate(word: str) -> bool:
    return word in _PLACES or is_participle(word) or is_past_participle(word)


def _content(phrase: list[str]) -> tuple[frozenset[str], ...]:
    """Return the roots of the content words, or of the last word if there are none: the "on" of "lamp on"."""
    content = [word for word in phrase if word not in _EMPTY]
    return tuple(roots(word) for word in content or phrase[-1:])


@lru_cache(maxsize=1024)
def _roots_of(text: str) -> frozenset[str]:
    return frozenset(root for word in normalised(text).split() for root in roots(word))
