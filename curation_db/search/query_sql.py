"""Translate the terms of a view to SQL; this module only builds SQL text.

Each term has two forms. The *walk* selects the ids that meet the term; each arm reads one index, in order of ids. The
*probe* is a condition on one id. `search` walks the most selective term and probes the others, because SQLite on its
own would collect all ids of every term first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from curation_db.enums import Question, Stream
from curation_db.events.hasty import hasty_sql
from curation_db.events.in_force import in_force_sql
from curation_db.lint.index import CONFLICT
from curation_db.queue.margins import MISTAKEN
from curation_db.search.query_language import ANY_JUDGE, LISTED, MARGIN_LIMIT, QueryField, Term, TermMeaning, Value
from curation_db.storage import sqlite
from curation_db.storage.sqlite import VERDICT_WORD

_ANSWERS: Final = {
    TermMeaning.PRESENT: ((Question.PRESENT, "yes"),),
    TermMeaning.ABSENT: ((Question.PRESENT, "no"),),
    TermMeaning.ACCEPTABLE: ((Question.ACCEPTABLE, "yes"),),
    TermMeaning.UNACCEPTABLE: ((Question.ACCEPTABLE, "no"),),
    TermMeaning.UNCLEAR: ((Question.PRESENT, "unclear"), (Question.ACCEPTABLE, "unclear")),
    None: tuple((question, answer) for question in Question for answer in ("yes", "no", "unclear")),
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
UNORDERED: Final = frozenset({QueryField.SOURCE, QueryField.CAPTION, QueryField.MARGIN, *LISTED})
"""Fields whose walks are not in the order of the ids."""


UNREVEALED: Final = """
    EXISTS (SELECT 1 FROM candidate a INDEXED BY candidate_audit JOIN candidate_state z ON z.candidate_id = a.id
            WHERE a.audit = 1 AND a.id = {id} AND z.wanted > 0)
