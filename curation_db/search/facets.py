"""Count the values of a query field (facets), and find names in a view that the record does not contain. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from curation_db.enums import Question
from curation_db.events.hasty import hasty_sql
from curation_db.events.in_force import in_force_sql
from curation_db.lint.index import INDEXED_RULES
from curation_db.queue.margins import COMPUTE, NO_MARGINS, margin_source
from curation_db.search.query_language import (
    ANY_JUDGE,
    LISTED,
    NUMBERED,
    WORDS,
    QueryField,
    Sort,
    TermMeaning,
    Value,
    View,
)
from curation_db.search.query_sql import UNREVEALED, matching_judges
from curation_db.search.search import judges
from curation_db.storage.sqlite import IN_IDS, VERDICT_WORD, batches, json_array

_BLOCK = 20_000
_COLUMNS = {
    QueryField.STATE: "SELECT state AS value, count(*) AS n FROM candidate_state WHERE candidate_id {these} GROUP BY 1",
    QueryField.CUE: "SELECT cue AS value, count(*) AS n FROM candidate WHERE id {these} GROUP BY 1",
    QueryField.POSITION: "SELECT cue_position AS value, count(*) AS n FROM candidate WHERE id {these} GROUP BY 1",
    QueryField.TYPE: "SELECT negation_type AS value, count(*) AS n FROM candidate WHERE id {these} GROUP BY 1",
    QueryField.PIPELINE: "SELECT pipeline AS value, count(*) AS n FROM candidate WHERE id {these} GROUP BY 1",
    QueryField.STREAM: """SELECT CASE WHEN audit THEN 'audit' ELSE 'review' END AS value, count(*) AS n
                     FROM candidate WHERE id {these} GROUP BY audit""",
    QueryField.CONCEPT: """SELECT concept COLLATE NOCASE AS value, count(*) AS n FROM candidate WHERE id {these}
                      GROUP BY concept COLLATE NOCASE""",
    QueryField.SOURCE: """SELECT s.name AS value, count(*) AS n FROM candidate c JOIN source s ON s.id = c.source_id
                     WHERE c.id {these} GROUP BY 1""",
    QueryField.LINT: f"""SELECT mark AS value, count(*) AS n FROM candidate_mark
                    WHERE mark IN ({", ".join(f"'{rule}'" for rule in INDEXED_RULES)}) AND candidate_id {{these}}
                    GROUP BY 1""",
    QueryField.IS: f"""SELECT mark AS value, count(*) AS n FROM candidate_mark x
                 WHERE mark = 'conflict' AND candidate_id {{these}}{{revealed}} GROUP BY 1
                 UNION ALL SELECT 'flagged', count(*) FROM candidate_state WHERE flagged IS 1 AND candidate_id {{these}}
                 HAVING count(*)
                 UNION ALL SELECT 'hasty', count(DISTINCT e.candidate_id) FROM event e INDEXED BY event_hasty
                 WHERE e.candidate_id {{these}} AND {hasty_sql()} HAVING count(*)""",
    QueryField.BY: f"""SELECT e.actor AS value, count(DISTINCT e.candidate_id) AS n FROM event e
                  WHERE e.candidate_id {{these}} AND {in_force_sql()} GROUP BY 1""",
    QueryField.REASON: f"""SELECT e.reason AS value, count(DISTINCT e.candidate_id) AS n FROM event e
                      WHERE e.reason IS NOT NULL AND e.candidate_id {{these}} AND {in_force_sql()} GROUP BY 1""",
}
_JUDGE = f"""
    SELECT judge, CASE {VERDICT_WORD} WHEN 'unclear' THEN 'present' ELSE question END AS question,
           {VERDICT_WORD} AS answer,
           count(DISTINCT candidate_id) AS n
    FROM verdict x WHERE candidate_id {{these}}{{revealed}} GROUP BY 1, 2, 3
