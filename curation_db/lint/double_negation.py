"""Finds a denial inside a denial: "not without a hat", "no player is without a glove", "doesn't hold nothing".

Two denials side by side ("no hat and no shirt", "neither … nor") are none. Precision first: where it would take a
parser to know what the second denial hangs on ("not looking at the camera in a room with no windows"), it says nothing.
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
_BEFORE_DENIAL: Final = frozenset(
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
_OPEN: Final = frozenset((CueClass.CLAUSAL, CueClass.ADVERB))
_SUBJECTS: Final = frozenset((CueClass.PRONOUN, CueClass.DETERMINER))
_LITOTES: Final = re.compile(
    r"(?i)\b(?:not|never|n['’]t|no)\s+(?:entirely |completely |at all )?(?:un(?:like|happy|usual|common|known|friendly"
    r"|pleasant|clear|attractive|comfortable|familiar|healthy|tidy|stable|even|able|willing|aware|interesting|expected"
    r"|\w{3,}ed)|in(?:visible|active|complete|attentive|secure)|im(?:possible|perfect|polite)|dis(?:similar|interested))\b"
)


def double_negation_excerpt(text: str) -> str | None:
    """The words from one denial to the denial inside it, or None."""
    cues = [cue for cue in cues_of(text) if cue.cue_class is not CueClass.MENTION]
    for outer, inner in combinations(cues[:8], 2):
        if outer.end <= inner.start and _holds(text, outer, inner):
            return text[outer.start : inner.end]
    found = _LITOTES.search(text) if cues else None
    return found.group() if found else None


def _holds(text: str, outer: Cue, inner: Cue) -> bool:
    between = text[outer.end : inner.start].lower()
    if inner.word == "nor" or outer.cue_class is CueClass.AFFIX or _BREAK.search(between):
        return False
    said = re.findall(r"[\w'’-]+", between)
    if not said:
        return outer.cue_class is not CueClass.COORDINATION or inner.cue_class is not CueClass.COORDINATION
    before = text[: outer.start]
    if outer.cue_class in _OPEN:
        return _in_predicate(said, before, inner)
    if outer.cue_class in _SUBJECTS:
        return _of_subject(text, outer, inner, said, before)
    return outer.word == "without" and set(said) <= words.DETERMINERS


def _in_predicate(said: Sequence[str], before: str, inner: Cue) -> bool:
    """ "isn't wearing no shoes", "never seen without", "there is not a table without"."""
    if _THERE.search(before):
        return len(said) <= 4 and said[0] in words.DETERMINERS and inner.word in {"without", "lack", "no"}
    return len(said) <= 2 and all(word in _BETWEEN_VERBS or is_past_participle(word) for word in said)


def _of_subject(text: str, outer: Cue, inner: Cue, said: Sequence[str], before: str) -> bool:
    """ "nobody … is not", "no player is without", "there are no bikes without"; not "with no rider that is not"."""
    if outer.cue_class is CueClass.DETERMINER and not (_THERE.search(before) or _STARTS_CLAUSE.search(before)):
        return False
    head = text[outer.end : outer.scope_end] if outer.cue_class is CueClass.DETERMINER else ""
    relative = next((at for at, word in enumerate(said) if word in _RELATIVES), None)
    if len(said) > 6 or (relative is not None and relative != len(head.split())):
        return False  # "nothing on the bed that is unmade": it is the bed that is unmade
    if outer.cue_class is CueClass.DETERMINER and not text[outer.scope_end : inner.start].strip():
        return inner.word in {"without", "lack", "not"}  # right behind the noun
    auxiliary = inner.text.lower().rstrip("'’t ").removesuffix("n")
    return said[-1] in _BEFORE_DENIAL or (inner.word == "not" and auxiliary in _BEFORE_DENIAL)
