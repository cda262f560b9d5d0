"""Accuracy of the judges against annotators: a 2x2 table for each judge. Reads only.

Annotators label a concept *present* by a rejection with that reason, and *absent* by an accept; other reasons are no
label. A judge's answer is "present" at P(present) >= .5. Two sets of labels are separate: the labels of the blind
audit, a random sample that no judge can influence; and all decisions, where hard cases come first and the verdicts
were visible.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, text

from curation_db.events.in_force import PERSON_ROLES_SQL, in_force_sql
from curation_db.stats.annotator_agreement import audit_labels
from curation_db.stats.intervals import Interval, wilson

THRESHOLD: Final = 0.5

_DECIDED = f"""
    SELECT s.candidate_id, 0 AS present FROM candidate_state s WHERE s.state = 'accepted' AND (s.accepts > 0 OR EXISTS
        (SELECT 1 FROM event e WHERE e.candidate_id = s.candidate_id AND e.kind = 'adjudicate' AND {in_force_sql()}))
    UNION ALL
    SELECT s.candidate_id, 1 AS present FROM candidate_state s WHERE s.state = 'rejected' AND EXISTS (
        SELECT 1 FROM event e WHERE e.candidate_id = s.candidate_id AND e.reason = 'present'
          AND e.role IN {PERSON_ROLES_SQL} AND {in_force_sql()})
"""
"""Labels from annotators' decisions in force, by candidate."""
_AUDITED = f"""
    SELECT candidate_id, max(kind = 'reject') AS present FROM ({audit_labels()}) AS l
    WHERE kind = 'accept' OR reason = 'present' GROUP BY candidate_id HAVING count(DISTINCT kind) = 1
"""
"""Audit labels by candidate, where they do not contradict each other."""
_CONFUSION = """
    SELECT v.judge, v.model, v.prompt_version, v.simulated, l.present,
           CASE WHEN v.p IS NULL THEN -1 WHEN v.p >= :threshold THEN 1 ELSE 0 END AS answer, count(*) AS n
    FROM ({labels}) AS l JOIN verdict v ON v.candidate_id = l.candidate_id AND v.question = 'present'
    GROUP BY 1, 2, 3, 4, 5, 6
"""


_LABELLED = """
    SELECT l.candidate_id, l.present, c.image_id, c.concept, s.name AS source, i.file_name
    FROM ({labels}) AS l JOIN candidate c ON c.id = l.candidate_id JOIN image i ON i.id = c.image_id
    JOIN source s ON s.id = i.source_id WHERE c.concept IS NOT NULL AND c.negation_type IN ('absence', 'other')
    ORDER BY l.candidate_id
"""


class AuditLabels(StrEnum):
    AUDIT = "audit"
    """Blind labels of the audit, a random sample."""
    DECIDED = "decided"
    """All candidates with a decision."""


_SQL = {
    AuditLabels.AUDIT: text(_CONFUSION.format(labels=_AUDITED)),
    AuditLabels.DECIDED: text(_CONFUSION.format(labels=_DECIDED)),
}


_SQL_OF_LABELS = {
    AuditLabels.AUDIT: text(_LABELLED.format(labels=_AUDITED)),
    AuditLabels.DECIDED: text(_LABELLED.format(labels=_DECIDED)),
}


@dataclass(frozen=True, slots=True)
class PresenceLabel:
    """What annotators say about an object that a candidate denies."""

    candidate_id: int
    present: bool
    image_id: int
    concept: str
    source: str
    file_name: str


def presence_labels(connection: Connection, labels: AuditLabels) -> list[PresenceLabel]:
    """Return the labels of the candidates that deny an object, or whose type is unknown, by candidate."""
    return [
        PresenceLabel(row.candidate_id, bool(row.present), row.image_id, row.concept, row.source, row.file_name or "")
        for row in connection.execute(_SQL_OF_LABELS[labels])
    ]


@dataclass(frozen=True, slots=True)
class Confusion:
    """Confusion table of one judge against one set of labels; fields are judge_annotators."""

    judge: str
    model: str
    prompt_version: str
    simulated: bool
    """The judge is a script that knows the truth, not a model."""
    labels: AuditLabels
    absent_absent: int
    absent_present: int
    """The judge answers absent but annotators found the concept: such errors harm training data."""
    present_absent: int
    present_present: int
    unclear: int
    """The judge gave no probability."""

    @property
    def labelled(self) -> int:
        """Number of candidates with a label and an answer."""
        return self.absent_absent + self.absent_present + self.present_absent + self.present_present

    @property
    def precision(self) -> Interval:
        """Precision of the answer "absent"."""
        return wilson(self.absent_absent, self.absent_absent + self.absent_present)

    @property
    def recall(self) -> Interval:
        """Recall of the answer "absent"."""
        return wilson(self.absent_absent, self.absent_absent + self.present_absent)


def confusions(connection: Connection) -> tuple[Confusion, ...]:
    """Return the table of every judge for both sets of labels; a judge without labels is left out."""
    return tuple(
        confusion
        for labels, statement in _SQL.items()
        for confusion in _tables(labels, connection.execute(statement, {"threshold": THRESHOLD}).all())
    )


def _tables(labels: AuditLabels, rows: Iterable[tuple[str, str, str, int, int, int, int]]) -> list[Confusion]:
    cells: dict[tuple[str, str, str, int], dict[tuple[int, int], int]] = defaultdict(lambda: defaultdict(int))
    for judge, model, prompt, simulated, present, answer, number in rows:
        cells[judge, model, prompt, simulated][answer, present] += number
    # fmt: off
    return [
        Confusion(
            judge, model, prompt, bool(simulated), labels, counts[0, 0], counts[0, 1], counts[1, 0], counts[1, 1],
            counts[-1, 0] + counts[-1, 1],
        )
        for (judge, model, prompt, simulated), counts in sorted(cells.items())
    ]
    # fmt: on
