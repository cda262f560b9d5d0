"""Search: the ids of a view in its order, in blocks, the first as soon as possible. Reads only.

`query_sql` explains walks and probes. This module decides, by a short count of each term, which term is walked, or
whether the index of the order is walked instead.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from sqlalchemy import Connection, text

from curation_db.enums import State
from curation_db.events.annotators import spellings_of
from curation_db.queue.margins import MISTAKEN
from curation_db.search.query_language import LISTED, QueryField, Sort, Term, Value, View
from curation_db.search.query_sql import UNREVEALED, Listed, Parameters, Predicate, predicates
from curation_db.storage import sqlite

_FEW = 50_000
"""Up to this many ids it is faster to collect and sort them than to walk the index of the order."""
_MOST_GROUPS = 200
"""SQLite limits a compound SELECT to a few hundred queries."""
_REVEALED = Predicate(Term.of(QueryField.STREAM, "revealed", excluded=True), (), UNREVEALED)
_CONFLICT_ORDER = "'conflict'"
_JUDGES = text("""
    WITH RECURSIVE known(judge) AS (
        SELECT min(judge) FROM verdict
        UNION ALL SELECT (SELECT min(judge) FROM verdict WHERE judge > known.judge) FROM known WHERE judge IS NOT NULL)
    SELECT judge FROM known WHERE judge IS NOT NULL
""")
_GROUPS = text("""
    SELECT id FROM queue_group g WHERE stream != 'audit'
    AND EXISTS (SELECT 1 FROM queue_entry WHERE ordering = 'conflict' AND group_id = g.id)
""")
_MARGIN = f"(SELECT q.priority FROM queue_entry q WHERE q.candidate_id = k.candidate_id AND q.ordering = '{MISTAKEN}')"
_RANK = "CASE k.state" + "".join(f" WHEN '{state}' THEN {at}" for at, state in enumerate(State)) + " END"
_KEYS = {
    Sort.DECIDED: ("candidate_state k", "k.candidate_id", ("k.last_seq DESC", "k.candidate_id DESC")),
    Sort.CONCEPT: ("candidate k", "k.id", ("k.concept IS NULL", "k.concept COLLATE NOCASE", "k.id")),
    Sort.TEXT: ("candidate k", "k.id", ("k.text COLLATE NOCASE", "k.id")),
    Sort.MISTAKEN: ("candidate_state k", "k.candidate_id", (f"{_MARGIN} IS NULL", _MARGIN, "k.candidate_id")),
    Sort.CONFLICT: ("queue_entry k", "k.candidate_id", ("k.priority", "k.candidate_id")),
    Sort.STATE: ("candidate_state k", "k.candidate_id", (_RANK, "k.candidate_id")),
}
"""Table of the sort key, its id column, and the sort keys."""


def judges(connection: Connection) -> list[str]:
    """Return the names of all judges with a verdict, sorted; one look-up per judge."""
    return list(connection.execute(_JUDGES).scalars())


def ids_of(connection: Connection, view: View) -> Iterator[array[int]]:
    """Yield the ids of the view in its order, in blocks; each id occurs once."""
    parameters = Parameters()
    known = judges(connection) if view.filters_by(QueryField.JUDGE) else []
    terms = [
        *predicates(_with_spellings(connection, view.terms), known, parameters, listed_ids(connection, view)),
        *([_REVEALED] if view.depends_on_verdicts else []),
    ]
    walked, few = _most_selective(connection, terms, parameters)
    if walked is None and few:
        return
    if view.sort is Sort.SIMILAR:
        from curation_db.search.similar import by_similarity  # noqa: PLC0415 -- numpy: 60 ms

        statement = _by_id(terms, walked, newest=False, few=few)
        blocks = sqlite.stream_numbers(connection, statement, parameters)
        yield by_similarity(connection, view, [number for block in blocks for number in block])
    elif view.sort in (Sort.NEWEST, Sort.OLDEST):
        newest = (view.sort is Sort.NEWEST) is not view.reverse
        yield from sqlite.stream_numbers(connection, _by_id(terms, walked, newest=newest, few=few), parameters)
    elif few and walked is not None:
        yield from sqlite.stream_numbers(connection, _collected(view, terms, walked), parameters)
    else:
        for statement in _in_index_order(connection, view, terms):
            yield from sqlite.stream_numbers(connection, statement, parameters)


def listed_ids(connection: Connection, view: View) -> Listed:
    """Return the candidates of each value of the terms that are computed before the query."""
    asked = {(term.field, value.name) for term in view.terms if term.field in LISTED for value in term.values}
    if not asked:
        return {}
    from curation_db.search import families, similar  # noqa: PLC0415 -- numpy: 60 ms

    listed: dict[tuple[QueryField, str], Sequence[int]] = {}
    for field, name in asked:
        match field:
            case QueryField.LIKE:
                listed[field, name] = similar.similar_to(connection, int(name)).ids
            case QueryField.FAMILY:
                listed[field, name] = families.family_of(connection, int(name)).ids
            case _:
                listed[field, name] = families.candidates_near(connection, name)
    return listed


def _with_spellings(connection: Connection, terms: Sequence[Term]) -> list[Term]:
    """Return the terms with every spelling of an annotator's name as alternatives."""
    return [
        replace(
            term, values=tuple(Value(each) for value in term.values for each in spellings_of(connection, value.name))
        )
        if term.field is QueryField.BY
        else term
        for term in terms
    ]


def _most_selective(
    connection: Connection, terms: Sequence[Predicate], parameters: Parameters
) -> tuple[Predicate | None, bool]:
    """Return the walkable term with the fewest ids, and whether these are few; (None, True): no candidate matches."""
    least, selective = _FEW + 1, None
    for term in terms:
        if term.walkable and (count := _count(connection, term, parameters, below=least)) < least:
            least, selective = count, term
        if least == 0:
            return None, True
    return selective, least < _FEW


