"""The terms of a view in SQL: for each a list of ids to walk along, and a question to ask of one id. SQL only.

A term is answered in two ways. As a *walk* it yields the ids that meet it, each arm in the order of the ids out of one
index. As a *probe* it tells of one id whether it meets it. `browsing` walks along the term that fewest meet and probes
the others, because SQLite, left to itself, would gather all ids of every term first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from curation_db.enums import Question, Stream
from curation_db.events.hasty import hasty_sql
from curation_db.events.in_force import in_force_sql
from curation_db.lint.index import CONFLICT
from curation_db.search.query_language import ANY_JUDGE, QueryField, Term, TermMeaning, Value
from curation_db.storage import sqlite
from curation_db.storage.sqlite import VERDICT_WORD

_ANSWERS: Final = {
    TermMeaning.PRESENT: ((Question.PRESENT, "yes"),),
    TermMeaning.ABSENT: ((Question.PRESENT, "no"),),
    TermMeaning.ACCEPTABLE: ((Question.ACCEPTABLE, "yes"),),
    TermMeaning.UNACCEPTABLE: ((Question.ACCEPTABLE, "no"),),
    TermMeaning.UNCLEAR: ((Question.PRESENT, "unclear"), (Question.ACCEPTABLE, "unclear")),
    None: tuple((question, said) for question in Question for said in ("yes", "no", "unclear")),
}
_COLUMNS: Final = {
    QueryField.CUE: "cue = {v}",
    QueryField.POSITION: "cue_position = {v}",
    QueryField.TYPE: "negation_type = {v}",
    QueryField.PIPELINE: "pipeline = {v}",
    QueryField.CONCEPT: "concept COLLATE NOCASE = {v}",
    QueryField.SOURCE: "source_id = (SELECT id FROM source WHERE name = {v})",
    QueryField.STREAM: "audit = {v}",
}
_INDEXES: Final = {
    QueryField.CUE: "candidate_cue",
    QueryField.POSITION: "candidate_position",
    QueryField.TYPE: "candidate_type",
    QueryField.PIPELINE: "candidate_pipeline",
    QueryField.CONCEPT: "candidate_concept",
    QueryField.STREAM: "candidate_audit",
}
UNORDERED: Final = frozenset({QueryField.SOURCE, QueryField.CAPTION})
"""Fields whose walks are not in the order of the ids."""


UNREVEALED: Final = """
    EXISTS (SELECT 1 FROM candidate a INDEXED BY candidate_audit JOIN candidate_state z ON z.candidate_id = a.id
            WHERE a.audit = 1 AND a.id = {id} AND z.wanted > 0)
