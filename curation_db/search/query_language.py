"""A view of the record: which candidates, in which order. Parsed from the line a person types, and printed as one.

    state:accepted cue:no -judge:llava=present by:ana lint:in-sibling "hat" sort:newest

Terms are joined by *and*; within one, a comma is *or*; a minus in front is *not*. What stands alone is searched for in
the texts. Pure: which names a record knows is not asked here (`browsing.unknown`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from typing import Final

from curation_db.enums import NegationType, Reason, State, Stream
from curation_db.language.negation_cues import Position
from curation_db.language.sanitize import clean, display_text
from curation_db.lint.rules import RULES, Rule


class ViewError(ValueError):
    """A line that is no view: one line that names the bad word and says what is known."""

    def __init__(self, message: str) -> None:
        super().__init__(display_text(message, limit=400))


class QueryField(StrEnum):
    """What can be asked of a candidate, by the names a person types."""

    STATE = "state"
    BY = "by"
    """A person with a decision on it that stands."""
    REASON = "reason"
    """A rejection for this that stands."""
    JUDGE = "judge"
    """A judge has spoken, by name or the beginning of it (* is any): judge:llava, judge:llava=present."""
    IS = "is"
    """conflict: its judges disagree; flagged: a person's flag stands; hasty: a decision in force came too soon."""
    LINT = "lint"
    """A rule of the lint that warns."""
    CUE = "cue"
    POSITION = "position"
    TYPE = "type"
    CONCEPT = "concept"
    PIPELINE = "pipeline"
    SOURCE = "source"
    STREAM = "stream"
    TEXT = "text"
    """Words in the text or the concept; printed without its name."""
    CAPTION = "caption"
    """Words in the original caption."""


class Sort(StrEnum):
    """In which order."""

    NEWEST = "newest"
    """What came in last."""
    OLDEST = "oldest"
    DECIDED = "decided"
    """What somebody last did something to."""
    CONFLICT = "conflict"
    """What the judges are furthest apart on."""
    CONCEPT = "concept"
    TEXT = "text"


class TermMeaning(StrEnum):
    """What a judge said."""

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
"""The fields whose values are known beforehand."""
WORDS: Final = frozenset({QueryField.TEXT, QueryField.CAPTION})
"""The fields that are searched through, not compared."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a term."""

    name: str
    meaning: TermMeaning | None = None
    """Of a judge: what it said; None: anything."""


@dataclass(frozen=True, slots=True)
class Term:
    """One condition."""

    field: QueryField
    values: tuple[Value, ...]
    """Any of them."""
    excluded: bool = False
    """Candidates that do not meet it."""

    @classmethod
    def of(cls, field: QueryField, *names: str, excluded: bool = False) -> Term:
        """A term with plain values."""
        return cls(field, tuple(Value(name) for name in names), excluded)


@dataclass(frozen=True, slots=True)
class View:
    """Which candidates, in which order."""

    terms: tuple[Term, ...] = ()
    sort: Sort = Sort.NEWEST

    def __str__(self) -> str:
        """The line; `parse_view` reads it back."""
        order = [f"sort:{self.sort}"] if self.sort is not Sort.NEWEST else []
        return " ".join([*(_printed(term) for term in self.terms), *order])

    def sorted_by(self, sort: Sort) -> View:
        """The same candidates in another order."""
        return replace(self, sort=sort)

    def toggled(self, term: Term) -> View:
        """With the term, or without it where it is there."""
        left = tuple(each for each in self.terms if each != term)
        return replace(self, terms=left if len(left) < len(self.terms) else (*self.terms, term))

    @property
    def depends_on_verdicts(self) -> bool:
        """Whether being in it, or where, tells something of what judges said."""
        conflict = any(
            value.name == "conflict" for term in self.terms if term.field is QueryField.IS for value in term.values
        )
        return conflict or self.asks(QueryField.JUDGE) or self.sort is Sort.CONFLICT

    def asks(self, field: QueryField) -> bool:
        """Whether a term is about this."""
        return any(term.field is field for term in self.terms)


