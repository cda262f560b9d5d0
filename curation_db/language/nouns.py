"""Singular and plural of English nouns by spelling, approximate stems, and the concept key."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from curation_db.language.sanitize import normalised

# fmt: off
_IRREGULAR: Final = (
    ("man", "men"), ("woman", "women"), ("child", "children"), ("person", "people", "persons"), ("foot", "feet"),
    ("tooth", "teeth"), ("mouse", "mice"), ("goose", "geese"), ("knife", "knives"), ("leaf", "leaves"),
    ("shelf", "shelves"), ("loaf", "loaves"), ("scarf", "scarves", "scarfs"), ("calf", "calves"), ("wolf", "wolves"),
    ("half", "halves"), ("wife", "wives"), ("sheep",), ("glasses",), ("eyeglasses",), ("sunglasses",), ("scissors",),
    ("policeman", "policemen"), ("fireman", "firemen"), ("snowman", "snowmen"), ("ox", "oxen"),
)
# fmt: on
_FORMS: Final = {form: frozenset(forms) for forms in _IRREGULAR for form in forms}
_SINGULAR: Final = {form: forms[0] for forms in _IRREGULAR for form in forms}
_ENDS_IN_S: Final = frozenset(
    ["bus", "gas", "lens", "canvas", "iris", "walrus", "octopus", "cactus", "citrus", "minibus", "tennis"]
)
_ENDS_IN_O: Final = frozenset(
    ["tomato", "potato", "mango", "hero", "buffalo", "mosquito", "tornado", "volcano", "cargo", "echo", "flamingo"]
)
DETERMINERS: Final = frozenset(["a", "an", "the", "any", "some", "his", "her", "its", "their"])


def forms_of(noun: str) -> frozenset[str]:
    """Return the singular and plural forms of `noun`, given in either; some forms may not exist, and match nothing."""
    if noun in _FORMS:
        return _FORMS[noun]
    if len(noun) < 3:  # letters and "tv"
        return frozenset((noun, noun + "s"))
    forms = {noun, noun + "s"}
    if noun.endswith(("s", "x", "z", "ch", "sh", "o")):
        forms.add(noun + "es")
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        forms.add(noun[:-1] + "ies")
    if noun.endswith("ies"):
        forms.add(noun[:-3] + "y")
    if noun.endswith("es"):
        forms.add(noun[:-2])
    if noun.endswith("s") and not noun.endswith("ss") and noun not in _ENDS_IN_S:
        forms.add(noun[:-1])
    return frozenset(forms)


def singular(noun: str) -> str:
    """Return one form for both numbers of a noun; it is not always a word ("clothe")."""
    if noun in _SINGULAR:
        return _SINGULAR[noun]
    if noun in _ENDS_IN_S or not noun.endswith("s") or noun.endswith(("ss", "us", "is")) or len(noun) < 4:
        return noun
    if noun.endswith("ies") and len(noun) > 4:
        return noun[:-3] + "y"
    if noun.endswith(("sses", "xes", "ches", "shes", "zzes")) or noun[:-2] in _ENDS_IN_S | _ENDS_IN_O:
        return noun[:-2]
    return noun[:-1]


def core_words(concept: str) -> list[str]:
    """Return the normalised words of `concept` without leading determiners."""
    words = normalised(concept).split()
    while len(words) > 1 and words[0] in DETERMINERS:
        del words[0]
    return words


def concept_key(concept: str) -> str:
    """Return the spelling under which a concept is counted: normalised, without article, last noun in the singular."""
    words = core_words(concept)
    return " ".join([*words[:-1], singular(words[-1])]) if words else ""


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """Return an approximate stem, the same for smile, smiles, smiled and smiling, and for run and running."""
    if word.endswith("ing") and len(word) > 5:
        word = word[:-3]
    elif word.endswith("ed") and len(word) > 4:
        word = word[:-2]
    else:
        word = singular(word)
    word = word.removesuffix("e")
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] and word[-1] in "bdgmnprt" else word
