"""The class of a cue's word (function word, affix, lexical), and the list of all words that an audit counts."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from curation_db.language.negation_cues import Cue, CueClass, CuePattern, cue_patterns
from curation_db.language.negation_idioms import IDIOMS, IDIOMS_OF_ANY_WORD


class WordClass(StrEnum):
    """What kind of word negates."""

    FUNCTION_WORD = "function word"
    """no, not, n't, without, nobody, never, neither"""
    AFFIX = "affix"
    """un-, non-, -less, -free"""
    LEXICAL = "lexical"
    """a noun, verb or adjective: lacks, absent, devoid of, excluding, fails to"""


_LEXICAL: Final = frozenset({"lack", "absent", "fail"})
_LEXICAL_WITHOUT: Final = ("exclud", "omit")
"""Beginnings of the verbs among the cues with the canonical form "without"."""
_AFFIXES: Final = frozenset({"un-", "non-", "-less", "-free"})


def word_class(cue: Cue) -> WordClass:
    """Return the class of the cue's word; a mention has the class of the word that it quotes."""
    return _class_of(cue.word, cue.text.lower())


def _class_of(word: str, text: str) -> WordClass:
    if word in _AFFIXES:
        return WordClass.AFFIX
    lexical = word in _LEXICAL or (word == "without" and text.startswith(_LEXICAL_WITHOUT))
    return WordClass.LEXICAL if lexical else WordClass.FUNCTION_WORD


class ListedWords(NamedTuple):
    """A line of the word list: one kind of cue."""

    word_class: WordClass
    word: str
    """Canonical form, under which the kind is counted."""
    pattern: str
    """Regular expression over lower-case text, between word boundaries."""
    note: str


def word_list() -> list[ListedWords]:
    """Return what an audit counts, by class."""
    listed = [ListedWords(_class_of_pattern(each), each.word, each.pattern, each.note) for each in cue_patterns()]
    return sorted(listed, key=lambda each: list(WordClass).index(each.word_class))


def _class_of_pattern(kind: CuePattern) -> WordClass:
    if kind.cue_class is CueClass.AFFIX:
        return WordClass.AFFIX
    return _class_of(kind.word, kind.pattern)


def not_counted() -> tuple[str, ...]:
    """Return the patterns of the idioms that are not cues, such as "no doubt"."""
    return (*IDIOMS, *IDIOMS_OF_ANY_WORD)