# A minus, a name with its colon, and values: bare ones end at a blank, a comma or a quote.
_BLANKS = re.compile(r"\s+")
_NAME = re.compile(r"(-?)([A-Za-z_]+):")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_BARE_VALUE = re.compile(r'[^\s,"=]+')
_BARE_WORD = re.compile(r'[^\s"]+')
_SAYS = re.compile(r"=([A-Za-z]*)")


def parse_view(line: str) -> View:
    """The view that a person typed.

    Raises:
        ViewError: a name or a value that is none, or a quote that does not end.
    """
    terms, sort = [], None
    for term in _terms(clean(line)):
        if isinstance(term, Sort):
            if sort is not None:
                raise ViewError(f"sort: told twice, {sort} and {term}")
            sort = term
        else:
            terms.append(term)
    return View(tuple(terms), sort or Sort.NEWEST)


def _terms(line: str) -> Iterator[Term | Sort]:
    at = 0
    while at < len(line):
        if blanks := _BLANKS.match(line, at):
            at = blanks.end()
        elif name := _NAME.match(line, at):
            term, at = _named(line, name)
            yield term
        else:
            term, at = _bare(line, at)
            yield term


def _bare(line: str, at: int) -> tuple[Term, int]:
    """A word or a quoted phrase, with or without a minus."""
    excluded = line[at] == "-" and at + 1 < len(line) and not line[at + 1].isspace()
    word, end = _quoted(line, at + excluded) or _plain_word(line, at + excluded)
    return Term.of(QueryField.TEXT, _searchable(word), excluded=excluded), end


def _plain_word(line: str, at: int) -> tuple[str, int]:
    found = _BARE_WORD.match(line, at)
    assert found is not None  # neither a blank nor a quote is here
    return found[0], found.end()


def _named(line: str, name: re.Match[str]) -> tuple[Term | Sort, int]:
    excluded, word = bool(name[1]), name[2].lower()
    if word == "sort":
        if excluded:
            raise ViewError("sort: cannot be excluded")
        value, end = _value(line, name.end(), QueryField.STATE, word)
        return Sort(_known(word, value.name, tuple(Sort))), end
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
    told = _quoted(line, at)
    if told is None:
        bare = _BARE_VALUE.match(line, at)
        if bare is None:
            raise ViewError(f"{word}: has no value; {_examples(field, word)}")
        told = bare[0], bare.end()
    name, at = told
    says = None
    if field is QueryField.JUDGE and (answer := _SAYS.match(line, at)):
        says, at = TermMeaning(_known("judge:…=", answer[1].lower(), tuple(TermMeaning))), answer.end()
    if at < len(line) and not (line[at].isspace() or line[at] == ","):
        rest = line[at:].split(maxsplit=1)[0]
        raise ViewError(f'{word}: {rest!r} cannot follow here; quote a value with blanks or signs: "…"')
    return Value(_checked(field, name) if word != "sort" else name.lower(), says), at


def _checked(field: QueryField, name: str) -> str:
    if field in CLOSED:
        return _known(
            field,
            name.lower().replace("-", "_") if field in (QueryField.STATE, QueryField.REASON) else name.lower(),
            CLOSED[field],
        )
    return _searchable(name) if field in WORDS else name


def _searchable(words: str) -> str:
    if not any(letter.isalnum() for letter in words):
        raise ViewError(f"{words!r} holds no word to search for")
    return words


def _quoted(line: str, at: int) -> tuple[str, int] | None:
    if not line.startswith('"', at):
        return None
    found = _QUOTED.match(line, at)
    if found is None:
        raise ViewError(f"a quote is not closed: {line[at:][:30]}")
    return re.sub(r"\\(.)", r"\1", found[1], flags=re.DOTALL), found.end()


def _known(field: str, word: str, known: tuple[str, ...]) -> str:
    if word in known:
        return word
    near = get_close_matches(word, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    what = f"{field}{'' if field.endswith('=') else ':'}{word}" if field else f"{word}:"
    raise ViewError(f"{what} is not known; {hint}known: {', '.join(known)}")


def _examples(field: QueryField, word: str) -> str:
    known = tuple(Sort) if word == "sort" else CLOSED.get(field, ())
    return f"known: {', '.join(known)}" if known else f'say {word}:… or {word}:"two words"'


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
