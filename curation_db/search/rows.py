"""Rows of a list of candidates, a page at a time: a handful of queries for all of them together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from curation_db.enums import Kind, NegationType, Question, State
from curation_db.events.in_force import in_force_sql
from curation_db.lint.index import CONFLICT, INDEXED_RULES, not_indexed
from curation_db.lint.linter import Rule
from curation_db.storage.sqlite import IN_IDS, json_array

_CANDIDATES = text(f"""
    SELECT c.id, c.text, c.concept, c.cue, c.cue_position, c.negation_type, c.pipeline, c.audit, t.text AS caption,
           o.name AS source, i.key AS image, z.state, z.wanted, z.flagged, z.notes
    FROM candidate c JOIN candidate_state z ON z.candidate_id = c.id JOIN image i ON i.id = c.image_id
    JOIN source o ON o.id = c.source_id LEFT JOIN caption t ON t.id = c.caption_id WHERE c.id {IN_IDS}
""")
_OPINIONS = text(f"SELECT candidate_id, judge, question, p FROM verdict WHERE candidate_id {IN_IDS} ORDER BY judge, id")
_DECISIONS = text(f"""
    SELECT e.candidate_id, e.actor, CASE e.kind WHEN 'flip' THEN e.verdict ELSE e.kind END AS kind, e.reason, e.at
    FROM event e WHERE e.candidate_id {IN_IDS} AND {in_force_sql()} ORDER BY e.seq
""")
_MARKS = text(f"""
    SELECT candidate_id, mark FROM candidate_mark
    WHERE mark IN (SELECT value FROM json_each(:marks)) AND candidate_id {IN_IDS}
""")


@dataclass(frozen=True, slots=True)
class RowVerdict:
    """A judge's answer."""

    judge: str
    question: Question
    p: float | None


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's decision that is in force."""

    actor: str
    kind: Kind
    reason: str | None
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedCandidate:
    """A candidate as a list shows it."""

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
    """The picture's key in its source."""
    audit: bool
    state: State
    flagged: bool
    notes: int
    hidden: bool
    """Of the audit, and people are still asked: what the judges say is not told."""
    verdicts: tuple[RowVerdict, ...]
    conflict: bool
    lint: tuple[Rule, ...]
    """What the rules found, where they have looked (`checked`)."""
    checked: bool
    """Whether the rules of the lint have looked at the candidate as it is now (`marks`)."""
    decisions: tuple[Decision, ...]
    """In order."""


def page_of(connection: Connection, ids: Sequence[int]) -> list[ListedCandidate]:
    """These candidates in this order; ids of none are left out."""
    listed = json_array(ids)
    said, marked, decided = defaultdict(list), defaultdict(set), defaultdict(list)
    for row in connection.execute(_OPINIONS, {"ids": listed}):
        said[row.candidate_id].append(RowVerdict(row.judge, Question(row.question), row.p))
    for row in connection.execute(_MARKS, {"ids": listed, "marks": json_array([*map(str, INDEXED_RULES), CONFLICT])}):
        marked[row.candidate_id].add(row.mark)
    for row in connection.execute(_DECISIONS, {"ids": listed}):
        decided[row.candidate_id].append(Decision(row.actor, Kind(row.kind), row.reason, row.at))
    waiting = not_indexed(connection, ids)
    found = {}
    for row in connection.execute(_CANDIDATES, {"ids": listed}):
        hidden = bool(row.audit) and row.wanted > 0
        # fmt: off
        found[row.id] = ListedCandidate(
            id=row.id, text=row.text, caption=row.caption, concept=row.concept, cue=row.cue,
            position=row.cue_position, negation_type=NegationType(row.negation_type), pipeline=row.pipeline,
            source=row.source, image=row.image, audit=bool(row.audit), state=State(row.state),
            flagged=bool(row.flagged), notes=row.notes, hidden=hidden,
            verdicts=() if hidden else tuple(said[row.id]), conflict=CONFLICT in marked[row.id] and not hidden,
            lint=tuple(rule for rule in INDEXED_RULES if rule in marked[row.id]),
            checked=row.id not in waiting, decisions=tuple(decided[row.id]),
        )
        # fmt: on
    return [found[number] for number in ids if number in found]
