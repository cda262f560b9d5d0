"""Decide whether a text mentions, affirms or negates an object, with synonyms, both numbers and homonyms.

"Television" mentions a tv; "hot dog" mentions no dog; "a woman without a hat" mentions a hat but does not affirm it.
Reads `data/homonyms.tsv` and `data/synonyms.tsv` once.
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
from curation_db.language.denials import denies
from curation_db.language.negation_cues import Cue, CueClass, find_cues
from curation_db.language.nouns import core_words, forms_of, singular, stem
from curation_db.language.sanitize import normalised

_DATA: Final = Path(curation_db.__path__[0]) / "data"
_NEGATED_PLACEHOLDER: Final = " \N{LATIN LETTER BILABIAL CLICK} "
_FUNCTION_WORDS: Final = words.NEVER_HEADS | words.DETERMINERS | {"that", "slice", "slices", "half", "halves"}
_NOT_NOUNS: Final = _FUNCTION_WORDS | words.FINITE_VERBS
_OBJECT_NEGATIONS: Final = frozenset((NegationType.ABSENCE, NegationType.ATTRIBUTE))
_DEFINITE: Final = re.compile(r"(?i)\b(?:the|his|her|its|their|this|that|these|those)\b")

cues_of = lru_cache(maxsize=1024)(find_cues)
"""Cached, because several rules read the cues of the same text."""


def mentions(text: str, concept: str) -> bool:
    """Return whether `text` mentions `concept` in the singular or plural, by its name or a synonym."""
    return next(_mention_spans(text, concept), None) is not None


def names_of(concept: str) -> tuple[str, ...]:
    """Return the name of `concept`, its synonyms and its kinds ("dog": "puppy")."""
    return _all_names(_name(concept))


def affirms(text: str, concept: str) -> bool:
    """Return whether `text` mentions `concept` outside of negated spans."""
    return mentions(text, concept) and mentions(_without_negated_objects(text), concept)


def category_matches(category: str, concept: str) -> bool:
    """Return whether an annotated object of `category` is `concept`, or may be for lack of a narrower category."""
    name = _name(concept)
    line = normalised(category)
    # "Stop sign" is a sign, but not a stop: the mention must be the head, at the end.
    is_head = any(end == len(line) for _, end in _mention_spans(category, concept))
    return is_head or line in _synonyms("~").get(name, ())


def mentions_in_any_form(text: str, concept: str) -> bool:
    """Return whether `text` mentions `concept` in any word form.

    "Shirtless" mentions a shirt, "does not smile" mentions smiling.
    """
    if mentions(text, concept) or _mentions_literally(text, concept):
        return True
    targets = [cue.target for cue in cues_of(text) if cue.target and cue.cue_class is not CueClass.MENTION]
    if any(mentions(target, concept) for target in targets):
        return True
    concept_stems = {stem(word) for word in core_words(concept) if word not in words.DETERMINERS}
    return bool(concept_stems) and concept_stems <= {stem(word) for word in normalised(text).split()}


def negating_cue(text: str, concept: str) -> Cue | None:
    """Return the cue of `text` that negates `concept` in any word form or by its head alone; None: no cue does.

    A cue with the concept as its target goes before a cue that only has the concept in its scope.
    """
    cues = [cue for cue in cues_of(text) if cue.cue_class is not CueClass.MENTION]
    targeting = (cue for cue in cues if cue.concept_span and _is_target(text[slice(*cue.concept_span)], cue, concept))
    in_scope = (cue for cue in cues if mentions_in_any_form(text[cue.scope_start : cue.scope_end], concept))
    in_other_words = (cue for cue in cues if denies(text, text[cue.scope_start : cue.scope_end], concept))
    return next(targeting, None) or next(in_scope, None) or next(in_other_words, None)


def _is_target(phrase: str, cue: Cue, concept: str) -> bool:
    """Return whether the target of a cue is the concept: "no hat on the dog" negates a hat."""
    return mentions(cue.target or "", concept) or phrase.lower() == concept.lower()


def concept_cue(text: str, concept: str | None) -> Cue | None:
    """Return the cue of `text` that negates `concept`, or else the first cue."""
    cues = cues_of(text)
    negating = negating_cue(text, concept) if concept and len(cues) > 1 else None
    return negating or next(iter(cues), None)


def _mention_spans(text: str, concept: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of `normalised(text)` that mention `concept`."""
    line, concept = normalised(text), _name(concept)
    for prefix, name, pattern in _patterns(concept):
        if prefix not in line:
            continue
        spans = [match.span() for match in pattern.finditer(line)]
        if not spans:
            continue
        homonyms = [match.span() for match in _homonym_pattern(name, concept).finditer(line)]
        for start, end in spans:
            if not any(first <= start and end <= last for first, last in homonyms):
                yield start, end


@lru_cache(maxsize=8192)
def _patterns(concept: str) -> tuple[tuple[str, str, re.Pattern[str]], ...]:
    """Return for each name of `concept`: the common prefix of its forms, the name, and its pattern."""
    listed = ((name, _pattern(name)) for name in _all_names(concept))
    return tuple((_common_prefix(name), name, pattern) for name, pattern in listed if pattern is not None)


def _mentions_literally(text: str, concept: str) -> bool:
    pattern = _pattern(_name(concept))
    return pattern is not None and pattern.search(normalised(text)) is not None


@lru_cache(maxsize=8192)
def _name(concept: str) -> str:
    """Return `concept` in the spelling of the data files."""
    return " ".join(core_words(concept))


