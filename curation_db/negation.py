"""Finds the words that say "no" in an English caption, and what each of them denies.

Owns what counts as a cue. Only words that deny aloud do: "empty", "bald" or "instead of" do not. Text that is quoted
from the picture ("a no parking sign") is a `MENTION`: it is found and shown, but denies nothing about the picture.
Every span indexes the text as given; finding costs time linear in its length, and next to nothing without a cue.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import islice, pairwise
from typing import Final

from curation_db import negation_words as words
from curation_db.negation_scope import THERE_BE, Denied, denied_by, nothing_named
from curation_db.words import NegationType


class CueClass(StrEnum):
    """What kind of word says no."""

    DETERMINER = "determiner"
    """no"""
    CLAUSAL = "clausal"
    """not, n't, cannot, no longer"""
    PREPOSITION = "preposition"
    """without, and what does its work: lacking, devoid of, free of, absent, missing"""
    PRONOUN = "pronoun"
    """no one, nobody, nothing, none"""
    ADVERB = "adverb"
    """never, nowhere"""
    COORDINATION = "coordination"
    """neither, nor"""
    AFFIX = "affix"
    """un-, non-, -less, -free"""
    MENTION = "mention"
    """a cue of any kind in words quoted from the picture: "no parking" on a sign"""


class Position(StrEnum):
    """Where in its text a cue stands, by thirds."""

    BEGINNING = "beginning"
    MIDDLE = "middle"
    END = "end"


@dataclass(frozen=True, slots=True)
class Cue:
    """One cue and what it denies."""

    text: str
    """As written."""
    start: int
    end: int
    cue_class: CueClass
    word: str
    """The cue in its canonical form: "no one" is a "no", "n't" and "cannot" are "not", "untied" is an "un-"."""
    scope_start: int
    """The scope may stand before the cue ("the hat is absent"), after it, or around it (affixes, pronouns)."""
    scope_end: int
    target: str | None
    """The head of what is denied, lower-case; "person" for "no one"; None where nothing can be named."""
    target_start: int
    target_end: int
    position: Position


_CLASSES: Final[dict[str, tuple[CueClass, str]]] = {
    "no": (CueClass.DETERMINER, "no"),
    "no_longer": (CueClass.CLAUSAL, "no"),
    "no_one": (CueClass.PRONOUN, "no"),
    "nobody": (CueClass.PRONOUN, "nobody"),
    "nothing": (CueClass.PRONOUN, "nothing"),
    "none": (CueClass.PRONOUN, "none"),
    "nowhere": (CueClass.ADVERB, "nowhere"),
    "neither": (CueClass.COORDINATION, "neither"),
    "nor": (CueClass.COORDINATION, "nor"),
    "never": (CueClass.ADVERB, "never"),
    "contraction": (CueClass.CLAUSAL, "not"),
    "not": (CueClass.CLAUSAL, "not"),
    "without": (CueClass.PREPOSITION, "without"),
    "lack": (CueClass.PREPOSITION, "lack"),
    "absent": (CueClass.PREPOSITION, "absent"),
    "un": (CueClass.AFFIX, "un-"),
    "non": (CueClass.AFFIX, "non-"),
    "less": (CueClass.AFFIX, "-less"),
    "free": (CueClass.AFFIX, "-free"),
}

_UN: Final = frozenset("un" + stem for stem in words.UN_STEMS)
_LESS: Final = frozenset(stem + "less" for stem in words.LESS_STEMS)
# A hint is cheap and may be wrong, but never misses a cue: every cue holds one of these words ("isn't" holds a "t").
_HINTS: Final = frozenset(words.HINTS) | _UN | _LESS
_WORD: Final = re.compile("[a-z]+")
_MOST_CUES: Final = 1_000


def _spaced(pattern: str) -> str:
    """`pattern` with its blanks taken for any few blanks."""
    return pattern.replace(" ", r"\s{1,3}")


