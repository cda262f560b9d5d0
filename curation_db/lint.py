"""Checks on a candidate: what a machine can see about it without looking at the picture. Pure.

Each rule has a name and says one line. A finding warns a person; it never decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from curation_db.bpe import CONTEXT_LENGTH
from curation_db.text import normalised


class Rule(StrEnum):
    """The rules, by name."""

    CUE = "cue"
    """The text denies something."""
    UNCHANGED = "unchanged"
    """The text differs from the caption."""
    TOKENS = "tokens"
    """CLIP reads all of it."""
    CONCEPT_LOST = "concept-lost"
    """The text names what it is said to deny."""
    IN_CAPTION = "in-caption"
    """The caption does not name the denied thing."""
    IN_SIBLING = "in-sibling"
    """No other caption of the picture names the denied thing."""
    IN_OBJECTS = "in-objects"
    """The picture's annotated objects do not include the denied thing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule found."""

    rule: Rule
    ok: bool
    says: str
    """One line; text of the data may be in it, so show it through `display_text`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What the rules look at."""

    text: str
    concept: str | None
    cue: str | None
    tokens: int
    caption: str | None
    siblings: tuple[str, ...] = ()
    objects: Mapping[str, int]


def lint(subject: Subject) -> tuple[Finding, ...]:
    """All findings about `subject`: the standing checks first, then only what is wrong."""
    return tuple(_standing(subject)) + tuple(_warnings(subject))


def _standing(subject: Subject) -> Iterable[Finding]:
    yield Finding(Rule.CUE, bool(subject.cue), "cue" if subject.cue else "no negation cue")
    fits = subject.tokens <= CONTEXT_LENGTH
    yield Finding(Rule.TOKENS, fits, f"{subject.tokens}/{CONTEXT_LENGTH} tokens" + ("" if fits else ": cut off"))


def _warnings(subject: Subject) -> Iterable[Finding]:
    if subject.caption is not None and normalised(subject.caption) == normalised(subject.text):
        yield Finding(Rule.UNCHANGED, False, "the caption is unchanged")
    if not subject.concept:
        return
    if not names(subject.text, subject.concept):
        yield Finding(Rule.CONCEPT_LOST, False, "the concept is not in the text")
    if subject.caption is not None and names(subject.caption, subject.concept):
        yield Finding(Rule.IN_CAPTION, False, "the original caption names the concept")
    if any(names(sibling, subject.concept) for sibling in subject.siblings):
        yield Finding(Rule.IN_SIBLING, False, "a sibling caption names the concept")
    if listed := [name for name in subject.objects if names(name, subject.concept)]:
        yield Finding(Rule.IN_OBJECTS, False, f"annotated in the picture: {subject.objects[listed[0]]} × {listed[0]}")


def names(text: str, concept: str) -> bool:
    """Whether `text` names `concept` as whole words, in the singular or the plural."""
    pattern = _pattern(normalised(concept))
    return pattern is not None and pattern.search(normalised(text)) is not None


@lru_cache(maxsize=4096)
def _pattern(concept: str) -> re.Pattern[str] | None:
    words = concept.split()
    if not words:
        return None
    *first, last = words
    forms = "|".join(re.escape(form) for form in sorted(_forms(last), key=len, reverse=True))
    return re.compile(r"\b" + "".join(re.escape(word) + " " for word in first) + f"(?:{forms})" + r"\b")


_IRREGULAR = (
    {"man", "men"}, {"woman", "women"}, {"child", "children"}, {"person", "people", "persons"}, {"foot", "feet"},
    {"tooth", "teeth"}, {"mouse", "mice"}, {"goose", "geese"}, {"knife", "knives"}, {"leaf", "leaves"},
    {"shelf", "shelves"}, {"loaf", "loaves"}, {"scarf", "scarves", "scarfs"}, {"sheep"}, {"glasses"}, {"scissors"},
)  # fmt: skip


def _forms(noun: str) -> set[str]:
    """A noun's singular and plural, by the spelling rules; over-generating is harmless, nothing matches it."""
    for forms in _IRREGULAR:
        if noun in forms:
            return forms
    forms = {noun, noun + "s"}
    if noun.endswith(("s", "x", "z", "ch", "sh", "o")):
        forms.add(noun + "es")
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        forms.add(noun[:-1] + "ies")
    if noun.endswith("ies"):
        forms.add(noun[:-3] + "y")
    if noun.endswith("es"):
        forms.add(noun[:-2])
    if noun.endswith("s") and not noun.endswith("ss"):
        forms.add(noun[:-1])
    return forms