def _without_negated_objects(text: str) -> str:
    """Return `text` with a placeholder in place of each scope that negates an object."""
    parts, at = [], 0
    for cue in cues_of(text):
        if cue.cue_class is CueClass.MENTION or not _negates_object(text, cue):
            continue
        start, end = max(at, cue.scope_start), max(at, cue.scope_end)
        parts += [text[at:start], _NEGATED_PLACEHOLDER]
        at = end
    return "".join([*parts, text[at:]])


def _negates_object(text: str, cue: Cue) -> bool:
    """ "Not looking at the car" affirms a car; "no car" and "not in a car" do not."""
    if cue.negation_type in _OBJECT_NEGATIONS:
        return True
    return _DEFINITE.search(text, cue.scope_start, cue.scope_end) is None


@lru_cache(maxsize=8192)
def _pattern(name: str) -> re.Pattern[str] | None:
    parts = name.split()
    if not parts:
        return None
    *first, last = parts
    lead = "".join(re.escape(word) + " " for word in first)
    return re.compile(rf"\b{lead}(?:{_either(forms_of(last))})\b")


def _common_prefix(name: str) -> str:
    """Return the prefix of all forms of `name`: the pattern of `name` cannot match a text without it."""
    *first, last = name.split()
    shared = takewhile(lambda letters: len(set(letters)) == 1, zip(*forms_of(last), strict=False))
    return "".join([*(word + " " for word in first), *(letters[0] for letters in shared)])


def _either(forms: Iterable[str]) -> str:
    return "|".join(re.escape(form) for form in sorted(forms, key=lambda form: (-len(form), form)))


@lru_cache(maxsize=8192)
def _all_names(name: str) -> tuple[str, ...]:
    """Return `name`, its synonyms, the kinds (hyponyms) of these, and the synonyms of the kinds."""
    names = dict.fromkeys([name])
    for relation in ("=", "<", "="):
        table = _synonyms(relation)
        for known in tuple(names):
            names.update(dict.fromkeys(table.get(known, ()) or table.get(_singular_name(known), ())))
    return tuple(names)


def _singular_name(name: str) -> str:
    *first, last = name.split() or [""]
    return " ".join([*first, singular(last)])


@cache
def _synonyms(relation: str) -> dict[str, tuple[str, ...]]:
    """Return for each word the words in `relation` to it: "=" synonyms, "<" kinds, "~" annotated categories."""
    table: dict[str, list[str]] = defaultdict(list)
    for concept, related, listed in _rows("synonyms.tsv", 3):
        others = [" ".join(word.split()) for word in listed.split(",")]
        if related != relation:
            continue
        if relation == "<":
            table[concept] += others
        elif relation == "~":
            for word in others:
                for form in _both_numbers(word):
                    table[form].append(concept)
        else:
            same = [concept, *others]
            for word in same:
                table[word] += [other for other in same if other != word]
    return {word: tuple(dict.fromkeys(related)) for word, related in table.items()}


def _both_numbers(name: str) -> list[str]:
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
    """Return for each homonym row of the form "< animal" the names that it applies to."""
    return {row: frozenset(_all_names(row.removeprefix("< "))) for row in _homonyms() if row.startswith("< ")}


def _rows(name: str, columns: int) -> Iterator[tuple[str, ...]]:
    for line in (_DATA / name).read_text("utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            row = tuple(part.strip() for part in line.split("\t"))
            if len(row) != columns:
                raise ValueError(f"{name}: {line!r} has {len(row)} columns, not {columns}")
            yield row


@lru_cache(maxsize=2048)
def _homonym_pattern(name: str, concept: str) -> re.Pattern[str]:
    """Return a pattern of the phrases that contain `name` and mean something else, or something else than `concept`.

    Each phrase contains the name, so where two of them overlap on the name, either match is enough.
    """
    rows = dict.fromkeys(["*", name, _singular_name(name), concept, _singular_name(concept)])
    rows.update({row: None for row, kinds in _kinds_with_homonyms().items() if {name, _singular_name(name)} & kinds})
    phrases = dict.fromkeys(phrase for row in rows for phrase in _homonyms().get(row, ()))
    matching = [phrase for phrase in phrases if "~" in phrase or _contains(phrase, name)]
    return re.compile(r"\b(?:" + "|".join(_phrase_pattern(phrase, name) for phrase in matching) + r")\b")


def _contains(phrase: str, name: str) -> bool:
    pattern = _pattern(name)
    return pattern is not None and pattern.search(phrase) is not None


def _phrase_pattern(phrase: str, name: str) -> str:
    if phrase.startswith("="):
        nouns, inflect = frozenset((name,)), False
    else:
        nouns, inflect = forms_of(name.rsplit(maxsplit=1)[-1]), True
    parts, phrase_words = [], phrase.removeprefix("=").split()
    for at, word in enumerate(phrase_words):
        if word == "~":
            parts.append(" ".join([*map(re.escape, name.split()[:-1]), f"(?:{_either(nouns)})"]))
        elif word == "*":
            parts.append(rf"(?:(?:{_either(words.ING_NOUNS)})\b|(?!(?:{_either(_NOT_NOUNS)})\b|\w+ing\b)[a-z]\w*)")
        elif inflect and word not in _FUNCTION_WORDS and (word in nouns or at == len(phrase_words) - 1):
            parts.append(f"(?:{_either(forms_of(word))})")
        else:
            parts.append(re.escape(word))
    return " ".join(parts)
