"""Finds the words that say "no" in an English caption, and what each of them denies.

Owns what counts as a cue. Only words that deny aloud do: "empty", "bald" or "instead of" do not, nor do idioms
(`negation_idioms`). Text that is quoted from the picture ("a no parking sign") is a `MENTION`: it is found and shown,
but denies nothing about the picture. Every span indexes the text as given; finding costs time linear in its length,
and next to nothing without a cue.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cache
from itertools import islice
from typing import Final, NamedTuple

from curation_db.enums import NegationType
from curation_db.language import negation_lexicon as words
from curation_db.language.chunker import noun_phrase, tokens_after
from curation_db.language.negation_idioms import IDIOMS, IDIOMS_OF_ANY_WORD
from curation_db.language.negation_scope import THERE_BE, negated_span, span_without_target


class CueClass(StrEnum):
    """What kind of word says no."""

    DETERMINER = "determiner"
    """no, zero"""
    CLAUSAL = "clausal"
    """not, n't, cannot, no longer, fails to, refuses to"""
    PREPOSITION = "preposition"
    """without, and what does its work: lacking, devoid of, free of, absent, missing, sans, minus, excluding"""
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


class Cue(NamedTuple):
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
    negation_type: NegationType
    """absence: no X, without X, not having X, X is not visible. attribute: not wearing X, not red, untied.
    action: not doing X, not holding X. relation: not in X, not next to X. other: not X but Y, mentions, nothing named.
    """
    concept_span: tuple[int, int] | None
    """The words a judge would be asked about: "red pillow", "looking at the camera"; None where `target` is None."""


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
    "exclude": (CueClass.PREPOSITION, "without"),
    "except": (CueClass.PREPOSITION, "without"),
    "by_absence": (CueClass.PREPOSITION, "absent"),
    "absent": (CueClass.PREPOSITION, "absent"),
    "zero": (CueClass.DETERMINER, "zero"),
    "fail": (CueClass.CLAUSAL, "fail"),
    "refuse": (CueClass.CLAUSAL, "refuse"),
    "un_by": (CueClass.AFFIX, "un-"),
    "un": (CueClass.AFFIX, "un-"),
    "non": (CueClass.AFFIX, "non-"),
    "less": (CueClass.AFFIX, "-less"),
    "free": (CueClass.AFFIX, "-free"),
}

_UN: Final = frozenset("un" + stem for stem in words.UN_STEMS)
# A hint is cheap and may be wrong, but never misses a cue: every cue holds one of these words ("isn't" holds a "t"),
# or a part that `_may_hold_cue` looks for.
_HINTS: Final = frozenset(words.HINTS) | _UN
_WORD: Final = re.compile("[a-z]+")
_MOST_CUES: Final = 1_000


def _spaced(pattern: str) -> str:
    """`pattern` with its blanks taken for any few blanks."""
    return pattern.replace(" ", r"\s{1,3}")


_DETERMINER_AHEAD: Final = _spaced(r"(?= (?:an?|any|the|its|his|her|their|some|one|two|three|several|most|all)\b)")
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
    "zero": "zero(?= [a-z])",
    "without": rf"without|w/o|with out{_DETERMINER_AHEAD}",
    "exclude": r"sans(?=\s)|minus(?= [a-z])|exclud(?:es?|ed|ing)|omit(?:s|ted|ting)",
    "except": "except(?:ing)?(?: for)?",
    "by_absence": "(?:(?:conspicuous|evident|marked|notable|noticeable|noticed|remarkable) )?"
    r"(?:by|in|for) (?:its|his|her|their|the) absence(?! of\b)",
    "lack": "lack(?:s|ed|ing)?(?: of)?|free from"
    "|(?:absence|absent|devoid|void|bereft|empty|clear|free|bare|barren|deprived|stripped) of",
    "absent": "absent|missing",
    "fail": r"fail(?:s|ed|ing)?(?= to\b)",
    "refuse": r"refus(?:e|es|ed|ing)(?= to\b)",
    "un_by": "un[a-z]{3,14}(?:ed|en|rn|wn|ept) by",
    "un": "un[a-z]{3,12}",  # of these, only the listed
}
# Of these the ending is known, not the beginning.
_ENDINGS: Final = {
    "less": "[a-z]{3,12}less",  # all but the listed
    "free": "[a-z]{2,20}-free",  # all but the listed
}
# The first two letters of every idiom and kind of a known beginning: at most places nothing else has to be tried.
_BEGINNINGS: Final = (
    "a[bilnrst] b[aey] c[alo] d[aeior] e[mvx] f[aor] g[or] ha i[fns] la m[aeiorsu] n['’eou] o[mru] pl re s[aehtu]"
    " t[ho] un vo w[aehio/] ze"
)


