"""Affirmation of a denied concept: the caption without its negation, "a dog with a hat" for "a dog without a hat".

Only texts with one cue, and only cues with a rule here, are affirmed; `affirmed` returns None for all others instead of
a doubtful sentence. The result has no cue and mentions the concept.
"""

from __future__ import annotations

import re
from typing import Final

from curation_db.enums import NegationType
from curation_db.language.negation_cues import Cue, CueClass, find_cues
from curation_db.language.nouns import singular
from curation_db.language.object_mentions import mentions_in_any_form

_DO: Final = re.compile(r"(?i)\b(does|do|did)(?:\s+not|n['’]t)\s+have\b")
HAVE: Final = {"does": "has", "do": "have", "did": "had"}
_BE_NOT: Final = re.compile(r"(?i)(is|are|was|were)n['’]t")
_CONTRAST: Final = re.compile(r"\bbut\b")
_ANY: Final = re.compile(r"(?i)\s*\bany\b\s*")
_FIRST_WORD: Final = re.compile(r"\s*([\w'’-]+)")
# fmt: off
_MASS: Final = frozenset((
    "water", "food", "snow", "grass", "traffic", "furniture", "luggage", "clothing", "hair", "smoke", "sand", "ice",
    "bread", "rice", "meat", "cheese", "fruit", "milk", "coffee", "tea", "wine", "beer", "butter", "sugar", "salt",
    "dirt", "mud", "rain", "fog", "sunlight", "light", "graffiti", "jewelry", "makeup", "trash", "garbage", "litter",
    "wood", "glass", "metal", "paper", "equipment", "text", "writing", "vegetation", "greenery", "shade", "steam",
))
# fmt: on
"""Common nouns without a singular article."""
_PAIRS: Final = frozenset(("glasses", "eyeglasses", "sunglasses", "scissors", "pants", "jeans", "trousers", "clothes"))
_AN: Final = re.compile(r"(?i)(?!(?:uni|use|one|eu)\w*)[aeiou]|(?:hour|honest)")


def affirmed(text: str, concept: str) -> str | None:
    """Return `text` with `concept` affirmed instead of denied; None: no rule applies.

    A contrast ("but") becomes "and", because nothing is denied any more.
    """
    cues = find_cues(text)
    if len(cues) != 1 or cues[0].concept_span is None or cues[0].negation_type is NegationType.OTHER:
        return None
    changed = _without_cue(text, cues[0])
    if changed is None:
        return None
    changed = _CONTRAST.sub("and", " ".join(changed.split()))
    if text[:1].isupper():
        changed = changed[:1].upper() + changed[1:]
    if find_cues(changed) or not mentions_in_any_form(changed, concept):
        return None
    return changed


def _without_cue(text: str, cue: Cue) -> str | None:
    before, word, after = text[: cue.start], cue.text.lower(), text[cue.end :]
    if cue.cue_class is CueClass.DETERMINER and word == "no":
        return before + with_article(after, cue)
    if word in {"without", "lacking"} and cue.negation_type is NegationType.ABSENCE:
        return f"{before}with {_any_replaced(after, cue)}"
    if cue.word != "not":
        return None
    if having := _DO.search(text):
        return text[: having.start()] + HAVE[having[1].lower()] + " " + _any_replaced(text[having.end() :], cue)
    if contraction := _BE_NOT.fullmatch(cue.text):
        return before + contraction[1] + " " + _any_replaced(after, cue)
    return before + _any_replaced(after, cue) if word == "not" else None


def _any_replaced(after: str, cue: Cue) -> str:
    """Return the text after the cue with "any" replaced by an article or nothing."""
    found = _ANY.match(after)
    return with_article(after[found.end() :], cue) if found else after.lstrip()


def with_article(phrase: str, cue: Cue) -> str:
    """Return `phrase`, which starts with the denied noun phrase, with "a" or "an" if one thing is denied."""
    first = _FIRST_WORD.match(phrase)
    if first is None or not _is_one_thing(cue):
        return phrase.lstrip()
    return f"{'an' if _AN.match(first[1]) else 'a'} {phrase.lstrip()}"


def any_or_article(phrase: str, cue: Cue) -> str:
    """Return `phrase` as `with_article` does, or with "any" if more than one thing or a mass is denied."""
    return with_article(phrase, cue) if _is_one_thing(cue) else f"any {phrase.lstrip()}"


def _is_one_thing(cue: Cue) -> bool:
    target = cue.target or ""
    return singular(target) == target and target not in _PAIRS | _MASS
