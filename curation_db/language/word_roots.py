"""Roots of English words, the same for a word and for its forms in a natural denial: ripe and unripe, tie and tieless.

By spelling; a small table has the forms that spelling cannot tell. A root is for comparison and is not always a word.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from curation_db.language.nouns import stem

_MIN_LETTERS: Final = 3
"""A word shorter than this is left after no affix: "less" and "under" have none."""
_ENDINGS: Final = ("less", "ness", "ful", "ly")
_IRREGULAR: Final = {
    form: root
    for root, forms in (
        ("ice", "icy"),
        ("sleep", "asleep slept"),
        ("wake", "awake woke woken"),
        ("fly", "flight flew flown airborne"),
        ("live", "alive life"),
        ("light", "lit alight"),
        ("float", "afloat"),
        ("burn", "burnt"),
        ("anger", "angry"),
        ("hunger", "hungry"),
        ("laugh", "laughter"),
        ("wear", "wore worn"),
        ("eat", "ate eaten"),
        ("drink", "drank drunk"),
        ("drive", "drove driven"),
        ("ride", "rode ridden"),
        ("sit", "sat seated seating"),
        ("stand", "stood"),
        ("run", "ran"),
        ("swim", "swam swum"),
        ("lie", "lying lay lain"),
        ("hold", "held"),
        ("break", "broke broken"),
        ("make", "made"),
        ("take", "took taken"),
        ("throw", "threw thrown"),
        ("bite", "bit bitten"),
        ("hide", "hid hidden"),
        ("speak", "spoke spoken speech"),
        ("shave", "shaven"),
        ("shoe", "shod"),
        ("tie", "tying"),
    )
    for form in forms.split()
}
# fmt: off
_NOUNS_IN_Y: Final = frozenset((
    "army", "bakery", "battery", "body", "candy", "city", "country", "factory", "gallery", "jelly", "lady", "nursery",
    "party", "story", "study", "teddy",
))
# fmt: on
"""Nouns with -y that would have another noun as their root: party is not from part."""


@lru_cache(maxsize=8192)
def roots(word: str) -> frozenset[str]:
    """Return the roots of a lower-case word: of windy these are "windy" and "wind"."""
    parts = {word}
    if word.startswith("un") and len(word) >= 2 + _MIN_LETTERS:
        parts.add(word[2:])
    for ending in _ENDINGS:
        parts |= {part.removesuffix(ending) for part in parts if len(part) >= len(ending) + _MIN_LETTERS}
    stems = {stem(_IRREGULAR.get(part, part)) for part in parts}
    for part in parts - _NOUNS_IN_Y:
        if part.endswith(("y", "i")) and len(part) > _MIN_LETTERS:  # happi-ness
            stems |= {_undoubled(part[:-1]), part[:-1] + "y"}
    return frozenset(stems)


def _undoubled(part: str) -> str:
    """Sunny is from sun, foggy from fog."""
    return part[:-1] if len(part) > _MIN_LETTERS and part[-1] == part[-2] else part
