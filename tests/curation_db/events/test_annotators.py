"""Active annotators: those with decisions or a live session, without retired names."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from support.record import AnnotatorSession, Record

from curation_db.enums import Kind, Reason, Role, State
from curation_db.errors import RecordError, RecordInUse, RetiredAnnotator
from curation_db.events.annotator_status import (
    count_waiting_edits,
    list_annotators,
    other_annotators,
    reinstate,
    retire,
)
from curation_db.events.annotators import end_session
from curation_db.integrity.consistency import compare

NEW_TEXT = "a woman without a hat on a horse"


def leave(record: Record, session: AnnotatorSession) -> None:
    end_session(record.store, session.actor)


def others_of(record: Record, name: str) -> list[str]:
    with record.store.read() as connection:
        return other_annotators(connection, name)


def test_an_annotator_without_decisions_does_not_delay_an_edit(record: Record) -> None:
    record.add(3)
    leave(record, record.open_session("ben"))
    skipping = record.open_session("cho")
    skipping.reviewer.decide(3, Kind.SKIP)
    leave(record, skipping)
    done = record.open_session("ana").reviewer.edit(1, NEW_TEXT)
    assert done.child is not None
    assert (done.child.state, done.child.accepts) == (State.ACCEPTED, 1)
    assert record.state(done.child_id) == "accepted"


def test_an_edit_waits_for_an_annotator_with_a_live_session(record: Record) -> None:
    record.add(1)
    record.open_session("ben")
    ana = record.open_session("ana").reviewer
    done = ana.edit(1, NEW_TEXT)
    assert done.child is not None
    assert (done.child.state, done.child.wanted) == (State.OPEN, 1)


@pytest.mark.parametrize("kind", [Kind.ACCEPT, Kind.REJECT, Kind.UNSURE])
def test_an_edit_waits_for_an_annotator_with_decisions(record: Record, kind: Kind) -> None:
    record.add(2)
    ben = record.open_session("ben")
    ben.reviewer.decide(2, kind, reason=Reason.SCOPE if kind is Kind.REJECT else None)
    leave(record, ben)
    assert others_of(record, "ana") == ["ben"]
    assert others_of(record, "ben") == []
    ana = record.open_session("ana").reviewer
    done = ana.edit(1, NEW_TEXT)
    assert record.state(done.child_id) == "open"
    with record.store.read() as connection:
        assert count_waiting_edits(connection) == {"ana": 1}
    record.open_session("ben").reviewer.decide(done.child_id, Kind.ACCEPT)
    with record.store.read() as connection:
        assert count_waiting_edits(connection) == {}


def test_an_undone_decision_does_not_count(record: Record) -> None:
    record.add(2)
    ben = record.open_session("ben")
    ben.reviewer.decide(1, Kind.ACCEPT)
    ben.reviewer.undo()
    leave(record, ben)
    assert others_of(record, "ana") == []


def test_a_crashed_session_is_not_live(record: Record) -> None:
    record.add(1)
    record.open_session("ben")
    with record.store.write() as connection:
        connection.execute(text("UPDATE work_session SET pid = 999999999"))
    assert others_of(record, "ana") == []


def test_a_retired_name_does_not_count_and_its_decisions_stay(record: Record) -> None:
    record.add(3)
    ben = record.open_session("ben", role=Role.ADJUDICATOR)
    ben.reviewer.decide(2, Kind.ACCEPT)
    ana = record.open_session("ana")
    with pytest.raises(RecordError, match="adjudicator"):
        ana.reviewer.requeue(2)
    with pytest.raises(RecordInUse, match="ben has a live session"):
        retire(record.store, "ben")
    leave(record, ben)
    retire(record.store, "ben")
    assert others_of(record, "ana") == []
    assert record.state(2) == "accepted"
    assert record.state(ana.reviewer.edit(1, NEW_TEXT).child_id) == "accepted"
    ana.reviewer.requeue(2)
    with pytest.raises(RetiredAnnotator, match="retired"):
        record.open_session("ben", role=Role.ANNOTATOR)
    assert record.rows("SELECT role FROM annotator WHERE name = 'ben'") == [("adjudicator",)]
    reinstate(record.store, "ben")
    assert others_of(record, "ana") == ["ben"]
    record.open_session("ben")
    with record.store.read() as connection:
        assert compare(connection).is_consistent


def test_all_annotators_are_listed(record: Record) -> None:
    record.add(3)
    ana, ben = record.open_session("ana"), record.open_session("ben")
    ana.reviewer.decide(1, Kind.ACCEPT)
    ana.reviewer.decide(1, Kind.REJECT, reason=Reason.SCOPE)
    ana.reviewer.decide(2, Kind.ACCEPT)
    leave(record, ben)
    with record.store.read() as connection:
        statuses = {each.name: each for each in list_annotators(connection)}
    assert (statuses["ana"].decisions, statuses["ana"].at_work, statuses["ana"].is_active) == (2, True, True)
    assert (statuses["ben"].decisions, statuses["ben"].at_work, statuses["ben"].is_active) == (0, False, False)


def test_with_more_annotators_needed_the_edit_waits(record: Record) -> None:
    record.add(1, overlap="2")
    done = record.open_session("ana").reviewer.edit(1, NEW_TEXT)
    assert done.child is not None
    assert (done.child.state, done.child.accepts, done.child.wanted) == (State.NEEDS_MORE, 1, 1)
