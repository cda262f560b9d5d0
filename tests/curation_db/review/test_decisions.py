"""Decisions, undo, redo and edits: the content of the record after each."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.record import Record

from curation_db.enums import Kind, Reason, Role, Stream
from curation_db.errors import RecordError
from curation_db.queue.gold import KnownAnswer
from curation_db.review.decisions import PresentationContext
from curation_db.review.gold_marking import mark
from curation_db.storage import sqlite
from curation_db.storage.store import create_store


@pytest.mark.parametrize(
    ("kind", "reason", "state"),
    [
        (Kind.ACCEPT, None, "accepted"),
        (Kind.REJECT, Reason.PRESENT, "rejected"),
        (Kind.UNSURE, None, "unsure"),
        (Kind.SKIP, None, "open"),
    ],
)
def test_a_decision_is_an_event_and_a_state(record, kind: Kind, reason: Reason | None, state: str) -> None:
    (number,) = record.add(1)
    ana = record.open_session("ana")
    assert ana.queue.claim()[0].candidate_id == number
    done = ana.reviewer.decide(number, kind, reason=reason, shown=PresentationContext(elapsed_ms=1234))
    assert not done.late
    assert record.state(number) == state
    assert record.rows("SELECT actor, role, kind, reason, stream, blind, late, elapsed_ms, session FROM event") == [
        ("ana", "annotator", kind, reason, "review", 0, 0, 1234, ana.actor.session)
    ]
    assert record.rows("SELECT * FROM lease") == []
    record.assert_state_matches_events()


@pytest.mark.parametrize(
    ("kind", "reason"), [(Kind.REJECT, None), (Kind.ACCEPT, Reason.SCOPE), (Kind.UNDO, None), (Kind.EDIT, None)]
)
def test_an_invalid_decision_writes_nothing(record, kind: Kind, reason: Reason | None) -> None:
    (number,) = record.add(1)
    with pytest.raises(ValueError, match=r"reason|is not accept"):
        record.open_session("ana").reviewer.decide(number, kind, reason=reason)
    assert record.rows("SELECT * FROM event") == []


def test_an_unknown_candidate_is_an_error(record) -> None:
    with pytest.raises(RecordError, match="no candidate 99"):
        record.open_session("ana").reviewer.decide(99, Kind.ACCEPT)


def test_a_decision_after_its_lease_is_stored_as_late(record) -> None:
    (number,) = record.add(1)
    ana, ben = record.open_session("ana", lease_seconds=-1.0), record.open_session("ben")
    assert ana.queue.claim()
    assert ben.queue.claim()[0].candidate_id == number
    assert not ben.reviewer.decide(number, Kind.ACCEPT).late
    assert ana.reviewer.decide(number, Kind.REJECT, reason=Reason.SCOPE).late
    assert record.state(number) == "contested"
    assert record.rows("SELECT actor, late FROM event") == [("ben", 0), ("ana", 1)]


def test_undo_walks_back_and_redo_forward_across_sessions(record) -> None:
    numbers = record.add(4)
    first = record.open_session("ana")
    first.reviewer.decide(numbers[0], Kind.ACCEPT)
    first.reviewer.decide(numbers[1], Kind.REJECT, reason=Reason.PRESENT)
    first.reviewer.note(numbers[1], "look at the left edge")
    first.reviewer.decide(numbers[2], Kind.SKIP)
    again = record.open_session("ana")  # after a restart
    kinds = [again.reviewer.undo() for _ in range(4)]
    assert [(done.candidate_id, done.kind) for done in kinds if done] == [
        (numbers[2], Kind.SKIP),
        (numbers[1], Kind.NOTE),
        (numbers[1], Kind.REJECT),
        (numbers[0], Kind.ACCEPT),
    ]
    assert again.reviewer.undo() is None
    assert {record.state(number) for number in numbers} == {"open"}
    later = record.open_session("ana")
    for _ in range(4):
        assert later.reviewer.redo()
    assert later.reviewer.redo() is None
    assert [record.state(number) for number in numbers] == ["accepted", "rejected", "open", "open"]
    record.assert_state_matches_events()


def test_a_new_decision_ends_redo(record) -> None:
    first, second = record.add(2)
    ana = record.open_session("ana")
    ana.reviewer.decide(first, Kind.ACCEPT)
    ana.reviewer.undo()
    ana.reviewer.decide(second, Kind.ACCEPT)
    assert ana.reviewer.redo() is None
    assert record.state(first) == "open"


def test_undo_leases_the_card_again(record) -> None:
    number, _ = record.add(2)
    ana, ben = record.open_session("ana"), record.open_session("ben")
    ana.reviewer.decide(number, Kind.ACCEPT)
    ana.reviewer.undo()
    assert record.rows("SELECT candidate_id, session FROM lease") == [(number, ana.actor.session)]
    assert ben.queue.claim()[0].candidate_id != number
    assert not ana.reviewer.decide(number, Kind.ACCEPT).late


def test_undo_reverses_own_actions_only(record) -> None:
    (number,) = record.add(1)
    record.open_session("ana").reviewer.decide(number, Kind.ACCEPT)
    assert record.open_session("ben").reviewer.undo() is None
    assert record.state(number) == "accepted"


def test_one_persons_edit_is_an_accept_of_the_child_and_undone_as_one(record) -> None:
    (number,) = record.add(1)
    ana = record.open_session("ana")
    done = ana.reviewer.edit(number, "a woman without a helmet riding a horse", concept="helmet")
    assert done.child_id
    assert (record.state(number), record.state(done.child_id)) == ("superseded", "accepted")
    assert record.rows(
        "SELECT text, concept, parent_id, pipeline, cue, caption_id FROM candidate WHERE id = :id", id=done.child_id
    ) == [("a woman without a helmet riding a horse", "helmet", number, "edit", "without", 1)]
    ana.reviewer.undo()
    assert (record.state(number), record.state(done.child_id)) == ("open", "superseded")
    assert ana.reviewer.undo() is None
    ana.reviewer.redo()
    assert (record.state(number), record.state(done.child_id)) == ("superseded", "accepted")
    ana.reviewer.undo()
    assert (record.state(number), record.state(done.child_id)) == ("open", "superseded")
    record.assert_state_matches_events()


@pytest.mark.parametrize(
    ("new_text", "concept"),
    [
        ("a woman riding a brown horse", None),
        ("a woman with a hat riding a brown horse", None),
        ("a woman without a helmet riding a horse", "helmet"),
        ("a woman in red not wearing a hat riding a horse", "hat"),
    ],
)
def test_an_edit_keeps_no_concept_that_its_text_does_not_deny(record, new_text: str, concept: str | None) -> None:
    (number,) = record.add(1)
    assert record.rows("SELECT concept FROM candidate WHERE id = :id", id=number) == [("hat",)]
    child = record.open_session("ana").reviewer.edit(number, new_text).child_id
    ((stored, confidence),) = record.rows("SELECT concept, concept_confidence FROM candidate WHERE id = :id", id=child)
    assert (stored, confidence is None) == (concept, concept is None)


def test_with_two_people_the_other_one_decides_about_an_edit(record) -> None:
    numbers = record.add(2)
    ana, ben = record.open_session("ana"), record.open_session("ben")
    ana.reviewer.decide(numbers[1], Kind.ACCEPT)
    child = ana.reviewer.edit(numbers[0], "a woman without a helmet riding a horse").child_id
    assert record.state(child) == "open"
    assert ana.queue.claim() == []
    assert [claim.candidate_id for claim in ben.queue.claim()] == [child]
    assert record.rows("SELECT concept, concept_confidence < 1 FROM candidate WHERE id = :id", id=child) == [
        ("helmet", 1)
    ]
    record.assert_state_matches_events()


@pytest.mark.parametrize("new_text", ["", "  \n", "\x1b\x07", "a woman not wearing a hat riding a horse"])
def test_an_empty_or_unchanged_edit_is_refused(record, new_text: str) -> None:
    (number,) = record.add(1)
    with pytest.raises(ValueError, match=r"the text is (empty|unchanged)"):
        record.open_session("ana").reviewer.edit(number, new_text)
    assert record.rows("SELECT count(*) FROM candidate") == [(1,)]
    assert record.rows("SELECT * FROM event") == []


def test_a_flag_is_toggled_and_notes_are_sanitised(record) -> None:
    (number,) = record.add(1)
    ana, ben = record.open_session("ana"), record.open_session("ben")
    assert ana.reviewer.toggle_flag(number).status.flagged
    assert ben.reviewer.toggle_flag(number).status.flagged
    assert ana.reviewer.toggle_flag(number).status.flagged  # ben's still stands
    assert not ben.reviewer.toggle_flag(number).status.flagged
    ana.reviewer.note(number, "  \x1b]0;title\x07left edge ")
    assert record.rows("SELECT note FROM event WHERE kind = 'note'") == [("]0;titleleft edge",)]
    record.assert_state_matches_events()


def test_stream_and_blindness_are_recorded(record) -> None:
    (number,) = record.add(1, audit_rate=1.0)
    ana = record.open_session("ana")
    (claim,) = ana.queue.claim()
    assert claim.stream is Stream.AUDIT
    ana.reviewer.decide(number, Kind.ACCEPT, shown=PresentationContext(stream=claim.stream, blind=True))
    assert record.rows("SELECT stream, blind FROM event") == [("audit", 1)]


def test_a_refused_write_changes_nothing(record, dump: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    (number,) = record.add(1)
    ana = record.open_session("ana")
    ana.queue.claim()
    before = dump(record.store)
    monkeypatch.setattr("curation_db.review.decisions.write_state", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ana.reviewer.decide(number, Kind.ACCEPT)
    assert dump(record.store) == before


def test_two_people_cannot_both_replace_a_candidate(record) -> None:
    (number,) = record.add(1)
    ana, ben = record.open_session("ana"), record.open_session("ben")
    ana.reviewer.edit(number, "a woman without a helmet riding a horse")
    with pytest.raises(RecordError, match="edited this caption meanwhile"):
        ben.reviewer.edit(number, "a woman without a scarf riding a horse")
    assert record.rows("SELECT count(*) FROM candidate") == [(2,)]
    ana.reviewer.undo()
    ben.reviewer.edit(number, "a woman without a scarf riding a horse")
    with pytest.raises(RecordError, match="edited this caption meanwhile"):
        ana.reviewer.redo()
    assert record.rows("SELECT count(*) FROM candidate_state WHERE state != 'superseded'") == [(1,)]
    record.assert_state_matches_events()


def test_an_edit_that_another_annotator_decided_is_not_undone(record) -> None:
    (number,) = record.add(1)
    ana, ben = record.open_session("ana"), record.open_session("ben")
    child = ana.reviewer.edit(number, "a woman without a helmet riding a horse").child_id
    ben.reviewer.decide(child, Kind.ACCEPT)
    with pytest.raises(RecordError, match="ben has decided"):
        ana.reviewer.undo()
    assert (record.state(number), record.state(child)) == ("superseded", "accepted")
    ben.reviewer.undo()
    assert ana.reviewer.undo()
    assert (record.state(number), record.state(child)) == ("open", "superseded")


def test_looking_back_counts_an_edit_once(record) -> None:
    from curation_db.events.event_log import decisions_before

    first, second = record.add(2)
    ana = record.open_session("ana")
    ana.reviewer.decide(first, Kind.ACCEPT)
    ana.reviewer.edit(second, "a woman without a helmet riding a horse")
    with record.store.read() as connection:
        assert [(p.candidate_id, p.kind) for p in decisions_before(connection, "ana", None, 5)] == [
            (second, Kind.EDIT),
            (first, Kind.ACCEPT),
        ]


class TestAdjudication:
    def test_an_adjudication_overrides_votes_as_one_action(self, record) -> None:
        (number,) = record.add(1, overlap="2")
        ana, ben, dan = (
            record.open_session("ana"),
            record.open_session("ben"),
            record.open_session("dan", role=Role.ADJUDICATOR),
        )
        ana.reviewer.decide(number, Kind.ACCEPT)
        ben.reviewer.decide(number, Kind.REJECT, reason=Reason.SCOPE)
        assert record.state(number) == "contested"
        dan.reviewer.adjudicate(number, Kind.REJECT, reason=Reason.PRESENT, note="look at the left edge")
        assert record.state(number) == "rejected"
        dan.reviewer.undo()
        assert record.state(number) == "contested"
        dan.reviewer.redo()
        assert record.state(number) == "rejected"
        record.assert_state_matches_events()

    def test_a_requeue_discards_earlier_votes(self, record) -> None:
        (number,) = record.add(1)
        ana, dan = record.open_session("ana"), record.open_session("dan", role=Role.ADJUDICATOR)
        ana.reviewer.decide(number, Kind.ACCEPT)
        dan.reviewer.requeue(number)
        assert record.state(number) == "open"
        assert [claim.candidate_id for claim in ana.queue.claim()] == [number], "ana is asked again, too"
        dan.reviewer.undo()
        assert record.state(number) == "accepted"

    def test_an_adjudicator_undoes_and_redoes_actions_of_others(self, record) -> None:
        (number,) = record.add(1)
        ana, dan = record.open_session("ana"), record.open_session("dan", role=Role.ADJUDICATOR)
        edit = ana.reviewer.edit(number, "a woman without a helmet riding a horse")
        assert dan.reviewer.take_back(edit.action_id).kind is Kind.EDIT
        assert (record.state(number), record.state(edit.child_id)) == ("open", "superseded")
        assert ana.reviewer.undo() is None, "it does not stand, so ana has nothing to take back"
        with pytest.raises(RecordError, match="not found or already undone"):
            dan.reviewer.take_back(edit.action_id)
        dan.reviewer.redo()
        assert (record.state(number), record.state(edit.child_id)) == ("superseded", "open")
        record.assert_state_matches_events()

    def test_annotators_may_not_adjudicate(self, record, dump: Callable) -> None:
        (number,) = record.add(1)
        ana, ben = record.open_session("ana"), record.open_session("ben")
        done = ana.reviewer.decide(number, Kind.ACCEPT)
        before = dump(record.store)
        for action in (
            lambda: ben.reviewer.adjudicate(number, Kind.ACCEPT),
            lambda: ben.reviewer.requeue(number),
            lambda: ben.reviewer.take_back(done.action_id),
        ):
            with pytest.raises(RecordError, match="only an adjudicator"):
                action()
        assert dump(record.store) == before
        assert ana.reviewer.take_back(done.action_id), "one's own"

    def test_a_single_annotator_may_requeue(self, record) -> None:
        (number,) = record.add(1)
        ana = record.open_session("ana")
        ana.reviewer.decide(number, Kind.ACCEPT)
        ana.reviewer.requeue(number)
        assert record.state(number) == "open"

    def test_a_role_is_stored_until_it_changes(self, record) -> None:
        assert record.open_session("dan", role=None).actor.role is Role.ANNOTATOR
        assert record.open_session("dan", role=Role.ADJUDICATOR).actor.role is Role.ADJUDICATOR
        assert record.open_session("dan", role=None).actor.role is Role.ADJUDICATOR


class TestFlip:
    def test_a_change_of_mind_keeps_the_label_and_moves_the_state(self, record) -> None:
        (number,) = record.add(1, audit_rate=1.0)
        ana = record.open_session("ana")
        ana.reviewer.decide(number, Kind.ACCEPT, shown=PresentationContext(stream=Stream.AUDIT, blind=True))
        ana.reviewer.flip(
            number, Kind.REJECT, reason=Reason.PRESENT, shown=PresentationContext(stream=Stream.AUDIT, leased=False)
        )
        assert record.state(number) == "rejected"
        assert record.rows("SELECT kind, verdict, reason, blind, late FROM event ORDER BY seq") == [
            ("accept", None, None, 1, 1),
            ("flip", "reject", "present", 0, 0),
        ]
        ana.reviewer.undo()
        assert record.state(number) == "accepted"

    def test_a_flip_needs_a_vote(self, record) -> None:
        (number,) = record.add(1)
        with pytest.raises(RecordError, match="no decision of yours"):
            record.open_session("ana").reviewer.flip(number, Kind.ACCEPT)
        assert record.rows("SELECT * FROM event") == []

    @pytest.mark.parametrize(
        ("verdict", "reason"), [(Kind.SKIP, None), (Kind.REJECT, None), (Kind.ACCEPT, Reason.SCOPE)]
    )
    def test_an_incomplete_verdict_is_refused(self, record, verdict: Kind, reason: Reason | None) -> None:
        (number,) = record.add(1)
        dan = record.open_session("dan", role=Role.ADJUDICATOR)
        dan.reviewer.decide(number, Kind.ACCEPT)
        with pytest.raises(ValueError, match=r"is not accept or reject|reason"):
            dan.reviewer.flip(number, verdict, reason=reason)
        with pytest.raises(ValueError, match=r"is not accept or reject|reason"):
            dan.reviewer.adjudicate(number, verdict, reason=reason)


@pytest.mark.parametrize(("only", "expected"), [(Stream.AUDIT, {2, 4}), (Stream.REVIEW, {1, 3}), (None, {1, 2, 3, 4})])
def test_a_queue_of_one_stream(record, only: Stream | None, expected: set[int]) -> None:
    record.add(1)
    record.add(1, audit_rate=1.0)
    record.add(1)
    record.add(1, audit_rate=1.0)
    ana = record.open_session("ana", only=only)
    assert {claim.candidate_id for claim in ana.queue.claim(9)} == expected


@pytest.mark.parametrize("known", [False, True])
def test_one_decision_runs_no_query_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    """GIVEN an ordinary candidate or one whose answer is known THEN one key press reads each thing once."""
    statements: list[str] = []
    open_file = sqlite.open_file

    def open_traced(*args: Any) -> sqlite3.Connection:
        connection = open_file(*args)
        connection.set_trace_callback(statements.append)
        return connection

    monkeypatch.setattr(sqlite, "open_file", open_traced)
    with create_store(tmp_path / "curation.db") as store:
        record = Record(store)
        (number,) = record.add(1)
        ana = record.open_session("ana")
        if known:
            with store.write() as connection:
                mark(connection, {number: KnownAnswer(Kind.ACCEPT)}, "test")
        ana.queue.claim()
        statements.clear()
        ana.reviewer.decide(number, Kind.ACCEPT, shown=PresentationContext(must_be_queued=True))
    queries = Counter(" ".join(each.split()) for each in statements if each.lstrip().startswith(("SELECT", "WITH")))
    assert sum(count for query, count in queries.items() if "undo_of, gold FROM event" in query) == 1
    assert sum(count for query, count in queries.items() if "FROM gold WHERE candidate_id" in query) == 1
    assert [query for query, count in queries.items() if count > 1] == []