_DETERMINER_AHEAD: Final = _spaced(r"(?= (?:an?|any|the|its|his|her|their|some|one|two|three|several|most|all)\b)")
# Read before any kind of cue; what stands here is none.
_NO_CUES: Final = (
    r"no\s{0,3}\.?\s{0,3}\#?\s{0,3}\d+",  # no. 5
    r"no is \d+",
    r"no\. of\b",
    r"no (?:doubt|matter|wonder|fewer|less|sooner)\b",
    r"not (?:only|just|merely|simply|to mention)\b",
    r"(?:or|if|why) not\b(?! \w+ing\b)",
    r"(?:or|and) no\b(?=\W{0,3}$)",  # yes or no
    r"\w+-me-nots?\b",
    r"no-(?:brainer|no)s?\b",
    r"nothing (?:but|less than|short of)\b",
    r"none (?:other|the less)\b",
    r"never(?: mind\b|-\w+)",
    r"without (?:an? |any )?(?:doubt|question)\b",
    r"go(?:es)? without saying\b",
    r"absent-minded\w*",
    "(?:" + "|".join(words.NOT_FREE) + r")-free\b",
)
# One pattern for each kind of cue, tried in this order at each place.
_KINDS: Final = {
    "no_longer": "no longer",
    "no_one": r"no[\s-]?one",
    "nobody": "nobody",
    "nothing": "nothing",
    "nowhere": r"no\s?where",
    "none": "none",
    "neither": "neither",
    "nor": "nor(?!['’])",  # nor'easter
    "never": "never",
    "contraction": rf"(?:{'|'.join(words.AUXILIARIES_BEFORE_NT)})\s?n\s?['’]\s?t|{'|'.join(words.BARE_CONTRACTIONS)}",
    "not": "cannot|not",
    "non": "non-[a-z]{3,}",
    "no": "no",
    "without": rf"without|w/o|(?:with out|minus){_DETERMINER_AHEAD}",
    "lack": "lack(?:s|ed|ing)?(?: of)?|(?:absence|absent|devoid|void|bereft|empty|clear|free) of|free from"
    rf"|missing{_DETERMINER_AHEAD}",
    "absent": r"absent|(?:(?<=\bis\s)|(?<=\bare\s)|(?<=\bwas\s)|(?<=\bwere\s))missing"
    r"|missing(?=\s{0,3}(?:[.,;!]|$|from\b))",
    "un": "un[a-z]{3,12}",  # of these, only the listed
    "less": "[a-z]{3,9}less",
    "free": "[a-z]{2,20}-free",
}
_CUE: Final = (
    rf"(?ai:\b(?P<skip>{'|'.join(map(_spaced, _NO_CUES))})|"
    + "|".join(rf"\b(?P<{kind}>{_spaced(pattern)})\b" for kind, pattern in _KINDS.items())
    + ")"
)

_QUOTED: Final = (
    r"\"(?P<a>[^\"\n]{1,60})\"|[“„](?P<b>[^”“\n]{1,60})[”“]|(?<!\w)['‘](?=\S)(?P<c>[^'‘’\n]{1,60})(?<=\S)['’](?!\w)"
)
_QUOTED_WORDS: Final = 6
_REACH: Final = 80
_SIGN: Final = "|".join(words.SIGN_NOUNS)
_FORBIDDEN: Final = "(?:" + "|".join(words.FORBIDDEN) + "|turns?)"
_SIGN_SAYS: Final = (
    r"(?i)(?:\b(?:" + "|".join(words.SIGN_VERBS) + r")\s*(?:that|:|,)?\s*(?:do\s+)?|\bsigns?\s*:[^.\n]{0,60})$"
)
_DISPLAYS: Final = r"(?i)\bdisplay(?:s|ing)?\s*$"
_FORBIDS: Final = (
    rf"(?i)no(?:\s?-\s?|\s+)(?:(?:left|right|u)\W{{0,3}})?{_FORBIDDEN}\b(?:\W+\w+){{0,2}}?\W+(?:{_SIGN})\b"
    rf"|no\s?-\s?{_FORBIDDEN}\b"
)
_COMMAND: Final = r"(?i)\b(?:the|an?)\s+do\s+$"
_COMMAND_ON_SIGN: Final = (
    rf"(?i)(?:\w+\s?n['’]\s?t|not)\s+(?!(?:an?|the|any|one|his|her|its|their)\b)\w+\s+(?:{_SIGN})\b"
)

_compiled: Final = cache(re.compile)
"""Patterns are compiled when first needed: most imports of this module only want its types."""


def find_cues(text: str) -> tuple[Cue, ...]:
    """The cues of `text` in reading order, mentions included; of a text that holds thousands, the first thousand."""
    matches = list(islice(_matches(text), _MOST_CUES))
    if not matches:
        return ()
    quotes, places = _quotes(text), _Places(text)
    return tuple(_cue(text, match, quotes, places) for match in matches)


def _matches(text: str) -> Iterator[re.Match[str]]:
    if _HINTS.isdisjoint(_WORD.findall(text.lower())):
        return iter(())
    return filter(_is_cue, _compiled(_CUE).finditer(text))


def _is_cue(match: re.Match[str]) -> bool:
    kind = match.lastgroup
    if kind == "un":
        return match.group().lower() in _UN
    if kind == "less":
        return match.group().lower() in _LESS
    return kind != "skip"


def first_cue(text: str) -> Cue | None:
    """The first cue, which is the one that slices and summaries go by."""
    return next(iter(find_cues(text)), None)


