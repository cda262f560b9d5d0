"""Mark candidates as gold items and remove the marks; each change updates the queue in the same transaction.

A known answer comes from a column of an import, or from an adjudication. Marking a candidate again never changes its
answer: a different answer is reported, and the old one stays until the marks are removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from curation_db.enums import Kind, Reason
from curation_db.events.history_cache import events_of
from curation_db.events.state import effective_events, since_requeue
from curation_db.queue.gold import KnownAnswer, known_answer
from curation_db.review.state_table import update_state
from curation_db.storage.ids import utc_now
from curation_db.storage.store import Store

_BATCH = 500
"""Candidates per transaction, so that annotators who decide meanwhile do not wait long."""
_MARK = text("""
    INSERT INTO gold(candidate_id, answer, reason, origin, created_at) VALUES (:id, :answer, :reason, :origin, :now)
""")
_SETTLED = text("""
    SELECT DISTINCT e.candidate_id FROM event e JOIN candidate_state s ON s.candidate_id = e.candidate_id
    WHERE e.kind = 'adjudicate' AND s.state IN ('accepted', 'rejected') AND e.candidate_id > :after
    AND NOT EXISTS (SELECT 1 FROM gold k WHERE k.candidate_id = e.candidate_id) ORDER BY 1 LIMIT :count
""")


@dataclass(slots=True)
class MarkingResult:
    new: int = 0
    known: int = 0
    """Already gold with the same answer."""
    other: list[int] = field(default_factory=list)
    """Ids that are gold with another answer, which stays."""
    audit: int = 0
    """Skipped because they belong to the audit set."""

    def __iadd__(self, more: MarkingResult) -> MarkingResult:
        self.new += more.new
        self.known += more.known
        self.other += more.other
        self.audit += more.audit
        return self


def mark(connection: Connection, answers: Mapping[int, KnownAnswer], origin: str) -> MarkingResult:
    """Mark these candidates as gold items; `origin` says where the answers come from."""
    done = MarkingResult()
    for number, answer in answers.items():
        existing = known_answer(connection, number)
        if existing is not None:
            done.known += existing == answer
            if existing != answer:
                done.other.append(number)
        elif _is_audit(connection, number):
            done.audit += 1
        else:
            row = {"id": number, "answer": answer.kind, "reason": answer.reason, "origin": origin, "now": utc_now()}
            connection.execute(_MARK, row)
            update_state(connection, number)
            done.new += 1
    return done


def mark_adjudicated(store: Store) -> MarkingResult:
    """Mark every adjudicated candidate as a gold item."""
    done, after = MarkingResult(), 0
    while True:
        with store.write() as connection:
            ids = connection.execute(_SETTLED, {"after": after, "count": _BATCH}).scalars().all()
            for number in ids:
                if (adjudication := _adjudication_in_effect(connection, number)) is not None:
                    answer, adjudicator = adjudication
                    done += mark(connection, {number: answer}, f"adjudicated by {adjudicator}")
        if not ids:
            return done
        after = ids[-1]


def unmark_all(store: Store) -> int:
    """Remove all gold marks; return how many. Answers to gold items do not become votes."""
    count = 0
    while True:
        with store.write() as connection:
            ids = connection.execute(text("SELECT candidate_id FROM gold LIMIT :count"), {"count": _BATCH}).scalars()
            numbers = ids.all()
            for number in numbers:
                connection.execute(text("DELETE FROM gold WHERE candidate_id = :id"), {"id": number})
                update_state(connection, number)
        count += len(numbers)
        if not numbers:
            return count


def _is_audit(connection: Connection, candidate_id: int) -> bool:
    return bool(connection.execute(text("SELECT audit FROM candidate WHERE id = :id"), {"id": candidate_id}).scalar())


def _adjudication_in_effect(connection: Connection, candidate_id: int) -> tuple[KnownAnswer, str] | None:
    """Return the answer of the adjudication in effect, and the adjudicator's name."""
    recent = since_requeue(effective_events(events_of(connection, candidate_id)))
    adjudications = [event for event in recent if event.kind is Kind.ADJUDICATE]
    if not adjudications:
        return None
    last = adjudications[-1]
    reason = connection.execute(text("SELECT reason FROM event WHERE seq = :seq"), {"seq": last.seq}).scalar()
    assert last.verdict is not None, "a constraint of the database"
    return KnownAnswer(last.verdict, Reason(reason) if reason else None), last.actor
