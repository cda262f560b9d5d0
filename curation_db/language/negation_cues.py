"""Find negation cues in an English caption, each with its scope and target.

Only words of explicit negation are cues; "empty", "bald", "instead of" and idioms (`negation_idioms`) are not. Of the
verbs before an infinitive, "fail to" is one, since it only states that the action does not happen. "Refuse", "decline",
"hesitate", "forget" and "avoid" state a will or a thought, which no image shows, so they are not. A cue in text quoted
from the image ("a no parking sign") is a `MENTION`: it is reported, but negates nothing about the image.
All spans index the text as given. The cost is linear in the length of the text, and close to zero without a cue.
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

CUES_VERSION: Final = 2
"""Increase it where `negates` gives another answer for any text: models are saved with the version that routes them."""


class CueClass(StrEnum):
    DETERMINER = "determiner"
    """no, zero"""
    CLAUSAL = "clausal"
    """not, n't, cannot, no longer, fails to"""
    PREPOSITION = "preposition"
    """without, lacking, devoid of, free of, absent, missing, sans, minus, excluding"""
    PRONOUN = "pronoun"
    """no one, nobody, nothing, none"""
    ADVERB = "adverb"
    """never, nowhere"""
    COORDINATION = "coordination"
    """neither, nor"""
    AFFIX = "affix"
    """un-, non-, -less, -free"""
    MENTION = "mention"
    """a cue of any kind in words quoted from the image: "no parking" on a sign"""


class Position(StrEnum):
    """The third of the text that contains the cue."""

    BEGINNING = "beginning"
    MIDDLE = "middle"
    END = "end"


class Cue(NamedTuple):
    """One cue with its scope and target; all offsets index the text."""

    text: str
    """As written."""
    start: int
    end: int
    cue_class: CueClass
    word: str
    """Canonical form: "no one" is "no"; "n't" and "cannot" are "not"; "untied" is "un-"."""
    scope_start: int
    """The scope can precede the cue ("the hat is absent"), follow it, or include it (affixes, pronouns)."""
    scope_end: int
    target: str | None
    """Head word of the negated phrase, lower-case; "person" for "no one"; None: no target."""
    target_start: int
    target_end: int
    position: Position
    negation_type: NegationType
    """absence: no X, without X, not having X, X is not visible. attribute: not wearing X, not red, untied.
    action: not doing X, not holding X. relation: not in X, not next to X. other: not X but Y, mentions, no target.
    """
    concept_span: tuple[int, int] | None
    """Span of the concept for the judges: "red pillow", "looking at the camera"; None where `target` is None."""


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
    "sans": (CueClass.PREPOSITION, "without"),
    "exclude": (CueClass.PREPOSITION, "without"),
    "except": (CueClass.PREPOSITION, "without"),
    "by_absence": (CueClass.PREPOSITION, "absent"),
    "absent": (CueClass.PREPOSITION, "absent"),
    "zero": (CueClass.DETERMINER, "zero"),
    "fail": (CueClass.CLAUSAL, "fail"),
    "un_by": (CueClass.AFFIX, "un-"),
    "un": (CueClass.AFFIX, "un-"),
    "non": (CueClass.AFFIX, "non-"),
    "less": (CueClass.AFFIX, "-less"),
    "free": (CueClass.AFFIX, "-free"),
}

_UN: Final = frozenset("un" + stem for stem in words.UN_STEMS)
# A cheap prefilter without false negatives: every cue contains one of these words ("isn't" contains "t"), or a part
# that `_may_hold_cue` checks.
_HINTS: Final = frozenset(words.HINTS) | _UN
HINTS: Final = _HINTS
"""Words for prefilters over whole corpora. A text with a cue has one of these as a run of ASCII letters in its lower
case, or contains `HINT_ENDING`, or has a word with un- before the word "by"."""
HINT_ENDING: Final = "less"
_WORD: Final = re.compile("[a-z]+")
_MAX_CUES: Final = 1_000


def _spaced(pattern: str) -> str:
    """Return `pattern` with each blank replaced by a match of one to three white-space characters."""
    return pattern.replace(" ", r"\s{1,3}")