def _either(kinds: Mapping[str, str], idioms: Sequence[str]) -> str:
    """One pattern of lower-case words: the idioms, which are no cues, before the kinds."""
    skip = rf"(?P<skip>{'|'.join(map(_spaced, idioms))})"
    return "|".join([skip, *(rf"(?P<{kind}>{_spaced(pattern)})\b" for kind, pattern in kinds.items())])


_CUE: Final = rf"(?a:\b(?={'|'.join(_BEGINNINGS.split())})(?:{_either(_KINDS, IDIOMS)}))"
_ANY_CUE: Final = rf"(?a:\b(?:{_either({**_KINDS, **_ENDINGS}, (*IDIOMS_OF_ANY_WORD, *IDIOMS))}))"
_ENDING: Final = re.compile(r"less|-free|-me-not|\bor\s{1,3}no\b")
"""Where a text holds none of these, `_CUE` finds what `_ANY_CUE` does."""

_QUOTED: Final = (
    r"\"(?P<a>[^\"\n]{1,60})\"|[“„](?P<b>[^”“\n]{1,60})[”“]|(?<!\w)['‘](?=\S)(?P<c>[^'‘’\n]{1,60})(?<=\S)['’](?!\w)"
)
_QUOTATION_MARK: Final = re.compile("[\"“„'‘]")
_QUOTED_WORDS: Final = 6
_REACH: Final = 80
_SIGN: Final = "|".join(words.SIGN_NOUNS)
_FORBIDDEN: Final = "(?:" + "|".join(words.FORBIDDEN) + "|turns?)"
_SIGN_SAYS: Final = (
    r"(?i)(?:\b(?:" + "|".join(words.SIGN_VERBS) + r")\s*(?:that|:|,)?\s*(?:do\s+)?|\bsigns?\s*:[^.\n]{0,60})$"
)
_SIGN_WORDS: Final = frozenset((*words.SIGN_VERBS, "sign", "signs"))
_DISPLAYS: Final = r"(?i)\bdisplay(?:s|ing)?\s*$"
_FORBIDS: Final = (
    rf"(?i)no(?:\s?-\s?|\s+)(?:(?:left|right|u)\W{{0,3}})?{_FORBIDDEN}\b(?:\W+\w+){{0,2}}?\W+(?:{_SIGN})\b"
    rf"|no\s?-\s?{_FORBIDDEN}\b"
)
_COMMAND: Final = r"(?i)\b(?:the|an?)\s+do\s+$"
_COMMAND_ON_SIGN: Final = (
    rf"(?i)(?:\w+\s?n['’]\s?t|not)\s+(?!(?:an?|the|any|one|his|her|its|their)\b)\w+\s+(?:{_SIGN})\b"
)

