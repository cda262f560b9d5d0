"""Query language of the candidate list: parse a line into a `View` (filter and order), and print a `View` as a line.

    state:accepted cue:no -judge:llava=present by:ana lint:in-sibling "hat" sort:newest

Terms are joined by *and*; a comma within a term is *or*; a minus before a term is *not*. A bare word or a quoted phrase
is searched in the texts. Pure: names are not checked against a record here (see `facets.unknown_name`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from typing import Final, NamedTuple

from curation_db.enums import NegationType, Reason, State, Stream
from curation_db.language.negation_cues import Position
from curation_db.language.sanitize import clean, display_text
from curation_db.lint.rules import RULES, Rule


class ViewError(ValueError):
    """A query that cannot be parsed; the message names the bad word and lists the known ones, in one line."""

    def __init__(self, message: str) -> None:
        super().__init__(display_text(message, limit=400))


class QueryField(StrEnum):
    """Fields of a query, by the names that users type."""

    STATE = "state"
    BY = "by"
    """An annotator with a decision in force."""
    REASON = "reason"
    """The reason of a rejection in force."""
    JUDGE = "judge"
    """A judge with a verdict, by name or prefix (* is any): judge:llava, judge:llava=present."""
    IS = "is"
    """conflict: the judges disagree; flagged: a flag is in force; hasty: a decision in force came too soon."""
    LINT = "lint"
    """A failed lint rule."""
    MARGIN = "margin"
    """The margin under a trained model, below or above a number: margin:<0 (`queue.margins`)."""
    CUE = "cue"
    POSITION = "position"
    TYPE = "type"
    CONCEPT = "concept"
    PIPELINE = "pipeline"
    SOURCE = "source"
    STREAM = "stream"
    TEXT = "text"
    """Words in the text or the concept; printed without the field name."""
    CAPTION = "caption"
    """Words in the original caption."""
    LIKE = "like"
    """The candidates most similar to the candidate of this number (`similar.similar_to`)."""
    FAMILY = "family"
    """The family of the candidate of this number (`families.family_of`)."""
    NEAR = "near"
    """Candidates of near-duplicates of the image with this key or file name."""


class Sort(StrEnum):
    NEWEST = "newest"
    """Last imported or created first."""
    OLDEST = "oldest"
    DECIDED = "decided"
    """Newest event first."""
    CONFLICT = "conflict"
    """Largest difference between the judges first."""
    MISTAKEN = "mistaken"
    """Lowest margin under a trained model first, then the candidates without one."""
    CONCEPT = "concept"
    TEXT = "text"
    STATE = "state"
    """In the order of `State`."""
    SIMILAR = "similar"
    """Most similar first; only of a view with a `like:` term, where it is the default."""


_OPPOSITES: Final = {Sort.NEWEST: Sort.OLDEST, Sort.OLDEST: Sort.NEWEST}
"""Orders whose reverse has a name of its own."""


class TermMeaning(StrEnum):
    """Answer of a judge in a term."""

    PRESENT = "present"
    ABSENT = "absent"
    ACCEPTABLE = "acceptable"
    UNACCEPTABLE = "unacceptable"
    UNCLEAR = "unclear"


ANY_JUDGE: Final = "*"
CLOSED: Final[dict[QueryField, tuple[str, ...]]] = {
    QueryField.STATE: tuple(State),
    QueryField.REASON: tuple(Reason),
    QueryField.IS: ("conflict", "flagged", "hasty"),
    QueryField.LINT: tuple(rule for rule in Rule if not RULES[rule].needs_corpus),
    QueryField.POSITION: tuple(Position),
    QueryField.TYPE: tuple(NegationType),
    QueryField.STREAM: tuple(Stream),
}
"""Fields with a closed list of values."""
WORDS: Final = frozenset({QueryField.TEXT, QueryField.CAPTION})
"""Fields with full-text search instead of comparison."""
NUMBERED: Final = frozenset({QueryField.LIKE, QueryField.FAMILY})
"""Fields whose value is the number of a candidate."""
LISTED: Final = NUMBERED | {QueryField.NEAR}
"""Fields whose candidates are computed before the query (`search.listed_ids`)."""
INDEXED_TEXT: Final = WORDS | NUMBERED
"""Fields that need the full-text index."""

LOOKS: Final = frozenset({QueryField.FAMILY, QueryField.NEAR})
"""Fields that need the signatures of the images."""


@dataclass(frozen=True, slots=True)
class Value:
    name: str
    meaning: TermMeaning | None = None
    """Required answer of the judge; None: any answer."""


@dataclass(frozen=True, slots=True)
class Term:
    field: QueryField
    values: tuple[Value, ...]
    """Alternatives."""
    excluded: bool = False
    """The condition is negated."""

    @classmethod
    def of(cls, field: QueryField, *names: str, excluded: bool = False) -> Term:
        return cls(field, tuple(Value(name) for name in names), excluded)


@dataclass(frozen=True, slots=True)
class View:
    """A query: the terms that candidates must meet, and their order."""

    terms: tuple[Term, ...] = ()
    sort: Sort = Sort.NEWEST
    reverse: bool = False
    """The order is reversed; candidates without a concept or a margin still come last."""

    def __post_init__(self) -> None:
        if self.sort not in self.sorts:
            object.__setattr__(self, "sort", Sort.NEWEST)
            object.__setattr__(self, "reverse", False)

    def __str__(self) -> str:
        """Return the line that `parse_view` parses into this view."""
        minus = "-" if self.reverse else ""
        order = [f"sort:{minus}{self.sort}"] if self.reverse or self.sort is not default_sort(self.terms) else []
        return " ".join([*(_printed(term) for term in self.terms), *order])

    def sorted_by(self, sort: Sort) -> View:
        """Return a view of the same candidates in another order."""
        return replace(self, sort=sort, reverse=False)

    def reversed(self) -> View:
        """Return a view of the same candidates in the reverse order."""
        if self.sort in _OPPOSITES:
            return replace(self, sort=_OPPOSITES[self.sort])
        return replace(self, reverse=not self.reverse)

    def toggled(self, term: Term) -> View:
        """Return a view without the term if it contains the term, or else with it."""
        others = tuple(each for each in self.terms if each != term)
        return replace(self, terms=others if len(others) < len(self.terms) else (*self.terms, term))

    @property
    def sorts(self) -> tuple[Sort, ...]:
        """The orders that this view can have."""
        return tuple(sort for sort in Sort if sort is not Sort.SIMILAR or default_sort(self.terms) is Sort.SIMILAR)

    @property
    def depends_on_verdicts(self) -> bool:
        """Whether membership or order reveals something about the verdicts of the judges or of a trained model."""
        conflict = any(
            value.name == "conflict" for term in self.terms if term.field is QueryField.IS for value in term.values
        )
        filtered = any(self.filters_by(field) for field in (QueryField.JUDGE, QueryField.MARGIN))
        return conflict or filtered or self.sort in (Sort.CONFLICT, Sort.MISTAKEN)

    def filters_by(self, field: QueryField) -> bool:
        """Return whether a term is about `field`."""
        return any(term.field is field for term in self.terms)


def default_sort(terms: Iterable[Term]) -> Sort:
    """Return the order of a view that names none: newest first, or by similarity to the candidate of `like:`."""
    asks = any(term.field is QueryField.LIKE and not term.excluded for term in terms)
    return Sort.SIMILAR if asks else Sort.NEWEST


# A minus, a field name with a colon, and values; a bare value ends at a blank, a comma or a quote.
_BLANKS = re.compile(r"\s+")
_NAME = re.compile(r"(-?)([A-Za-z_]+):")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_BARE_VALUE = re.compile(r'[^\s,"=]+')
_BARE_WORD = re.compile(r'[^\s"]+')
MARGIN_LIMIT = re.compile(r"([<>])(-?(?:\d+\.?\d*|\.\d+))", re.ASCII)
"""A value of `QueryField.MARGIN`: the side and the number."""
_MEANING = re.compile(r"=([A-Za-z]*)")
_NUMBER = re.compile(r"[1-9]\d{0,17}", re.ASCII)


class _Order(NamedTuple):
    """A `sort:` of a line."""

    sort: Sort
    reverse: bool


def parse_view(line: str) -> View:
    """Parse a line into a view.

    Raises:
        ViewError: An unknown name or value, a missing value, or an unclosed quote.
    """
    terms, order = [], None
    for term in _terms(clean(line)):
        if isinstance(term, _Order):
            if order is not None:
                raise ViewError(f"sort: is given twice: {order.sort} and {term.sort}")
            order = term
        else:
            terms.append(term)
    if order is None:
        return View(tuple(terms), default_sort(terms))
    view = View(tuple(terms), order.sort)
    return view.reversed() if order.reverse else view


def _terms(line: str) -> Iterator[Term | _Order]:
    at = 0
    while at < len(line):
        if blanks := _BLANKS.match(line, at):
            at = blanks.end()
        elif name := _NAME.match(line, at):
            term, at = _field_term(line, name)
            yield term
        else:
            term, at = _text_term(line, at)
            yield term


def _text_term(line: str, at: int) -> tuple[Term, int]:
    """Parse a word or a quoted phrase, with or without a minus."""
    excluded = line[at] == "-" and at + 1 < len(line) and not line[at + 1].isspace()
    word, end = _quoted(line, at + excluded) or _plain_word(line, at + excluded)
    return Term.of(QueryField.TEXT, _searchable(word), excluded=excluded), end


def _plain_word(line: str, at: int) -> tuple[str, int]:
    match = _BARE_WORD.match(line, at)
    assert match is not None  # the caller has excluded blanks and quotes
    return match[0], match.end()


def _field_term(line: str, name: re.Match[str]) -> tuple[Term | _Order, int]:
    excluded, word = bool(name[1]), name[2].lower()
    if word == "sort":
        if excluded:
            raise ViewError("sort: cannot be excluded")
        value, end = _value(line, name.end(), QueryField.STATE, word)
        sort = Sort(_known(word, value.name.removeprefix("-"), tuple(Sort)))
        return _Order(sort, value.name.startswith("-")), end
    field = QueryField(_known("", word, (*QueryField, "sort")))
    values, at = [], name.end()
    while True:
        value, at = _value(line, at, field, word)
        values.append(value)
        if at == len(line) or line[at] != ",":
            break
        at += 1
    return Term(field, tuple(values), excluded), at


def _value(line: str, at: int, field: QueryField, word: str) -> tuple[Value, int]:
    name_and_end = _quoted(line, at)
    if name_and_end is None:
        bare = _BARE_VALUE.match(line, at)
        if bare is None:
            raise ViewError(f"{word}: has no value; {_examples(field, word)}")
        name_and_end = bare[0], bare.end()
    name, at = name_and_end
    meaning = None
    if field is QueryField.JUDGE and (answer := _MEANING.match(line, at)):
        meaning, at = TermMeaning(_known("judge:…=", answer[1].lower(), tuple(TermMeaning))), answer.end()
    if at < len(line) and not (line[at].isspace() or line[at] == ","):
        rest = line[at:].split(maxsplit=1)[0]
        raise ViewError(f'{word}: {rest!r} cannot follow here; quote a value with blanks or signs: "…"')
    return Value(_checked(field, name) if word != "sort" else name.lower(), meaning), at


def _checked(field: QueryField, name: str) -> str:
    if field in CLOSED:
        return _known(
            field,
            name.lower().replace("-", "_") if field in (QueryField.STATE, QueryField.REASON) else name.lower(),
            CLOSED[field],
        )
    if field is QueryField.MARGIN and not MARGIN_LIMIT.fullmatch(name):
        raise ViewError(f"margin:{name} is not < or > with a number, as in margin:<0")
    if field in NUMBERED and not _NUMBER.fullmatch(name):
        raise ViewError(f"{field}:{name} is not the number of a candidate, as in {field}:1204")
    return _searchable(name) if field in WORDS else name


def _searchable(words: str) -> str:
    if not any(letter.isalnum() for letter in words):
        raise ViewError(f"{words!r} contains no word to search for")
    return words


def _quoted(line: str, at: int) -> tuple[str, int] | None:
    if not line.startswith('"', at):
        return None
    match = _QUOTED.match(line, at)
    if match is None:
        raise ViewError(f"a quote is not closed: {line[at:][:30]}")
    return re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL), match.end()


def _known(field: str, word: str, known: tuple[str, ...]) -> str:
    if word in known:
        return word
    near = get_close_matches(word, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    what = f"{field}{'' if field.endswith('=') else ':'}{word}" if field else f"{word}:"
    raise ViewError(f"{what} is not known; {hint}known: {', '.join(known)}")


def _examples(field: QueryField, word: str) -> str:
    known = tuple(Sort) if word == "sort" else CLOSED.get(field, ())
    return f"known: {', '.join(known)}" if known else f'write {word}:… or {word}:"two words"'


def _printed(term: Term) -> str:
    minus = "-" if term.excluded else ""
    if term.field is QueryField.TEXT and len(term.values) == 1:
        return minus + _quote(term.values[0].name)
    return f"{minus}{term.field}:" + ",".join(_printed_value(value) for value in term.values)


def _printed_value(value: Value) -> str:
    name = value.name if _BARE_VALUE.fullmatch(value.name) else _quote(value.name)
    return name if value.meaning is None else f"{name}={value.meaning}"


def _quote(words: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", words) + '"'