"""
_MEANINGS = {
    (Question.PRESENT, "yes"): TermMeaning.PRESENT,
    (Question.PRESENT, "no"): TermMeaning.ABSENT,
    (Question.ACCEPTABLE, "yes"): TermMeaning.ACCEPTABLE,
    (Question.ACCEPTABLE, "no"): TermMeaning.UNACCEPTABLE,
}
# fmt: off
FACETS = (
    QueryField.STATE, QueryField.IS, QueryField.LINT, QueryField.JUDGE, QueryField.BY, QueryField.REASON,
    QueryField.CONCEPT, QueryField.CUE, QueryField.POSITION, QueryField.TYPE, QueryField.PIPELINE, QueryField.SOURCE,
    QueryField.STREAM,
)
# fmt: on
"""The fields that have facets, in the order of their use."""
_MOST_FACETS = 200


@dataclass(frozen=True, slots=True)
class Facet:
    """A value and the number of candidates with it."""

    value: Value
    count: int


def facets(connection: Connection, field: QueryField, ids: Sequence[int] | None = None) -> list[Facet]:
    """Count the values of `field` among `ids` or in the whole record, the most frequent first."""
    counted: Counter[Value] = Counter()
    for these, values in _parts(ids):
        revealed = "" if ids is None else f" AND NOT {UNREVEALED.replace('{id}', 'x.candidate_id')}"
        statement = (_JUDGE if field is QueryField.JUDGE else _COLUMNS[field]).format(these=these, revealed=revealed)
        for row in connection.execute(text(statement), values):
            if field is QueryField.JUDGE:
                meaning = _MEANINGS.get((Question(row.question), row.answer), TermMeaning.UNCLEAR)
                counted[Value(row.judge, meaning)] += row.n
            elif row.value is not None:
                counted[Value(row.value)] += row.n
    ranked = sorted(counted.items(), key=lambda each: (-each[1], each[0].name))
    return [Facet(value, count) for value, count in ranked[:_MOST_FACETS]]


def _parts(ids: Sequence[int] | None) -> Iterator[tuple[str, dict[str, str]]]:
    if ids is None:
        yield "IS NOT NULL", {}
        return
    for part in batches(ids, _BLOCK):
        yield IN_IDS, {"ids": json_array(part)}


def unknown_name(connection: Connection, view: View) -> str | None:
    """Return a message about the first name in the view that the record does not contain; None: it contains all.

    The message lists known names, and explains a view without results.
    """
    if (view.filters_by(QueryField.MARGIN) or view.sort is Sort.MISTAKEN) and margin_source(connection) is None:
        return f"{NO_MARGINS}; compute them: {COMPUTE}"
    for term in view.terms:
        if term.field in LISTED and not term.excluded:
            wrong = [value.name for value in term.values if not _exists(connection, term.field, value.name)]
            if wrong:
                numbered = term.field in NUMBERED
                return f"there is no candidate {wrong[0]}" if numbered else f"no near:{wrong[0]} in this record"
        if term.field in WORDS or term.excluded or term.field not in (*_NAMED, QueryField.JUDGE):
            continue
        if term.field is QueryField.JUDGE:
            known = judges(connection)
            wrong = [v.name for v in term.values if v.name != ANY_JUDGE and not matching_judges(v.name, known)]
        else:
            known = [facet.value.name for facet in facets(connection, term.field)]
            folded = {name.casefold() for name in known}
            wrong = [v.name for v in term.values if v.name not in known and v.name.casefold() not in folded]
        if wrong:
            return f"no {term.field}:{wrong[0]} in this record; known: {', '.join(known[:12]) or 'none yet'}"
    return None


def _exists(connection: Connection, field: QueryField, name: str) -> bool:
    """Return whether the record has the candidate or the image of a term that is computed before the query."""
    candidate = text("SELECT 1 FROM candidate WHERE id = :name")
    image = text("SELECT 1 FROM image WHERE key = :name OR file_name = :name LIMIT 1")
    return connection.execute(candidate if field in NUMBERED else image, {"name": name}).first() is not None


_NAMED = (QueryField.BY, QueryField.CUE, QueryField.CONCEPT, QueryField.PIPELINE, QueryField.SOURCE)
"""Fields whose values are free names from the record."""
