"""Progress of the record: speed, remaining work, decisions and reasons, distribution, agreement, judge accuracy.

Reads only. Each part uses its own read transaction, because a long reader would keep the write-ahead log from
shrinking; the parts of one `RecordProgress` may therefore be a key press apart. Counting reads whole tables (seconds
for a million candidates), so run it in a thread; `newest` is a cheap check for changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection, text

from curation_db.enums import Kind, Reason
from curation_db.events.annotator_status import count_waiting_edits
from curation_db.events.in_force import DECISIONS, PERSON_ROLES_SQL, in_force_sql
from curation_db.stats.annotator_agreement import VoteAgreement, audit_agreement, current_agreement
from curation_db.stats.decision_speed import AnnotationSpeed, combined, speeds
from curation_db.stats.distribution import Balance, balances
from curation_db.stats.flip_rate import FlipRate, flip_rates
from curation_db.stats.intervals import RESAMPLES
from curation_db.stats.judge_accuracy import Confusion, confusions
from curation_db.stats.probes import Consistency, consistency, read_answers
from curation_db.stats.targets import Targets
from curation_db.storage.store import Store

_IN_FORCE = text(f"""
    SELECT e.actor, e.kind, CASE WHEN e.kind = 'reject' OR (e.kind = 'flip' AND e.verdict = 'reject') THEN e.reason END,
           count(*) AS n
    FROM event e WHERE e.role IN {PERSON_ROLES_SQL} AND {in_force_sql()} GROUP BY 1, 2, 3
""")
_STATES = text("SELECT state, count(*) AS n, sum(wanted) AS wanted FROM candidate_state GROUP BY state")
_NEWEST = text("SELECT (SELECT coalesce(max(seq), 0) FROM event), (SELECT coalesce(max(id), 0) FROM candidate)")


@dataclass(frozen=True, slots=True)
class AnnotatorProgress:
    name: str
    speed: AnnotationSpeed
    decisions: dict[Kind, int]
    """Decisions in force (`in_force`) by kind; every kind of `DECISIONS` is present."""
    reasons: dict[Reason, int]
    """Rejections in force by reason; every reason is present."""
    probes: Consistency = field(default_factory=Consistency)
    """Answers to probes in effect."""
    flips: FlipRate = field(default_factory=FlipRate)
    """Audit labels, and those that were changed after a reveal."""


@dataclass(frozen=True, slots=True)
class WorkCounts:
    states: dict[str, int]
    """Number of candidates by state; states without candidates are missing."""
    wanted: int
    """Number of votes that are still needed."""
    team: AnnotationSpeed
    """Speed of all annotators together."""
    edits: dict[str, int]
    """Edits that wait for another annotator's vote, by editor."""

    @property
    def hours_left(self) -> float | None:
        """Remaining hours of one annotator's active time, at the team's speed so far."""
        return self.team.hours_for(self.wanted)


@dataclass(frozen=True, slots=True)
class RecordProgress:
    work: WorkCounts
    people: tuple[AnnotatorProgress, ...]
    balances: tuple[Balance, ...]
    standing: VoteAgreement
    """Agreement on the candidates with votes in force of two or more annotators."""
    audit: VoteAgreement
    """Agreement on the audit labels."""
    judges: tuple[Confusion, ...]


def read_progress(store: Store, targets: Targets | None = None, *, resamples: int = RESAMPLES) -> RecordProgress:
    with store.read() as connection:
        measured, counted, people = speeds(connection), connection.execute(_IN_FORCE).all(), _people(connection)
        work = _work(connection, combined(measured.values()))
        probed = consistency(read_answers(connection))
    with store.read() as connection:
        spreads = balances(connection, targets or {})
    with store.read() as connection:
        standing, audit = (
            consensus(connection, resamples=resamples) for consensus in (current_agreement, audit_agreement)
        )
    with store.read() as connection:
        judges, flips = confusions(connection), flip_rates(connection)
    named = sorted({*people, *measured, *(actor for actor, _, _, _ in counted)})
    return RecordProgress(
        work,
        tuple(
            replace(
                _person(name, measured.get(name, AnnotationSpeed()), counted),
                probes=probed.get(name, Consistency()),
                flips=flips.get(name, FlipRate()),
            )
            for name in named
        ),
        spreads,
        standing,
        audit,
        judges,
    )


def newest(store: Store) -> tuple[int, int]:
    """Return a value that changes with every new event or candidate; two look-ups."""
    with store.read() as connection:
        event, candidate = connection.execute(_NEWEST).one()
    return int(event), int(candidate)


def _people(connection: Connection) -> set[str]:
    return {str(name) for (name,) in connection.execute(text("SELECT name FROM annotator"))}


def _work(connection: Connection, team: AnnotationSpeed) -> WorkCounts:
    rows = connection.execute(_STATES).all()
    return WorkCounts(
        {row.state: row.n for row in rows}, sum(int(row.wanted) for row in rows), team, count_waiting_edits(connection)
    )


def _person(
    name: str, speed: AnnotationSpeed, counted: Iterable[tuple[str, str, str | None, int]]
) -> AnnotatorProgress:
    kinds, reasons = Counter[str](), Counter[str]()
    for actor, kind, reason, number in counted:
        if actor == name:
            kinds[kind] += number
            if reason:
                reasons[reason] += number
    return AnnotatorProgress(
        name,
        speed,
        {kind: kinds[kind] for kind in DECISIONS},
        {reason: reasons[reason] for reason in Reason},
    )