_DETERMINER_AHEAD: Final = _spaced(r"(?= (?:an?|any|the|its|his|her|their|some|one|two|three|several|most|all)\b)")
# One pattern for each kind of cue, tried in this order at each position.
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
    "sans": r"sans(?=\s)|minus(?= [a-z])",
    "exclude": r"exclud(?:es?|ed|ing)|omit(?:s|ted|ting)",
    "except": "except(?:ing)?(?: for)?",
    "by_absence": "(?:(?:conspicuous|evident|marked|notable|noticeable|noticed|remarkable) )?"
    r"(?:by|in|for) (?:its|his|her|their|the) absence(?! of\b)",
    "lack": "lack(?:s|ed|ing)?(?: of)?|free from"
    "|(?:absence|absent|devoid|void|bereft|empty|clear|free|bare|barren|deprived|stripped) of",
    "absent": "absent|missing",
    "fail": r"fail(?:s|ed|ing)?(?= to\b)",
    "un_by": "un[a-z]{3,14}(?:ed|en|rn|wn|ept) by",
    "un": "un[a-z]{3,12}",  # only the listed words (`_CHECKS`)
}
# Kinds with a known ending and any beginning.
_ENDINGS: Final = {
    "less": "[a-z]{3,12}less",  # all but the listed words (`_CHECKS`)
    "free": "[a-z]{2,20}-free",  # all but the listed words (`_CHECKS`)
}
# The first two letters of every idiom and kind with a known beginning. At most positions this lookahead fails at once.
_BEGINNINGS: Final = (
    "a[bilnrst] b[aey] c[alo] d[aeior] e[mvx] f[aor] g[or] ha i[fns] la m[aeiorsu] n['’eou] o[mru] pl re s[aehtu]"
    " t[ho] un vo w[aehio/] ze"
)


def _either(kinds: Mapping[str, str], idioms: Sequence[str]) -> str:
    """Return one pattern for lower-case text: the idioms, which are not cues, before the kinds."""
    skip = rf"(?P<skip>{'|'.join(map(_spaced, idioms))})"
    return "|".join([skip, *(rf"(?P<{kind}>{_spaced(pattern)})\b" for kind, pattern in kinds.items())])


_CUE: Final = rf"(?a:\b(?={'|'.join(_BEGINNINGS.split())})(?:{_either(_KINDS, IDIOMS)}))"
_ANY_CUE: Final = rf"(?a:\b(?:{_either({**_KINDS, **_ENDINGS}, (*IDIOMS_OF_ANY_WORD, *IDIOMS))}))"
_ENDING: Final = re.compile(r"less|-free|-me-not|\bor\s{1,3}no\b")
"""In a text without a match of this pattern, `_CUE` finds the same as `_ANY_CUE`."""

