"""What an answer in words says to a yes-or-no question. Pure.

A judge that hedges, contradicts itself or talks about something else has not answered: None, which is never "no".
The published script takes everything without "yes" in it for "absent"; that is where its false negations come from
(facts on the official code, defect 4). Where words may be read two ways this module gives None: a person decides.
"""

from __future__ import annotations

import re
from typing import Final

_MAX_CHARACTERS: Final = 1_000
"""Characters; an answer to a yes-or-no question that needs more has not been one."""
_LABEL = re.compile(r"^(?:(?:the|my|final|short)\s+)*answer(?:\s+is)?\b[^a-z]*")
_NOT_A_LETTER = re.compile(r"^[^a-z?]+")
_YES = re.compile(r"^(?:yes|yeah|yep|yup)\b")
_NO = re.compile(r"^(?:no|nope|nah)\b")
_COMPLETE = re.compile(
    r"^[\"'*_`)\]}]*(?:$|\s*[,.;:!\n\r)\]}\-–—<|]|\s*(?:there|it|they|he|she|this|the (?:image|picture|photo))\b)"
)
"""After the word: the end, a break, or the sentence that says it again. Else the word belongs to a phrase: no doubt."""
_AFFIRMS = re.compile(r"\b(?:yes|yeah|yep|yup)\b")
_DENIES = re.compile(
    r"\b(?:no|nope|nah|not|none|never|nothing|nobody|neither|nor|without|cannot)\b|n't\b|\b(?:lacks?|absent|absence)\b"
)
_HEDGES = re.compile(
    r"\?|\b(?:un)?sure\b|\bun(?:clear|certain|able|known|decided)\b|\b(?:can|could)(?:\s*not|n't)\b"
    r"|\b(?:hard|difficult|impossible|tough)\s+to\b|\b(?:maybe|perhaps|possibly|probably|presumably|likely|might|may|"
    r"could|either|ambiguous|depends|guess|seems?|appears?)\b|\b(?:do|does|did)(?:\s+not|n't)\s+(?:know|have enough)\b"
    r"|\bnot\s+(?:really|exactly|quite|necessarily|certain|clear|visible enough|possible|able)\b"
    r"|\b(?:or|and)\s+(?:yes|no)\b|\bbut\s+(?:yes|no|actually|wait)\b|\b(?:actually|wait|correction)\b"
)


def read_yes_no(text: str) -> bool | None:
    """True for yes, False for no, None for an answer that is neither, both, hedged or a phrase that begins like one."""
    said = text[:_MAX_CHARACTERS].lower().replace("’", "'").strip()
    said = _NOT_A_LETTER.sub("", _LABEL.sub("", _NOT_A_LETTER.sub("", said)))
    if said.rstrip(" .!\"'*_`)]}") in {"y", "n"}:
        return said[0] == "y"
    yes, no = _YES.match(said), _NO.match(said)
    first = yes or no
    if first is None or not _COMPLETE.match(rest := said[first.end() :]) or _HEDGES.search(rest):
        return None
    if yes:
        return None if _DENIES.search(rest) else True
    return None if _AFFIRMS.search(rest) else False


def official_yes(text: str) -> bool:
    """The published rule (NegationCLIP, src/data_generation.py): "yes" is somewhere in the answer in lower case."""
    return "yes" in text.lower()
