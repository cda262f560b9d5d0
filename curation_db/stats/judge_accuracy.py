"""What the judges said, held against what people found: for each judge a table of two by two. Reads only.

People find a concept *present* by a rejection for that reason, and *absent* by an accept; other reasons say nothing
about it. A judge says "present" at P(present) >= .5. Two sets of labels are kept apart: the blind audit's, a random
sample that no judge can have bent, and everything that people decided, where hard cases come first and the judges
were on the screen.
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
"""Where a candidate stands by people's decisions in force."""
_AUDITED = f"""
    SELECT candidate_id, max(kind = 'reject') AS present FROM ({audit_labels()}) AS l
    WHERE kind = 'accept' OR reason = 'present' GROUP BY candidate_id HAVING count(DISTINCT kind) = 1
"""
"""The audit's labels by candidate, where they do not contradict each other."""
_HELD = """
    SELECT v.judge, v.model, v.prompt_version, v.simulated, l.present,
           CASE WHEN v.p IS NULL THEN -1 WHEN v.p >= :threshold THEN 1 ELSE 0 END AS said, count(*) AS n
    FROM ({labels}) AS l JOIN verdict v ON v.candidate_id = l.candidate_id AND v.question = 'present'
    GROUP BY 1, 2, 3, 4, 5, 6
"""


class AuditLabels(StrEnum):
    """Whose word counts."""

    AUDIT = "audit"
    """First words, given blind, about a random sample."""
    DECIDED = "decided"
    """Wherever people have decided."""


_SQL = {
    AuditLabels.AUDIT: text(_HELD.format(labels=_AUDITED)),
    AuditLabels.DECIDED: text(_HELD.format(labels=_DECIDED)),
}


@dataclass(frozen=True, slots=True)
class Confusion:
    """One judge against one set of labels."""

    judge: str
    model: str
    prompt_version: str
    simulated: bool
    """It is a script that knows the truth, not a model."""
    labels: AuditLabels
    absent_absent: int
    """The judge says absent, and so do people."""
    absent_present: int
    """The judge says absent, people found it: what spoils training data."""
    present_absent: int
    present_present: int
    unclear: int
    """The judge gave no probability."""

    @property
    def labelled(self) -> int:
        """Candidates with a label and an answer."""
        return self.absent_absent + self.absent_present + self.present_absent + self.present_present

    @property
    def precision(self) -> Interval:
        """Of "absent": how often it is, where the judge says so."""
        return wilson(self.absent_absent, self.absent_absent + self.absent_present)

    @property
    def recall(self) -> Interval:
        """Of "absent": how often the judge says so, where it is."""
        return wilson(self.absent_absent, self.absent_absent + self.present_absent)


def confusions(connection: Connection) -> tuple[Confusion, ...]:
    """Every judge against both sets of labels; a judge without any label is left out."""
    return tuple(
        confusion
        for labels, statement in _SQL.items()
        for confusion in _tables(labels, connection.execute(statement, {"threshold": THRESHOLD}).all())
    )


def _tables(labels: AuditLabels, rows: Iterable[tuple[str, str, str, int, int, int, int]]) -> list[Confusion]:
    cells: dict[tuple[str, str, str, int], dict[tuple[int, int], int]] = defaultdict(lambda: defaultdict(int))
    for judge, model, prompt, simulated, present, said, number in rows:
        cells[judge, model, prompt, simulated][said, present] += number
    # fmt: off
    return [
        Confusion(
            judge, model, prompt, bool(simulated), labels, told[0, 0], told[0, 1], told[1, 0], told[1, 1],
            told[-1, 0] + told[-1, 1],
        )
        for (judge, model, prompt, simulated), told in sorted(cells.items())
    ]
    # fmt: on