"""
"""An audit candidate that still needs votes: its verdicts are hidden, so views that depend on verdicts exclude it."""


@dataclass(frozen=True, slots=True)
class Predicate:
    """A term as SQL."""

    term: Term
    arms: tuple[str, ...]
    """SELECT statements whose union is the ids that meet the term; an id may occur twice."""
    probe: str
    """A condition with {id} as the placeholder of the id expression."""

    @property
    def walkable(self) -> bool:
        """Whether the arms can be walked; an excluded term has no walk."""
        return not self.term.excluded

    @property
    def ordered(self) -> bool:
        """Whether each arm is in order of ids."""
        return self.term.field not in UNORDERED

    def condition(self, id_expression: str) -> str:
        """Return the probe of this id expression."""
        probe = self.probe.replace("{id}", id_expression)
        return f"NOT ({probe})" if self.term.excluded else f"({probe})"


Listed = Mapping[tuple[QueryField, str], Sequence[int]]
"""The ids of each value of the fields of `LISTED`."""


class Parameters(dict[str, object]):
    def add(self, value: object) -> str:
        """Add a value and return its placeholder."""
        name = f"v{len(self)}"
        self[name] = value
        return f":{name}"


def predicates(terms: Sequence[Term], judges: Sequence[str], parameters: Parameters, listed: Listed) -> list[Predicate]:
    """Translate terms to SQL.

    All text searches become one full-text query, which joins its own lists far faster than SQL joins two searches.

    Args:
        parameters: Receives the values of the terms.
    """
    included = [term for term in terms if term.field is QueryField.TEXT and not term.excluded]
    if not included:
        return [_predicate(term, judges, parameters, listed) for term in terms]
    excluded = [term for term in terms if term.field is QueryField.TEXT and term.excluded]
    others = [term for term in terms if term.field is not QueryField.TEXT]
    query = " AND ".join(_any_phrase(term) for term in included)
    query = f"({query})" + "".join(f" NOT {_any_phrase(term)}" for term in excluded)
    walk, probe = _text_term(parameters.add(query))
    return [Predicate(included[0], (walk,), probe), *(_predicate(term, judges, parameters, listed) for term in others)]


def _any_phrase(term: Term) -> str:
    return "(" + " OR ".join(sqlite.exact_query(value.name) for value in term.values) + ")"


def _predicate(term: Term, judges: Sequence[str], parameters: Parameters, listed: Listed) -> Predicate:
    if term.field in LISTED:
        ids = sorted({number for value in term.values for number in listed[term.field, value.name]})
        walk = f"SELECT value AS id FROM json_each({parameters.add(sqlite.json_array(ids))})"
        return Predicate(term, (walk,), f"{{id}} IN ({walk})")
    both = [each for value in term.values for each in _in_sql(term.field, value, judges, parameters)]
    if not both:  # an unknown judge
        both = [("SELECT candidate_id AS id FROM candidate_state WHERE 0", "0")]
    return Predicate(term, tuple(walk for walk, _ in both), " OR ".join(probe for _, probe in both))


def _in_sql(field: QueryField, value: Value, judges: Sequence[str], parameters: Parameters) -> list[tuple[str, str]]:
    """Return walk and probe of one value; several pairs where several index ranges hold its ids."""
    match field:
        case QueryField.JUDGE:
            return _judge_terms(value, judges, parameters)
        case QueryField.STATE:
            both = _table_term("candidate_state", f"state = {parameters.add(value.name)}")
        case QueryField.IS if value.name == "flagged":
            both = _table_term("candidate_state", "flagged IS 1")
        case QueryField.IS if value.name == "hasty":
            both = _hasty_term()
        case QueryField.IS:
            both = _table_term("candidate_mark", f"mark = {parameters.add(CONFLICT)}")
        case QueryField.LINT:
            both = _table_term("candidate_mark", f"mark = {parameters.add(value.name)}")
        case QueryField.MARGIN:
            both = _margin_term(value, parameters)
        case QueryField.BY:
            both = _event_term(f"e.actor = {parameters.add(value.name)}")
        case QueryField.REASON:
            both = _event_term(f"e.reason = {parameters.add(value.name)}")
        case QueryField.TEXT:
            both = _text_term(parameters.add(sqlite.exact_query(value.name)))
        case QueryField.CAPTION:
            both = _caption_term(parameters.add(sqlite.exact_query(value.name)))
        case _:
            both = _column_term(
                _COLUMNS[field].format(v=parameters.add(_stored(field, value.name))), _INDEXES.get(field, "")
            )
    return [both]


def _stored(field: QueryField, name: str) -> object:
    if field is QueryField.STREAM:
        return int(name == Stream.AUDIT)
    return name.lower() if field is QueryField.CUE else name


def _table_term(table: str, which: str) -> tuple[str, str]:
    walk = f"SELECT candidate_id AS id FROM {table} WHERE {which}"
    return walk, f"EXISTS (SELECT 1 FROM {table} WHERE {which} AND candidate_id = {{id}})"


def _margin_term(value: Value, parameters: Parameters) -> tuple[str, str]:
    limit = MARGIN_LIMIT.fullmatch(value.name)
    assert limit is not None  # by the parser
    below = f"ordering = '{MISTAKEN}' AND priority {limit[1]} {parameters.add(float(limit[2]))}"
    return _table_term("queue_entry", below)


def _column_term(which: str, index: str = "") -> tuple[str, str]:
    # The index is a tenth of the size of the table, because the rows are long.
    by = f" INDEXED BY {index}" if index else ""
    probe = f"EXISTS (SELECT 1 FROM candidate{by} WHERE {which} AND id = {{id}})"
    return f"SELECT id FROM candidate WHERE {which}", probe


def _event_term(which: str) -> tuple[str, str]:
    condition = f"{which} AND {in_force_sql()}"
    walk = f"SELECT DISTINCT e.candidate_id AS id FROM event e WHERE {condition}"
    return walk, f"EXISTS (SELECT 1 FROM event e WHERE e.candidate_id = {{id}} AND {condition})"


def _hasty_term() -> tuple[str, str]:
    walk = f"SELECT DISTINCT e.candidate_id AS id FROM event e INDEXED BY event_hasty WHERE {hasty_sql()}"
    return (
        walk,
        f"EXISTS (SELECT 1 FROM event e INDEXED BY event_hasty WHERE e.candidate_id = {{id}} AND {hasty_sql()})",
    )


def _judge_terms(value: Value, judges: Sequence[str], parameters: Parameters) -> list[tuple[str, str]]:
    return [
        _table_term(
            "verdict", f"judge = {parameters.add(judge)} AND question = '{question}' AND {VERDICT_WORD} = '{answer}'"
        )
        for judge in matching_judges(value.name, judges)
        for question, answer in _ANSWERS[value.meaning]
    ]


def matching_judges(name: str, judges: Sequence[str]) -> list[str]:
    """Return the judges that a name selects: all for "*", the judge with this name, or those with this prefix."""
    if name == ANY_JUDGE:
        return list(judges)
    return [name] if name in judges else [judge for judge in judges if judge.startswith(name)]


def _text_term(query: str) -> tuple[str, str]:
    # The + keeps SQLite from running the full-text search once for every id of another term.
    walk = f"SELECT rowid AS id FROM candidate_text WHERE candidate_text MATCH {query}"
    return walk, f"+{{id}} IN (SELECT rowid FROM candidate_text WHERE candidate_text MATCH {query})"


def _caption_term(query: str) -> tuple[str, str]:
    return _column_term(f"caption_id IN (SELECT rowid FROM caption_text WHERE caption_text MATCH {query})")
