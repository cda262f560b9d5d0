"""Keys of other keyboard layouts, folded to the key at the same place of a QWERTY keyboard. Pure.

An annotator who also writes Russian, Greek or Hebrew need not switch the layout between a search and a decision.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Container
from types import MappingProxyType
from typing import Final

# fmt: off
_LAYOUTS: Final = (
    # Latin keys, and the letters at their places
    ("qwertyuiop[]asdfghjkl;'zxcvbnm,.", "йцукенгшщзхъфывапролджэячсмитьбю"),  # Russian
    ("s]'", "іїє"),  # Ukrainian, where it differs
    ("wertyuiopasdfghjklzxcvbnm", "ςερτυθιοπασδφγηξκλζχψωβνμ"),  # Greek
    ("ertyuiopasdfghjklzxcvbnm,.", "קראטוןםפשדגכעיחלךזסבהנמצתץ"),  # Hebrew
)
# fmt: on
_AT_PLACE: Final = MappingProxyType(
    {letter: latin for latins, letters in _LAYOUTS for latin, letter in zip(latins, letters, strict=True)}
)
_NAMES: Final = MappingProxyType(
    {"[": "left_square_bracket", "]": "right_square_bracket", ";": "semicolon", "'": "apostrophe"}
    | {",": "comma", ".": "full_stop", "/": "slash", "?": "question_mark"}
)
"""Textual's names of keys that are no letters."""


def fold_key(character: str | None, bound: Container[str]) -> str | None:
    """Return the bound key that `character` stands for; None: there is none, or the character has its own meaning.

    Args:
        character: The typed character.
        bound: Textual's names of the keys that have an action here. A character with an action is never folded, so
            with Caps Lock only those letters are folded whose capital has no action.
    """
    if character is None or len(character) != 1 or _named(character) in bound:
        return None
    place = _AT_PLACE.get(character.lower())
    plain = place if place is not None else unicodedata.normalize("NFKC", character)  # full-width letters
    if len(plain) != 1:
        return None
    if place is not None and character != character.lower():
        plain = plain.upper()
    return next((_named(each) for each in (plain, plain.lower()) if _named(each) in bound), None)


def _named(character: str) -> str:
    return _NAMES.get(character, character)
