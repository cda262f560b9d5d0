"""Marking candidates as gold, and taking the marks off again; each with its place in the queue, in one transaction.

An answer comes with an import (a column of its own), or is an adjudicator's final word. It is never changed by
marking again: another answer is told, and the old one stays until the marks are taken off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from curation_db.enums import Kind, Reason
from curation_db.events.history_cache import events_of
from curation_db.events.state import FoldEvent, effective_events, since_requeue
from curation_db.queue.gold import KnownAnswer, known_answer
from curation_db.review.state_table import update_state
from curation_db.storage.ids import utc_now
from curation_db.storage.store import Store

_BATCH = 500
"""Candidates in one transaction: nobody who decides meanwhile waits long."""
_MARK = text("""
    INSERT INTO gold(candidate_id, answer, reason, origin, created_at) VALUES (:id, :answer, :reason, :origin, :now)
""")
_SETTLED = text("""
    SELECT DISTINCT e.candidate_id FROM event e JOIN candidate_state s ON s.candidate_id = e.candidate_id
    WHERE e.kind = 'adjudicate' AND s.state IN ('accepted', 'rejected') AND e.candidate_id > :after
    AND NOT EXISTS (SELECT 1 FROM gold k WHERE k.candidate_id = e.candidate_id) ORDER BY 1 LIMIT :count
""")


@dataclass(slots=True)
class Marked:
    """What became of known answers."""

    new: int = 0
    known: int = 0
    """Were gold already, with the same answer."""
    other: list[int] = field(default_factory=list)
    """Are gold with another answer; that one stays."""
    audit: int = 0
    """Are kept for the audit, and so left alone."""

    def __iadd__(self, more: Marked) -> Marked:
        self.new += more.new
        self.known += more.known
        self.other += more.other
        self.audit += more.audit
        return self


def mark(connection: Connection, answers: Mapping[int, KnownAnswer], origin: str) -> Marked:
    """Make these candidates gold."""
    done = Marked()
    for number, answer in answers.items():
        told = known_answer(connection, number)
        if told is not None:
            done.known += told == answer
            if told != answer:
                done.other.append(number)
        elif _is_audit(connection, number):
            done.audit += 1
        else:
            row = {"id": number, "answer": answer.kind, "reason": answer.reason, "origin": origin, "now": utc_now()}
            connection.execute(_MARK, row)
            update_state(connection, number)
            done.new += 1
    return done


def mark_adjudicated(store: Store) -> Marked:
    """Make gold of everything that an adjudicator has settled, so that others are asked what the right answer is."""
    done, after = Marked(), 0
    while True:
        with store.write() as connection:
            ids = connection.execute(_SETTLED, {"after": after, "count": _BATCH}).scalars().all()
            for number in ids:
                if (word := _final_word(connection, number)) is not None:
                    done += mark(connection, {number: word[0]}, f"adjudicated by {word[1]}")
        if not ids:
            return done
        after = ids[-1]


def unmark_all(store: Store) -> int:
    """Make ordinary candidates of all gold ones again; returns how many. What people answered stays no vote."""
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


def _final_word(connection: Connection, candidate_id: int) -> tuple[KnownAnswer, str] | None:
    """The adjudication that stands, and whose it is."""
    recent = since_requeue(effective_events(events_of(connection, candidate_id)))
    words = [event for event in recent if event.kind is Kind.ADJUDICATE]
    return (_answer(connection, words[-1]), words[-1].actor) if words else None


def _answer(connection: Connection, word: FoldEvent) -> KnownAnswer:
    reason = connection.execute(text("SELECT reason FROM event WHERE seq = :seq"), {"seq": word.seq}).scalar()
    assert word.verdict is not None, "the database sees to it"
    return KnownAnswer(word.verdict, Reason(reason) if reason else None)
