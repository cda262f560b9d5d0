"""Read one page of a candidate list with a few queries for all of its rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from curation_db.enums import Kind, NegationType, Question, State
from curation_db.events.in_force import in_force_sql
from curation_db.lint.index import CONFLICT, INDEXED_RULES, not_indexed
from curation_db.lint.linter import Rule
from curation_db.queue.margins import margins_of
from curation_db.search.query_language import QueryField, View
from curation_db.storage.sqlite import IN_IDS, json_array

_CANDIDATES = text(f"""
    SELECT c.id, c.text, c.concept, c.cue, c.cue_position, c.negation_type, c.pipeline, c.audit, t.text AS caption,
           o.name AS source, i.key AS image, i.file_name, z.state, z.wanted, z.flagged, z.notes
    FROM candidate c JOIN candidate_state z ON z.candidate_id = c.id JOIN image i ON i.id = c.image_id
    JOIN source o ON o.id = c.source_id LEFT JOIN caption t ON t.id = c.caption_id WHERE c.id {IN_IDS}
""")
_VERDICTS = text(f"SELECT candidate_id, judge, question, p FROM verdict WHERE candidate_id {IN_IDS} ORDER BY judge, id")
_DECISIONS = text(f"""
    SELECT e.candidate_id, e.actor, CASE e.kind WHEN 'flip' THEN e.verdict ELSE e.kind END AS kind, e.reason, e.at
    FROM event e WHERE e.candidate_id {IN_IDS} AND {in_force_sql()} ORDER BY e.seq
""")
_MARKS = text(f"""
    SELECT candidate_id, mark FROM candidate_mark
    WHERE mark IN (SELECT value FROM json_each(:marks)) AND candidate_id {IN_IDS}
""")
EVERYTHING = View()


@dataclass(frozen=True, slots=True)
class RowVerdict:
    """A judge's verdict in a list."""

    judge: str
    question: Question
    p: float | None


@dataclass(frozen=True, slots=True)
class Decision:
    """An annotator's decision in force."""

    actor: str
    kind: Kind
    reason: str | None
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedCandidate:
    id: int
    text: str
    caption: str | None
    concept: str | None
    cue: str | None
    position: str | None
    negation_type: NegationType
    pipeline: str
    source: str
    image: str
    """The image's key in its source."""
    file_name: str | None
    """The image's file name."""
    audit: bool
    state: State
    flagged: bool
    notes: int
    hidden: bool
    """An audit candidate that still needs votes: verdicts, conflict and margin are withheld."""
    verdicts: tuple[RowVerdict, ...]
    conflict: bool
    margin: float | None
    """Under a trained model, for the pairs of its export (`queue.margins`)."""
    lint: tuple[Rule, ...]
    """Failed rules; valid if `checked`."""
    checked: bool
    """Whether the lint index of the candidate is up to date (`curation_db.lint.index`)."""
    decisions: tuple[Decision, ...]
    """In order of events."""
    similarity: float | None = None
    """To the candidate of the view's `like:` term, from 0 to 1 (`similar.similar_to`); None: the view has none."""


def page_of(connection: Connection, ids: Sequence[int], view: View = EVERYTHING) -> list[ListedCandidate]:
    """Return the rows of these candidates in this order; unknown ids are left out.

    Args:
        view: The view that lists them; its `like:` term gives their similarity.
    """
    listed = json_array(ids)
    verdicts, marks, decisions = defaultdict(list), defaultdict(set), defaultdict(list)
    for row in connection.execute(_VERDICTS, {"ids": listed}):
        verdicts[row.candidate_id].append(RowVerdict(row.judge, Question(row.question), row.p))
    for row in connection.execute(_MARKS, {"ids": listed, "marks": json_array([*map(str, INDEXED_RULES), CONFLICT])}):
        marks[row.candidate_id].add(row.mark)
    for row in connection.execute(_DECISIONS, {"ids": listed}):
        decisions[row.candidate_id].append(Decision(row.actor, Kind(row.kind), row.reason, row.at))
    margins = margins_of(connection, ids)
    unindexed = not_indexed(connection, ids)
    similarity = _similarities(connection, view)
    rows = {}
    for row in connection.execute(_CANDIDATES, {"ids": listed}):
        hidden = bool(row.audit) and row.wanted > 0
        # fmt: off
        rows[row.id] = ListedCandidate(
            id=row.id, text=row.text, caption=row.caption, concept=row.concept, cue=row.cue,
            position=row.cue_position, negation_type=NegationType(row.negation_type), pipeline=row.pipeline,
            source=row.source, image=row.image, file_name=row.file_name, audit=bool(row.audit), state=State(row.state),
            flagged=bool(row.flagged), notes=row.notes, hidden=hidden,
            verdicts=() if hidden else tuple(verdicts[row.id]), conflict=CONFLICT in marks[row.id] and not hidden,
            margin=None if hidden else margins.get(row.id),
            lint=tuple(rule for rule in INDEXED_RULES if rule in marks[row.id]),
            checked=row.id not in unindexed, decisions=tuple(decisions[row.id]),
            similarity=similarity.get(row.id),
        )
        # fmt: on
    return [rows[number] for number in ids if number in rows]


def _similarities(connection: Connection, view: View) -> Mapping[int, float]:
    if not view.filters_by(QueryField.LIKE):
        return {}
    from curation_db.search.similar import similarities  # noqa: PLC0415 -- numpy: 60 ms

    return similarities(connection, view)
