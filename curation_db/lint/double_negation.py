"""Find a negation within the scope of another: "not without a hat", "no player is without a glove".

Two coordinated negations ("no hat and no shirt", "neither … nor") are not a double negation. Precision goes before
recall: where only a parser could attach the second cue ("not looking at the camera in a room with no windows"),
nothing is reported.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations
from typing import Final

from curation_db.language import negation_lexicon as words
from curation_db.language.chunker import is_past_participle
from curation_db.language.negation_cues import Cue, CueClass
from curation_db.language.object_mentions import cues_of

_BREAK: Final = re.compile(
    r"[,;:.!?()\n]|\b(?:and|or|nor|but|while|because|though|although|so|whereas|as|yet"
    r"|where|when)\b"
)
_THERE: Final = re.compile(r"(?i)\bthere(?:\s+(?:is|are|was|were|will be)|\s?['’]s)\s*$")
_STARTS_CLAUSE: Final = re.compile(r"(?i)(?:^|[.;,!?]|\b(?:where|that|because|while|and|but|as))\s*[\"“']?\s*$")
# fmt: off
_BEFORE_CUE: Final = frozenset(
    ("is", "are", "was", "were", "be", "been", "being", "has", "have", "had", "do", "does", "did", "can", "will",
     "could", "would", "seems", "looks", "who", "that", "which")
)
# fmt: on
_BETWEEN_VERBS: Final = (
    words.AUXILIARIES
    | words.ADVERBS
    | words.POSSESSION_VERBS
    | words.WEARING_VERBS
    | words.HOLDING_VERBS
    | words.FINITE_VERBS
    | {"go", "going", "eat", "eating", "see", "seeing", "get", "got", "like", "want", "need", "do"}
)
_RELATIVES: Final = frozenset(("who", "that", "which"))
_PREDICATE_CUES: Final = frozenset((CueClass.CLAUSAL, CueClass.ADVERB))
_SUBJECT_CUES: Final = frozenset((CueClass.PRONOUN, CueClass.DETERMINER))
_LITOTES: Final = re.compile(
    r"(?i)\b(?:not|never|n['’]t|no)\s+(?:entirely |completely |at all )?(?:un(?:like|happy|usual|common|known|friendly"
    r"|pleasant|clear|attractive|comfortable|familiar|healthy|tidy|stable|even|able|willing|aware|interesting|expected"
    r"|\w{3,}ed)|in(?:visible|active|complete|attentive|secure)|im(?:possible|perfect|polite)|dis(?:similar|interested))\b"
)
_NEGATIVE_ADVERB: Final = re.compile(
    r"(?i)\b(?:hardly|barely|scarcely)\s+(?:no|not|none|never|nothing|nobody|without)\b"
)


def double_negation_excerpt(text: str) -> str | None:
    """Return the words from the outer cue to the inner cue, or None."""
    cues = [cue for cue in cues_of(text) if cue.cue_class is not CueClass.MENTION]
    for outer, inner in combinations(cues[:8], 2):
        if outer.end <= inner.start and _is_nested(text, outer, inner):
            return text[outer.start : inner.end]
    litotes = (_LITOTES.search(text) or _NEGATIVE_ADVERB.search(text)) if cues else None
    return litotes.group() if litotes else None


def _is_nested(text: str, outer: Cue, inner: Cue) -> bool:
    between = text[outer.end : inner.start].lower()
    if inner.word == "nor" or outer.cue_class is CueClass.AFFIX or _BREAK.search(between):
        return False
    words_between = re.findall(r"[\w'’-]+", between)
    if not words_between:
        return outer.cue_class is not CueClass.COORDINATION or inner.cue_class is not CueClass.COORDINATION
    before = text[: outer.start]
    if outer.cue_class in _PREDICATE_CUES:
        return _in_predicate(words_between, before, inner)
    if outer.cue_class in _SUBJECT_CUES:
        return _after_subject(text, outer, inner, words_between, before)
    return outer.word == "without" and set(words_between) <= words.DETERMINERS


def _in_predicate(between: Sequence[str], before: str, inner: Cue) -> bool:
    """ "isn't wearing no shoes", "never seen without", "there is not a table without"."""
    if _THERE.search(before):
        return len(between) <= 4 and between[0] in words.DETERMINERS and inner.word in {"without", "lack", "no"}
    return len(between) <= 2 and all(word in _BETWEEN_VERBS or is_past_participle(word) for word in between)


def _after_subject(text: str, outer: Cue, inner: Cue, between: Sequence[str], before: str) -> bool:
    """ "nobody … is not", "no player is without", "there are no bikes without"; not "with no rider that is not"."""
    if outer.cue_class is CueClass.DETERMINER and not (_THERE.search(before) or _STARTS_CLAUSE.search(before)):
        return False
    head = text[outer.end : outer.scope_end] if outer.cue_class is CueClass.DETERMINER else ""
    relative = next((at for at, word in enumerate(between) if word in _RELATIVES), None)
    if len(between) > 6 or (relative is not None and relative != len(head.split())):
        return False  # "nothing on the bed that is unmade": the relative clause modifies the bed
    if outer.cue_class is CueClass.DETERMINER and not text[outer.scope_end : inner.start].strip():
        return inner.word in {"without", "lack", "not"}  # directly after the noun
    auxiliary = inner.text.lower().rstrip("'’t ").removesuffix("n")
    return between[-1] in _BEFORE_CUE or (inner.word == "not" and auxiliary in _BEFORE_CUE)
