"""Parsing of text answers to yes-or-no questions. Pure.

An answer that hedges, contradicts itself or is off topic is unclear (None), never "no". The published script counts
every answer without "yes" as "absent", which is the source of its false negations. Ambiguous answers give None, so
that a person decides.
"""

from __future__ import annotations

import re
from typing import Final

_MAX_CHARACTERS: Final = 1_000
"""Characters of the answer that are parsed."""
_LABEL = re.compile(r"^(?:(?:the|my|final|short)\s+)*answer(?:\s+is)?\b[^a-z]*")
_NOT_A_LETTER = re.compile(r"^[^a-z?]+")
_YES = re.compile(r"^(?:yes|yeah|yep|yup)\b")
_NO = re.compile(r"^(?:no|nope|nah)\b")
_COMPLETE = re.compile(
    r"^[\"'*_`)\]}]*(?:$|\s*[,.;:!\n\r)\]}\-–—<|]|\s*(?:there|it|they|he|she|this|the (?:image|picture|photo))\b)"
)
"""What may follow yes or no: the end, punctuation, or a sentence that repeats it. Else it is a phrase ("no doubt")."""
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
    """Return True for yes, False for no, None for neither, both, a hedged answer or a phrase such as "no doubt"."""
    answer = text[:_MAX_CHARACTERS].lower().replace("’", "'").strip()
    answer = _NOT_A_LETTER.sub("", _LABEL.sub("", _NOT_A_LETTER.sub("", answer)))
    if answer.rstrip(" .!\"'*_`)]}") in {"y", "n"}:
        return answer[0] == "y"
    yes, no = _YES.match(answer), _NO.match(answer)
    first = yes or no
    if first is None or not _COMPLETE.match(rest := answer[first.end() :]) or _HEDGES.search(rest):
        return None
    if yes:
        return None if _DENIES.search(rest) else True
    return None if _AFFIRMS.search(rest) else False


def official_yes(text: str) -> bool:
    """Apply the published rule (NegationCLIP, src/data_generation.py): the lower-cased answer contains "yes"."""
    return "yes" in text.lower()