_QUOTED: Final = (
    r"\"(?P<a>[^\"\n]{1,60})\"|[“„](?P<b>[^”“\n]{1,60})[”“]|(?<!\w)['‘](?=\S)(?P<c>[^'‘’\n]{1,60})(?<=\S)['’](?!\w)"
)
_QUOTATION_MARK: Final = re.compile("[\"“„'‘]")
_QUOTED_WORDS: Final = 6
_CONTEXT_CHARS: Final = 80
_SIGN: Final = "|".join(words.SIGN_NOUNS)
_FORBIDDEN: Final = "(?:" + "|".join(words.FORBIDDEN) + "|turns?)"
_SIGN_VERB: Final = (
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
"""Patterns are compiled on first use, because most importers of this module need only its types."""


def find_cues(text: str) -> tuple[Cue, ...]:
    """Return the cues of `text` in reading order, including mentions; at most the first 1,000."""
    if not _may_hold_cue(text):
        return ()
    plain = without_markup(text)
    matches = list(islice(_matches(plain), _MAX_CUES))
    if not matches:
        return ()
    quotes, words_of_text = _quotes(plain), _WordIndex(text)
    return tuple(_cue(text, plain, match, quotes, words_of_text) for match in matches)


def without_markup(text: str) -> str:
    """Return `text` with tags, Markdown marks, emoji and single line ends replaced by blanks; offsets do not change."""
    if _NO_MARKUP.fullmatch(text):
        return text
    return _MARKUP.sub(lambda match: " " * len(match.group()), text)


def _may_hold_cue(text: str) -> bool:
    lower = text.lower()
    return not _HINTS.isdisjoint(_WORD.findall(lower)) or HINT_ENDING in lower or _UN_BY.search(lower) is not None


def _matches(plain: str) -> Iterator[re.Match[str]]:
    """Yield the matches of cues in the lower case of `plain`; offsets are those of `plain`."""
    lower = plain.lower()
    if len(lower) != len(plain):  # the lower case of a few letters is longer
        lower = "".join(low if len(low := letter.lower()) == 1 else letter for letter in plain)
    pattern = _compiled(_ANY_CUE if _ENDING.search(lower) else _CUE)
    return (match for match in pattern.finditer(lower) if _is_cue(match) and not _is_in_name(plain, *match.span()))


def _is_cue(match: re.Match[str]) -> bool:
    check = _CHECKS.get(str(match.lastgroup))
    return check is None or check(match)


def _zero_negates(match: re.Match[str]) -> bool:
    """ "zero cars" and "with zero visibility" negate; "zero gravity" and "the number zero on a jersey" do not."""
    phrase = noun_phrase(tokens_after(match.string, match.end()), 0)
    if phrase is None:
        return False
    head = match.string[phrase.head_start : phrase.head_end]
    plural = (head.endswith("s") and not head.endswith("ss")) or head in words.PLURALS
    return head not in words.AFTER_ZERO and (plural or _ASSERTS.search(match.string[: match.start()]) is not None)


def _except_negates(match: re.Match[str]) -> bool:
    """ "Everything except for a fork" negates a fork; "empty except for a chair" affirms a chair."""
    before = match.string[max(0, match.start() - _CONTEXT_CHARS) : match.start()]
    return _compiled(_ALL_OF_IT).search(before) is not None and _compiled(_LITTLE_OF_IT).search(before) is None


_CHECKS: Final[dict[str, Callable[[re.Match[str]], bool]]] = {
    "skip": lambda match: False,
    "un": lambda match: match.group() in _UN,
    "un_by": lambda match: match.group().split()[0] not in words.UN_BY_WITHOUT_NEGATION,
    "less": lambda match: match.group() not in words.LESS_WITHOUT_NEGATION,
    "free": lambda match: match.group().removesuffix("-free") not in words.FREE_WITHOUT_NEGATION,
    "non": lambda match: match.group().removeprefix("non-") not in words.NON_WITHOUT_NEGATION,
    "zero": _zero_negates,
    "except": _except_negates,
}
"""Checks for the kinds whose pattern also matches words that are not cues."""


def _is_in_name(text: str, start: int, end: int) -> bool:
    """Return whether a cue is part of a proper name: "The Not Quite Cafe", but not in the title "A Man With No Hat"."""
    if not text[start].isupper() or text[start:end].isupper():
        return False
    following = _compiled(_CAPITALISED_NEXT).match(text, end)
    if following is None or _compiled(_SENTENCE_START).search(text, 0, start):
        return False
    others = _compiled(r"\b[A-Za-z]{4,}").findall(text[:start] + text[following.end() :])
    lower = sum(bool(word[0].islower()) for word in others)
    return 0 < len(others) <= 2 * lower


class CuePattern(NamedTuple):
    """One kind of cue, for listing."""

    cue_class: CueClass
    word: str
    """Canonical form, as `Cue.word`."""
    pattern: str
    """Regular expression over lower-case text. Kinds with listed words or exceptions show these in `note`."""
    note: str


def cue_patterns() -> tuple[CuePattern, ...]:
    """Return what `find_cues` searches for, so that a figure can be printed with its word list."""
    return tuple(
        CuePattern(*_CLASSES[kind], pattern, _NOTES.get(kind, "")) for kind, pattern in {**_KINDS, **_ENDINGS}.items()
    )


def _all_but(exceptions: frozenset[str]) -> str:
    return f"all but {' '.join(sorted(exceptions))}"


_NOTES: Final = {
    "un": f"only {' '.join(sorted(_UN))}",
    "un_by": _all_but(words.UN_BY_WITHOUT_NEGATION),
    "less": _all_but(words.LESS_WITHOUT_NEGATION),
    "free": _all_but(frozenset(words.FREE_WITHOUT_NEGATION)),
    "non": _all_but(words.NON_WITHOUT_NEGATION),
    "zero": "only before a plural noun, or after a verb of presence",
    "except": "only after everything, all, every and the like",
}


def first_cue(text: str) -> Cue | None:
    """Return the first cue, by which slices and summaries classify the text."""
    return next(iter(find_cues(text)), None)


def has_cue(text: str) -> bool:
    """Return whether `find_cues` finds a cue."""
    return _may_hold_cue(text) and next(_matches(without_markup(text)), None) is not None


def negates(text: str) -> bool:
    """Return whether any cue of `text` negates something about the image, which is every cue but a mention."""
    return has_cue(text) and any(cue.cue_class is not CueClass.MENTION for cue in find_cues(text))


def position_of(text: str, start: int) -> Position:
    """Return the third of `text` that contains the word at offset `start`.

    Word i of n blank-separated words is at i/(n-1): below 1/3 is the beginning, below 2/3 the middle. This definition
    reproduces the published thirds of NegRefCOCOg (48, 204, 188).
    """
    return _WordIndex(text).position(start)


def _cue(text: str, plain: str, match: re.Match[str], quotes: list[tuple[int, int]], words_of_text: _WordIndex) -> Cue:
    kind = str(match.lastgroup)
    start, end = match.span()
    cue_class, word = _CLASSES[kind]
    mention_end = _mention_end(plain, kind, start, end, quotes)
    if mention_end is not None:
        cue_class, negated = CueClass.MENTION, span_without_target(start, mention_end)
    else:
        negated = negated_span(plain, kind, start, end)
    if kind == "absent" and not plain[end : max(end, negated.scope_start)].strip() and negated.scope_start >= end:
        word = "lack"  # "missing a wheel" is equivalent to "lacking a wheel"
    # fmt: off
    return Cue(
        text[start:end], start, end, cue_class, word, negated.scope_start, negated.scope_end,
        negated.target, negated.target_start, negated.target_end, words_of_text.position(start), negated.negation_type,
        None if negated.target is None else (negated.concept_start, negated.concept_end),
    )
    # fmt: on


class _WordIndex:
    """Word starts of a text, computed once for all of its cues."""

    def __init__(self, text: str) -> None:
        self._starts = [match.start() for match in re.finditer(r"\S+", text)]

    def position(self, start: int) -> Position:
        index = bisect_right(self._starts, start) - 1
        steps = len(self._starts) - 1
        if index * 3 < steps or steps <= 0:
            return Position.BEGINNING
        return Position.MIDDLE if index * 3 < 2 * steps else Position.END


def _quotes(text: str) -> list[tuple[int, int]]:
    """Return the spans of short quotations; a text that a chat model put in quotes as a whole is not one."""
    if _QUOTATION_MARK.search(text) is None:
        return []
    spans = [match.span(match.lastgroup or 0) for match in _compiled(_QUOTED).finditer(text)]
    return [
        (start, end)
        for start, end in spans
        if end - start < 0.8 * len(text.strip()) and len(text[start:end].split()) <= _QUOTED_WORDS
    ]


def _mention_end(text: str, kind: str, start: int, end: int, quotes: list[tuple[int, int]]) -> int | None:
    """Return the end of the quoted text that contains the cue, or None."""
    quote = bisect_right(quotes, (start, len(text))) - 1
    if quote >= 0 and quotes[quote][0] <= start < quotes[quote][1]:
        return quotes[quote][1]
    before = text[max(0, start - _CONTEXT_CHARS) : start]
    if kind == "no":
        return _prohibition_end(text, start, end, before)
    if kind in {"not", "contraction"} and (
        _compiled(_COMMAND_ON_SIGN).match(text, start, start + _CONTEXT_CHARS) or _compiled(_COMMAND).search(before)
    ):
        return end
    return end if _follows_sign_verb(before, displays=kind in {"not", "contraction"}) else None


def _follows_sign_verb(before: str, *, displays: bool) -> bool:
    """Return whether `before` ends with "says", "reading" or a similar verb; `displays`: "displaying" counts too."""
    if _SIGN_WORDS.isdisjoint(_WORD.findall(before.lower())) or not _compiled(_SIGN_VERB).search(before):
        return False
    return displays or not _compiled(_DISPLAYS).search(before)


def _prohibition_end(text: str, start: int, end: int, before: str) -> int | None:
    """Return the end of a prohibition: "a no parking sign", "a sign that says no parking".

    "There is no parking sign" is not a prohibition.
    """
    if THERE_BE.search(before):
        return None
    forbids = _compiled(_FORBIDS).match(text, start, start + _CONTEXT_CHARS)
    if forbids is not None and not (_ASSERTS.search(before) and forbids.group().lower().endswith("signs")):
        return forbids.end()
    return end if _follows_sign_verb(before, displays=False) else None
