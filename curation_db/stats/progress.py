"""Progress: how fast people are, what is left, what they decided and why, and what all of it comes to.

Pure reads into frozen values. Each part takes a read of its own, so that no long reader keeps the log from shrinking;
parts of one `RecordProgress` may therefore be a key press apart. Everything counts over whole tables (seconds for a
million candidates), so it is for a thread of its own, and `newest` says cheaply whether to look again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, text

from curation_db.enums import Kind, Reason
from curation_db.events.annotator_status import count_waiting_edits
from curation_db.events.in_force import DECISIONS, PERSON_ROLES_SQL, in_force_sql
from curation_db.stats.annotator_agreement import VoteAgreement, audit_agreement, current_agreement
from curation_db.stats.decision_speed import AnnotationSpeed, combined, speeds
from curation_db.stats.distribution import Balance, balances
from curation_db.stats.intervals import RESAMPLES
from curation_db.stats.judge_accuracy import Confusion, confusions
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
    """One person's work."""

    name: str
    speed: AnnotationSpeed
    decisions: dict[Kind, int]
    """Those in force (`in_force`), by kind; every kind of `DECISIONS` is there."""
    reasons: dict[Reason, int]
    """Of the votes to reject that are in force; every reason is there."""


@dataclass(frozen=True, slots=True)
class WorkCounts:
    """What is done and what is left."""

    states: dict[str, int]
    """Candidates by state; states that no candidate is in are missing."""
    wanted: int
    """Decisions that are still asked for."""
    team: AnnotationSpeed
    """Everybody together."""
    edits: dict[str, int]
    """Edits that another person is asked about, by editor."""

    @property
    def hours_left(self) -> float | None:
        """Hours of one person's active time at the speed of all so far."""
        return self.team.hours_for(self.wanted)


@dataclass(frozen=True, slots=True)
class RecordProgress:
    """Everything."""

    work: WorkCounts
    people: tuple[AnnotatorProgress, ...]
    balances: tuple[Balance, ...]
    standing: VoteAgreement
    """On candidates with votes of two people or more, as they stand."""
    audit: VoteAgreement
    """On the audit, by first words."""
    judges: tuple[Confusion, ...]


def read_progress(store: Store, targets: Targets | None = None, *, resamples: int = RESAMPLES) -> RecordProgress:
    """Count everything anew."""
    with store.read() as connection:
        measured, counted, people = speeds(connection), connection.execute(_IN_FORCE).all(), _people(connection)
        work = _work(connection, combined(measured.values()))
    with store.read() as connection:
        spreads = balances(connection, targets or {})
    with store.read() as connection:
        standing, audit = (
            consensus(connection, resamples=resamples) for consensus in (current_agreement, audit_agreement)
        )
    with store.read() as connection:
        judges = confusions(connection)
    named = sorted({*people, *measured, *(actor for actor, _, _, _ in counted)})
    return RecordProgress(
        work,
        tuple(_person(name, measured.get(name, AnnotationSpeed()), counted) for name in named),
        spreads,
        standing,
        audit,
        judges,
    )


def newest(store: Store) -> tuple[int, int]:
    """Changes whenever a decision or a candidate comes in; two look-ups."""
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