_NO_MARKUP: Final = re.compile(r"[^<*_`\n\u2190-\u27bf\u2b00-\u2bff\ufe0f\u200d\U0001f000-\U0001faff]*")
_MARKUP: Final = re.compile(
    r"</?[a-zA-Z][^<>\n]{0,80}>|[*`]+|(?<![^\W_])_+|_+(?![^\W_])|(?<!\n)\n(?!\s*\n)"
    r"|[\u2190-\u27bf\u2b00-\u2bff\ufe0f\u200d\U0001f000-\U0001faff]+"
)
_UN_BY: Final = re.compile(r"\bun[a-z]+\s{1,3}by\b")
_ASSERTS: Final = re.compile(
    r"(?i)\b(?:with|has|have|had|having|contains?|containing|shows?|showing|is|are|was|were|sees?|features?)\s*$"
)
_ALL_OF_IT: Final = (
    r"(?i)\b(?:everything|everyone|everybody|complete|full|fully|set|all (?:of )?(?:the|its|their)|every)\b"
)
_LITTLE_OF_IT: Final = (
    r"(?i)\b(?:no|not|none|nothing|nobody|never|without|empty|bare|deserted|vacant|blank|naked|nude|plain|alone)\b"
    r"|n['’]t\b"
)
_SENTENCE_START: Final = r"(?:^|[.!?:;\n\"“])\s*$"
_CAPITALISED_NEXT: Final = r"\s+(?:[A-Z][a-z]+\s?)+"

_compiled: Final = cache(re.compile)
"""Patterns are compiled when first needed: most imports of this module only want its types."""


def find_cues(text: str) -> tuple[Cue, ...]:
    """The cues of `text` in reading order, mentions included; of a text that holds thousands, the first thousand."""
    if not _may_hold_cue(text):
        return ()
    plain = without_markup(text)
    matches = list(islice(_matches(plain), _MOST_CUES))
    if not matches:
        return ()
    quotes, places = _quotes(plain), _Places(text)
    return tuple(_cue(text, plain, match, quotes, places) for match in matches)


def without_markup(text: str) -> str:
    """`text` with tags, Markdown marks, emoji and single line ends as blanks; every other character keeps its place."""
    if _NO_MARKUP.fullmatch(text):
        return text
    return _MARKUP.sub(lambda match: " " * len(match.group()), text)


def _may_hold_cue(text: str) -> bool:
    lower = text.lower()
    return not _HINTS.isdisjoint(_WORD.findall(lower)) or "less" in lower or _UN_BY.search(lower) is not None


def _matches(plain: str) -> Iterator[re.Match[str]]:
    """The matches of cues in `plain`, in lower case at the same places."""
    lower = plain.lower()
    if len(lower) != len(plain):  # a few letters have a longer lower case
        lower = "".join(low if len(low := letter.lower()) == 1 else letter for letter in plain)
    pattern = _compiled(_ANY_CUE if _ENDING.search(lower) else _CUE)
    return (match for match in pattern.finditer(lower) if _is_cue(match) and not _is_in_name(plain, *match.span()))


def _is_cue(match: re.Match[str]) -> bool:
    check = _CHECKS.get(str(match.lastgroup))
    return check is None or check(match)


def _names_a_thing(match: re.Match[str]) -> bool:
    """ "zero cars" and "with zero visibility" deny; "zero gravity" and "the number zero on a jersey" do not."""
    phrase = noun_phrase(tokens_after(match.string, match.end()), 0)
    if phrase is None:
        return False
    head = match.string[phrase.head_start : phrase.head_end]
    plural = (head.endswith("s") and not head.endswith("ss")) or head in words.PLURALS
    return head not in words.AFTER_ZERO and (plural or _ASSERTS.search(match.string[: match.start()]) is not None)


def _excepts_a_thing(match: re.Match[str]) -> bool:
    """ "Everything except for a fork" denies a fork; "empty except for a chair" says that a chair is there."""
    before = match.string[max(0, match.start() - _REACH) : match.start()]
    return _compiled(_ALL_OF_IT).search(before) is not None and _compiled(_LITTLE_OF_IT).search(before) is None