def has_cue(text: str) -> bool:
    """Whether `find_cues` finds any."""
    return next(_matches(text), None) is not None


def position_of(text: str, start: int) -> Position:
    """The third of `text` in which the word at `start` stands, by its index among the blank-separated words.

    Of n words, word i is at i/(n-1) of the way: below 1/3 is the beginning, below 2/3 the middle. This definition gives
    the published thirds of NegRefCOCOg (48, 204, 188).
    """
    return _Places(text).position(start)


def double_negation(text: str) -> bool:
    """Whether one cue denies another ("not without a hat"); two that stand side by side do not."""
    cues = [cue for cue in find_cues(text) if cue.cue_class is not CueClass.MENTION and cue.word != "nor"]
    return any(
        max(outer.end, outer.scope_start) <= inner.start < outer.scope_end or not text[outer.end : inner.start].strip()
        for outer, inner in pairwise(cues)
    )


def negation_type_of(text: str, cue: Cue) -> NegationType:
    """What kind of thing `cue` denies in `text`.

    absence: no X, without X, not having X, X is not visible. attribute: not wearing X, not red, untied.
    action: not doing X, not holding X. relation: not in X, not next to X. other: not X but Y, mentions, nothing named.
    """
    return _denied(text, cue).negation_type


def concept_span(text: str, cue: Cue) -> tuple[int, int] | None:
    """The words of what `cue` denies that a judge would be asked about: "red pillow", "looking at the camera"."""
    denied = _denied(text, cue)
    return None if denied.target is None else (denied.concept_start, denied.concept_end)


def _denied(text: str, cue: Cue) -> Denied:
    match = _compiled(_CUE).match(text, cue.start)
    if match is None or not _is_cue(match) or cue.cue_class is CueClass.MENTION:
        return nothing_named(cue.start, cue.end)
    return denied_by(text, str(match.lastgroup), match.start(), match.end())


def _cue(text: str, match: re.Match[str], quotes: list[tuple[int, int]], places: _Places) -> Cue:
    kind = str(match.lastgroup)
    start, end = match.span()
    cue_class, word = _CLASSES[kind]
    mentioned = _mention(text, kind, start, end, quotes)
    if mentioned is not None:
        cue_class, denied = CueClass.MENTION, nothing_named(start, mentioned)
    else:
        denied = denied_by(text, kind, start, end)
    return Cue(
        match.group(), start, end, cue_class, word, denied.scope_start, denied.scope_end,
        denied.target, denied.target_start, denied.target_end, places.position(start),
    )  # fmt: skip


class _Places:
    """The thirds of a text, for any number of cues."""

    def __init__(self, text: str) -> None:
        self._starts = [match.start() for match in re.finditer(r"\S+", text)]

    def position(self, start: int) -> Position:
        index = bisect_right(self._starts, start) - 1
        steps = len(self._starts) - 1
        if index * 3 < steps or steps <= 0:
            return Position.BEGINNING
        return Position.MIDDLE if index * 3 < 2 * steps else Position.END


def _quotes(text: str) -> list[tuple[int, int]]:
    """Short quotations; not a text that is quoted as a whole, as chat models like to do."""
    spans = [match.span(match.lastgroup or 0) for match in _compiled(_QUOTED).finditer(text)]
    return [
        (start, end)
        for start, end in spans
        if end - start < 0.8 * len(text.strip()) and len(text[start:end].split()) <= _QUOTED_WORDS
    ]


def _mention(text: str, kind: str, start: int, end: int, quotes: list[tuple[int, int]]) -> int | None:
    """Where the quoted words end if the cue is among them, else None."""
    quote = bisect_right(quotes, (start, len(text))) - 1
    if quote >= 0 and quotes[quote][0] <= start < quotes[quote][1]:
        return quotes[quote][1]
    before = text[max(0, start - _REACH) : start]
    if kind == "no":
        return _forbidden(text, start, end, before)
    if kind in {"not", "contraction"}:
        commands = _compiled(_COMMAND_ON_SIGN).match(text, start, start + _REACH)
        on_sign = commands or _compiled(_COMMAND).search(before) or _compiled(_SIGN_SAYS).search(before)
        return end if on_sign else None
    return None


def _forbidden(text: str, start: int, end: int, before: str) -> int | None:
    """Where a prohibition ends: "a no parking sign", "a sign that says no parking"; not "there is no parking sign"."""
    if THERE_BE.search(before):
        return None
    forbids = _compiled(_FORBIDS).match(text, start, start + _REACH)
    if forbids is not None:
        return forbids.end()
    if _compiled(_SIGN_SAYS).search(before) and not _compiled(_DISPLAYS).search(before):
        return end
    return None