"""
"""Of the audit, and people are still asked: what judges say stays hidden, so no view that asks for that may hold it."""


@dataclass(frozen=True, slots=True)
class Predicate:
    """A term in SQL."""

    term: Term
    arms: tuple[str, ...]
    """Walks: together all ids that meet the term (an id may come twice)."""
    probe: str
    """A condition on the id that stands for {id}."""

    @property
    def walkable(self) -> bool:
        """Whether there is a walk at all: along what a term excludes there is none."""
        return not self.term.excluded

    @property
    def ordered(self) -> bool:
        """Whether each arm comes in the order of the ids."""
        return self.term.field not in UNORDERED

    def asked(self, of: str) -> str:
        """The probe of this expression."""
        told = self.probe.replace("{id}", of)
        return f"NOT ({told})" if self.term.excluded else f"({told})"


class Parameters(dict[str, object]):
    """Values by the names that stand for them in the SQL."""

    def add(self, value: object) -> str:
        """The place-holder of a value."""
        name = f"v{len(self)}"
        self[name] = value
        return f":{name}"


def predicates(terms: Sequence[Term], judges: Sequence[str], told: Parameters) -> list[Predicate]:
    """The terms in SQL; their values go into `told`. `judges`: all that the record knows.

    All searches in the texts become one: full text joins its own lists far faster than SQL can join two searches.
    """
    sought = [term for term in terms if term.field is QueryField.TEXT and not term.excluded]
    if not sought:
        return [_predicate(term, judges, told) for term in terms]
    passed = [term for term in terms if term.field is QueryField.TEXT and term.excluded]
    others = [term for term in terms if term.field is not QueryField.TEXT]
    query = " AND ".join(_any_phrase(term) for term in sought)
    query = f"({query})" + "".join(f" NOT {_any_phrase(term)}" for term in passed)
    walk, probe = _searched(told.add(query))
    return [Predicate(sought[0], (walk,), probe), *(_predicate(term, judges, told) for term in others)]


def _any_phrase(term: Term) -> str:
    return "(" + " OR ".join(sqlite.exact_query(value.name) for value in term.values) + ")"


def _predicate(term: Term, judges: Sequence[str], told: Parameters) -> Predicate:
    both = [each for value in term.values for each in _in_sql(term.field, value, judges, told)]
    if not both:  # a judge that nobody knows
        both = [("SELECT candidate_id AS id FROM candidate_state WHERE 0", "0")]
    return Predicate(term, tuple(walk for walk, _ in both), " OR ".join(probe for _, probe in both))


def _in_sql(field: QueryField, value: Value, judges: Sequence[str], told: Parameters) -> list[tuple[str, str]]:
    """Walk and probe of one value; several of each where an index holds them in several places."""
    match field:
        case QueryField.JUDGE:
            return _judged(value, judges, told)
        case QueryField.STATE:
            both = _keyed("candidate_state", f"state = {told.add(value.name)}")
        case QueryField.IS if value.name == "flagged":
            both = _keyed("candidate_state", "flagged IS 1")
        case QueryField.IS if value.name == "hasty":
            both = _hasty()
        case QueryField.IS:
            both = _keyed("candidate_mark", f"mark = {told.add(CONFLICT)}")
        case QueryField.LINT:
            both = _keyed("candidate_mark", f"mark = {told.add(value.name)}")
        case QueryField.BY:
            both = _event(f"e.actor = {told.add(value.name)}")
        case QueryField.REASON:
            both = _event(f"e.reason = {told.add(value.name)}")
        case QueryField.TEXT:
            both = _searched(told.add(sqlite.exact_query(value.name)))
        case QueryField.CAPTION:
            both = _captioned(told.add(sqlite.exact_query(value.name)))
        case _:
            both = _column(_COLUMNS[field].format(v=told.add(_stored(field, value.name))), _INDEXES.get(field, ""))
    return [both]


def _stored(field: QueryField, name: str) -> object:
    if field is QueryField.STREAM:
        return int(name == Stream.AUDIT)
    return name.lower() if field is QueryField.CUE else name


def _keyed(table: str, which: str) -> tuple[str, str]:
    walk = f"SELECT candidate_id AS id FROM {table} WHERE {which}"
    return walk, f"EXISTS (SELECT 1 FROM {table} WHERE {which} AND candidate_id = {{id}})"


def _column(which: str, index: str = "") -> tuple[str, str]:
    # by its index, which is a tenth of the table: the rows are long
    by = f" INDEXED BY {index}" if index else ""
    probe = f"EXISTS (SELECT 1 FROM candidate{by} WHERE {which} AND id = {{id}})"
    return f"SELECT id FROM candidate WHERE {which}", probe


def _event(which: str) -> tuple[str, str]:
    stands = f"{which} AND {in_force_sql()}"
    walk = f"SELECT DISTINCT e.candidate_id AS id FROM event e WHERE {stands}"
    return walk, f"EXISTS (SELECT 1 FROM event e WHERE e.candidate_id = {{id}} AND {stands})"


def _hasty() -> tuple[str, str]:
    walk = f"SELECT DISTINCT e.candidate_id AS id FROM event e INDEXED BY event_hasty WHERE {hasty_sql()}"
    return (
        walk,
        f"EXISTS (SELECT 1 FROM event e INDEXED BY event_hasty WHERE e.candidate_id = {{id}} AND {hasty_sql()})",
    )


def _judged(value: Value, judges: Sequence[str], told: Parameters) -> list[tuple[str, str]]:
    return [
        _keyed("verdict", f"judge = {told.add(judge)} AND question = '{question}' AND {VERDICT_WORD} = '{said}'")
        for judge in matching_judges(value.name, judges)
        for question, said in _ANSWERS[value.meaning]
    ]


def matching_judges(name: str, judges: Sequence[str]) -> list[str]:
    """The judges that a name means: all, the one called so, or those whose names begin so."""
    if name == ANY_JUDGE:
        return list(judges)
    return [name] if name in judges else [judge for judge in judges if judge.startswith(name)]


def _searched(query: str) -> tuple[str, str]:
    # the + keeps SQLite from asking full text once for every id of another search
    walk = f"SELECT rowid AS id FROM candidate_text WHERE candidate_text MATCH {query}"
    return walk, f"+{{id}} IN (SELECT rowid FROM candidate_text WHERE candidate_text MATCH {query})"


def _captioned(query: str) -> tuple[str, str]:
    found = f"caption_id IN (SELECT rowid FROM caption_text WHERE caption_text MATCH {query})"
    return _column(found)