def _count(connection: Connection, term: Predicate, parameters: Parameters, *, below: int) -> int:
    """Count the ids that meet the term, at most up to `below`."""
    total = 0
    for arm in term.arms:
        limited = f"SELECT count(*) FROM (SELECT 1 FROM ({arm}) LIMIT {min(below, _FEW) - total})"
        total += next(sqlite.stream_numbers(connection, limited, parameters))[0]
        if total >= min(below, _FEW):
            break
    return total


def _by_id(terms: Sequence[Predicate], walked: Predicate | None, *, newest: bool, few: bool) -> str:
    """Walk the term, or all candidates if the term has many ids in no order."""
    direction = "DESC" if newest else "ASC"
    if walked is None or not (few or walked.ordered):
        where = _where("s.candidate_id", terms)
        return f"SELECT candidate_id AS id FROM candidate_state s{where} ORDER BY id {direction}"
    others = [term for term in terms if term is not walked]
    arms = [f"SELECT d.id AS id FROM ({arm}) d{_where('d.id', others)}" for arm in walked.arms]
    return " UNION ".join(arms) + f" ORDER BY 1 {direction}"


def _order_by(keys: Sequence[str], *, reverse: bool) -> str:
    """Return an ORDER BY clause. Reversed, candidates without a value still come last."""
    turned = [each if not reverse or each.endswith(" IS NULL") else _turned(each) for each in keys]
    return f"ORDER BY {', '.join(turned)}"


def _turned(key: str) -> str:
    return key.removesuffix(" DESC") if key.endswith(" DESC") else f"{key} DESC"


def _collected(view: View, terms: Sequence[Predicate], walked: Predicate) -> str:
    """Collect all ids, look up their sort keys, and sort."""
    others = [term for term in terms if term is not walked]
    table, key, keys = _KEYS[view.sort]
    order = _order_by(keys, reverse=view.reverse)
    within = " AND k.ordering = 'conflict'" if view.sort is Sort.CONFLICT else ""
    ids = " UNION ".join(f"SELECT d.id AS id FROM ({arm}) d{_where('d.id', others)}" for arm in walked.arms)
    return f"SELECT {key} FROM ({ids}) f CROSS JOIN {table} ON {key} = f.id{within} {order}"


def _in_index_order(connection: Connection, view: View, terms: Sequence[Predicate]) -> list[str]:
    """Return statements to run in sequence, each along the index of the order."""
    by = partial(_order_by, reverse=view.reverse)
    match view.sort:
        case Sort.DECIDED:
            where = _where("k.candidate_id", terms)
            return [f"SELECT candidate_id FROM candidate_state k{where} {by(('last_seq DESC', 'candidate_id DESC'))}"]
        case Sort.CONCEPT:
            named = _where("k.id", terms, "k.concept IS NOT NULL")
            nameless = _where("k.id", terms, "k.concept COLLATE NOCASE IS NULL")
            return [
                f"SELECT k.id FROM candidate k{named} {by(('k.concept COLLATE NOCASE', 'k.id'))}",
                f"SELECT k.id FROM candidate k{nameless} {by(('k.id',))}",
            ]
        case Sort.TEXT:
            first = sqlite.TEXT_PREFIX.replace("text", "k.text")
            order = by((f"{first} COLLATE NOCASE", "k.text COLLATE NOCASE", "k.id"))
            return [f"SELECT k.id FROM candidate k{_where('k.id', terms)} {order}"]
        case Sort.STATE:
            states = list(State)[:: -1 if view.reverse else 1]
            wheres = [_where("k.candidate_id", terms, f"k.state = '{state}'") for state in states]
            order = by(("k.candidate_id",))
            return [f"SELECT k.candidate_id FROM candidate_state k{where} {order}" for where in wheres]
        case Sort.MISTAKEN:
            measured = _where("k.candidate_id", terms, f"k.ordering = '{MISTAKEN}'")
            others = _where("k.candidate_id", terms, f"{_MARGIN} IS NULL")
            return [
                f"SELECT k.candidate_id FROM queue_entry k{measured} {by(('k.priority', 'k.candidate_id'))}",
                f"SELECT k.candidate_id FROM candidate_state k{others} {by(('k.candidate_id',))}",
            ]
    return [_by_conflict(connection, terms, reverse=view.reverse)]


def _by_conflict(connection: Connection, terms: Sequence[Predicate], *, reverse: bool) -> str:
    """Merge the queue groups, which are already in this order, without the groups of the audit."""
    terms = [term for term in terms if term is not _REVEALED]
    groups = list(connection.execute(_GROUPS).scalars())
    if not 0 < len(groups) <= _MOST_GROUPS:
        where = _where("k.candidate_id", [*terms, _REVEALED], "k.ordering = 'conflict'")
        order = _order_by(("k.priority", "k.candidate_id"), reverse=reverse)
        return f"SELECT k.candidate_id FROM queue_entry k{where} {order}"
    arms = [
        f"SELECT k.candidate_id AS id, k.priority AS priority FROM queue_entry k"
        f"{_where('k.candidate_id', terms, f'k.ordering = {_CONFLICT_ORDER} AND k.group_id = {group:d}')}"
        for group in groups
    ]
    return " UNION ALL ".join(arms) + " " + _order_by(("2", "1"), reverse=reverse)


def _where(id_expression: str, terms: Sequence[Predicate], first: str = "") -> str:
    conditions = [first] if first else []
    conditions += [term.condition(id_expression) for term in terms]
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""
