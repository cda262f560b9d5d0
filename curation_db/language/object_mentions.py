"""Whether a text says that a thing is there: whole words, number, other names for it, and words that only look so.

Reads `data/homonyms.tsv` and `data/synonyms.tsv`, once. "Hot dog" names no dog, "television" names a tv, and what a
text denies ("a woman without a hat") it does not name as being there.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from itertools import takewhile
from pathlib import Path
from typing import Final

import curation_db
from curation_db.enums import NegationType
from curation_db.language import negation_lexicon as words
from curation_db.language.negation_cues import Cue, CueClass, find_cues
from curation_db.language.nouns import core_words, forms_of, singular, stem
from curation_db.language.sanitize import normalised

_DATA: Final = Path(curation_db.__path__[0]) / "data"
_DENIED: Final = " \N{LATIN LETTER BILABIAL CLICK} "
_FUNCTION_WORDS: Final = words.NEVER_HEADS | words.DETERMINERS | {"that", "slice", "slices", "half", "halves"}
_NO_NOUNS: Final = _FUNCTION_WORDS | words.FINITE_VERBS
_THINGS_DENIED: Final = frozenset((NegationType.ABSENCE, NegationType.ATTRIBUTE))
_DEFINITE: Final = re.compile(r"(?i)\b(?:the|his|her|its|their|this|that|these|those)\b")

cues_of = lru_cache(maxsize=1024)(find_cues)
"""One text is asked by several rules."""


def mentions(text: str, concept: str) -> bool:
    """Whether `text` names `concept` in the singular or the plural, by that or another name."""
    return next(_places(text, concept), None) is not None


def affirms(text: str, concept: str) -> bool:
    """Whether `text` names `concept`, and not only to deny it."""
    return mentions(text, concept) and mentions(_without_denials(text), concept)


def category_matches(category: str, concept: str) -> bool:
    """Whether an annotated object of `category` is, or for want of a better category may be, `concept`."""
    name = _name(concept)
    line = normalised(category)
    # "Stop sign" is a sign, but no stop.
    named = any(end == len(line) for _, end in _places(category, concept))
    return named or line in _synonyms("~").get(name, ())


def mentions_in_any_form(text: str, concept: str) -> bool:
    """Whether `text` is about `concept` in any form: "shirtless" is about a shirt, "does not smile" about smiling."""
    if mentions(text, concept) or _literally(text, concept):
        return True
    targets = [cue.target for cue in cues_of(text) if cue.target and cue.cue_class is not CueClass.MENTION]
    if any(mentions(target, concept) for target in targets):
        return True
    asked = [word for word in core_words(concept) if word not in words.DETERMINERS]
    said = normalised(text).split()
    return bool(asked) and {stem(word) for word in asked} <= {stem(word) for word in said}


def negating_cue(text: str, concept: str) -> Cue | None:
    """The cue of `text` that denies `concept`, named in any form; None: the text does not deny it.

    Of several, the first one whose own phrase names the concept goes before one that only has it in its scope.
    """
    cues = [cue for cue in cues_of(text) if cue.cue_class is not CueClass.MENTION]
    own = (cue for cue in cues if cue.concept_span and _names_first(text[slice(*cue.concept_span)], cue, concept))
    reached = (cue for cue in cues if mentions_in_any_form(text[cue.scope_start : cue.scope_end], concept))
    return next(own, None) or next(reached, None)


def _names_first(phrase: str, cue: Cue, concept: str) -> bool:
    """Whether the head of what a cue denies is the concept: "no hat on the dog" denies a hat."""
    head = cue.target or ""
    return mentions(head, concept) or phrase.lower() == concept.lower()


def concept_cue(text: str, concept: str | None) -> Cue | None:
    """The cue of `text` that counts: the one that denies `concept`, else the first."""
    cues = cues_of(text)
    denies = negating_cue(text, concept) if concept and len(cues) > 1 else None
    return denies or next(iter(cues), None)


def _places(text: str, concept: str) -> Iterator[tuple[int, int]]:
    """Where `normalised(text)` names `concept`."""
    line, concept = normalised(text), _name(concept)
    for beginning, name, pattern in _patterns(concept):
        if beginning not in line:
            continue
        found = [match.span() for match in pattern.finditer(line)]
        if not found:
            continue
        decoys = [match.span() for match in _decoys(name, concept).finditer(line)]
        for start, end in found:
            if not any(first <= start and end <= last for first, last in decoys):
                yield start, end


@lru_cache(maxsize=8192)
def _patterns(concept: str) -> tuple[tuple[str, str, re.Pattern[str]], ...]:
    """For each name of `concept`: what all its forms begin with, the name, and its pattern."""
    listed = ((name, _pattern(name)) for name in _all_names(concept))
    return tuple((_beginning(name), name, pattern) for name, pattern in listed if pattern is not None)


def _literally(text: str, concept: str) -> bool:
    pattern = _pattern(_name(concept))
    return pattern is not None and pattern.search(normalised(text)) is not None


@lru_cache(maxsize=8192)
def _name(concept: str) -> str:
    """`concept` as the lists have it."""
    return " ".join(core_words(concept))


def _without_denials(text: str) -> str:
    """`text` with the things that it says are not there taken out."""
    kept, at = [], 0
    for cue in cues_of(text):
        if cue.cue_class is CueClass.MENTION or not _denies_a_thing(text, cue):
            continue
        start, end = max(at, cue.scope_start), max(at, cue.scope_end)
        kept += [text[at:start], _DENIED]
        at = end
    return "".join([*kept, text[at:]])


def _denies_a_thing(text: str, cue: Cue) -> bool:
    """ "Not looking at the car" says that there is a car; "no car" and "not in a car" do not."""
    if cue.negation_type in _THINGS_DENIED:
        return True
    return _DEFINITE.search(text, cue.scope_start, cue.scope_end) is None


@lru_cache(maxsize=8192)
def _pattern(name: str) -> re.Pattern[str] | None:
    listed = name.split()
    if not listed:
        return None
    *first, last = listed
    lead = "".join(re.escape(word) + " " for word in first)
    return re.compile(rf"\b{lead}(?:{_either(forms_of(last))})\b")


def _beginning(name: str) -> str:
    """What every form of `name` begins with: where a text does not hold it, the pattern of `name` finds nothing."""
    *first, last = name.split()
    shared = takewhile(lambda letters: len(set(letters)) == 1, zip(*forms_of(last), strict=False))
    return "".join([*(word + " " for word in first), *(letters[0] for letters in shared)])


def _either(forms: Iterable[str]) -> str:
    return "|".join(re.escape(form) for form in sorted(forms, key=lambda form: (-len(form), form)))


@lru_cache(maxsize=8192)
def _all_names(name: str) -> tuple[str, ...]:
    """`name` and all that names the same: the kinds of its synonyms, and what these are called, too."""
    found = dict.fromkeys([name])
    for relation in ("=", "<", "="):
        table = _synonyms(relation)
        for known in tuple(found):
            found.update(dict.fromkeys(table.get(known, ()) or table.get(_singular_name(known), ())))
    return tuple(found)


def _singular_name(name: str) -> str:
    *first, last = name.split() or [""]
    return " ".join([*first, singular(last)])


@cache
def _synonyms(relation: str) -> dict[str, tuple[str, ...]]:
    """By each word, what stands in `relation` to it: for "=" its equals, for "<" its kinds, for "~" its categories."""
    table: dict[str, list[str]] = defaultdict(list)
    for concept, related, listed in _rows("synonyms.tsv", 3):
        others = [" ".join(word.split()) for word in listed.split(",")]
        if related != relation:
            continue
        if relation == "<":
            table[concept] += others
        elif relation == "~":
            for word in others:
                for form in _number(word):
                    table[form].append(concept)
        else:
            same = [concept, *others]
            for word in same:
                table[word] += [other for other in same if other != word]
    return {word: tuple(dict.fromkeys(related)) for word, related in table.items()}


def _number(name: str) -> list[str]:
    *first, last = name.split()
    return [" ".join([*first, form]) for form in forms_of(last)]


@cache
def _homonyms() -> dict[str, tuple[str, ...]]:
    table: dict[str, tuple[str, ...]] = {}
    for concept, listed in _rows("homonyms.tsv", 2):
        table[concept] = (*table.get(concept, ()), *(" ".join(phrase.split()) for phrase in listed.split(",")))
    return table


@cache
def _kinds_with_homonyms() -> dict[str, frozenset[str]]:
    """By the rows "< animal" and the like, the names they hold for."""
    return {row: frozenset(_all_names(row.removeprefix("< "))) for row in _homonyms() if row.startswith("< ")}


def _rows(name: str, columns: int) -> Iterator[tuple[str, ...]]:
    for line in (_DATA / name).read_text("utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            row = tuple(part.strip() for part in line.split("\t"))
            if len(row) != columns:
                raise ValueError(f"{name}: {line!r} has {len(row)} columns, not {columns}")
            yield row


@lru_cache(maxsize=2048)
def _decoys(name: str, concept: str) -> re.Pattern[str]:
    """The phrases that hold `name` without naming it, or without naming the `concept` it stands for.

    Each phrase holds the name, so where two overlap on it, it does not matter which of them is found.
    """
    rows = dict.fromkeys(["*", name, _singular_name(name), concept, _singular_name(concept)])
    rows.update({row: None for row, kinds in _kinds_with_homonyms().items() if {name, _singular_name(name)} & kinds})
    phrases = dict.fromkeys(phrase for row in rows for phrase in _homonyms().get(row, ()))
    said = [phrase for phrase in phrases if "~" in phrase or _holds(phrase, name)]
    return re.compile(r"\b(?:" + "|".join(_phrase_pattern(phrase, name) for phrase in said) + r")\b")


def _holds(phrase: str, name: str) -> bool:
    pattern = _pattern(name)
    return pattern is not None and pattern.search(phrase) is not None


def _phrase_pattern(phrase: str, name: str) -> str:
    if phrase.startswith("="):
        nouns, inflect = frozenset((name,)), False
    else:
        nouns, inflect = forms_of(name.rsplit(maxsplit=1)[-1]), True
    parts, listed = [], phrase.removeprefix("=").split()
    for at, word in enumerate(listed):
        if word == "~":
            parts.append(" ".join([*map(re.escape, name.split()[:-1]), f"(?:{_either(nouns)})"]))
        elif word == "*":
            parts.append(rf"(?:(?:{_either(words.ING_NOUNS)})\b|(?!(?:{_either(_NO_NOUNS)})\b|\w+ing\b)[a-z]\w*)")
        elif inflect and word not in _FUNCTION_WORDS and (word in nouns or at == len(listed) - 1):
            parts.append(f"(?:{_either(forms_of(word))})")
        else:
            parts.append(re.escape(word))
    return " ".join(parts)