_CHECKS: Final[dict[str, Callable[[re.Match[str]], bool]]] = {
    "skip": lambda match: False,
    "un": lambda match: match.group() in _UN,
    "un_by": lambda match: match.group().split()[0] not in words.UN_BY_WITHOUT_NEGATION,
    "less": lambda match: match.group() not in words.LESS_WITHOUT_NEGATION,
    "free": lambda match: match.group().removesuffix("-free") not in words.FREE_WITHOUT_NEGATION,
    "non": lambda match: match.group().removeprefix("non-") not in words.NON_WITHOUT_NEGATION,
    "zero": _names_a_thing,
    "except": _excepts_a_thing,
}
"""For the kinds whose pattern finds more than cues."""


def _is_in_name(text: str, start: int, end: int) -> bool:
    """Whether a cue is part of a proper name: "The Not Quite Cafe"; not "A Man With No Hat" (all words capitalised)."""
    if not text[start].isupper() or text[start:end].isupper():
        return False
    following = _compiled(_CAPITALISED_NEXT).match(text, end)
    if following is None or _compiled(_SENTENCE_START).search(text, 0, start):
        return False
    others = _compiled(r"\b[A-Za-z]{4,}").findall(text[:start] + text[following.end() :])
    lower = sum(bool(word[0].islower()) for word in others)
    return 0 < len(others) <= 2 * lower


def first_cue(text: str) -> Cue | None:
    """The first cue, which is the one that slices and summaries go by."""
    return next(iter(find_cues(text)), None)


def has_cue(text: str) -> bool:
    """Whether `find_cues` finds any."""
    return _may_hold_cue(text) and next(_matches(without_markup(text)), None) is not None


def position_of(text: str, start: int) -> Position:
    """The third of `text` in which the word at `start` stands, by its index among the blank-separated words.

    Of n words, word i is at i/(n-1) of the way: below 1/3 is the beginning, below 2/3 the middle. This definition gives
    the published thirds of NegRefCOCOg (48, 204, 188).
    """
    return _Places(text).position(start)


def _cue(text: str, plain: str, match: re.Match[str], quotes: list[tuple[int, int]], places: _Places) -> Cue:
    kind = str(match.lastgroup)
    start, end = match.span()
    cue_class, word = _CLASSES[kind]
    mentioned = _mention(plain, kind, start, end, quotes)
    if mentioned is not None:
        cue_class, denied = CueClass.MENTION, span_without_target(start, mentioned)
    else:
        denied = negated_span(plain, kind, start, end)
    if kind == "absent" and not plain[end : max(end, denied.scope_start)].strip() and denied.scope_start >= end:
        word = "lack"  # "missing a wheel" says what "lacking a wheel" says
    # fmt: off
    return Cue(
        text[start:end], start, end, cue_class, word, denied.scope_start, denied.scope_end,
        denied.target, denied.target_start, denied.target_end, places.position(start), denied.negation_type,
        None if denied.target is None else (denied.concept_start, denied.concept_end),
    )
    # fmt: on


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
    if _QUOTATION_MARK.search(text) is None:
        return []
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
    if kind in {"not", "contraction"} and (
        _compiled(_COMMAND_ON_SIGN).match(text, start, start + _REACH) or _compiled(_COMMAND).search(before)
    ):
        return end
    return end if _says_on_sign(before, displays=kind in {"not", "contraction"}) else None


def _says_on_sign(before: str, *, displays: bool) -> bool:
    """Whether `before` ends with "says", "reading" and the like; `displays`: also with "displaying"."""
    if _SIGN_WORDS.isdisjoint(_WORD.findall(before.lower())) or not _compiled(_SIGN_SAYS).search(before):
        return False
    return displays or not _compiled(_DISPLAYS).search(before)


def _forbidden(text: str, start: int, end: int, before: str) -> int | None:
    """Where a prohibition ends: "a no parking sign", "a sign that says no parking"; not "there is no parking sign"."""
    if THERE_BE.search(before):
        return None
    forbids = _compiled(_FORBIDS).match(text, start, start + _REACH)
    if forbids is not None and not (_ASSERTS.search(before) and forbids.group().lower().endswith("signs")):
        return forbids.end()
    return end if _says_on_sign(before, displays=False) else None
