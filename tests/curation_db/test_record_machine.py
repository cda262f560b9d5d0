"""State machine with many annotators: no card is lost or served beyond its overlap, and the state is the fold."""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import text
from support.examples import examples
from support.record import Record

from curation_db.enums import Kind, Reason, Role, Stream
from curation_db.errors import RecordError
from curation_db.events.history_cache import events_of
from curation_db.events.state import Overlap, fold
from curation_db.exporting.selection import ExportFilter, choose
from curation_db.queue.gold import KnownAnswer
from curation_db.review.decisions import DecisionResult, PresentationContext
from curation_db.review.gold_marking import mark, unmark_all
from curation_db.storage.store import create_store

UNDECIDED_AUDIT = """
    SELECT c.id FROM candidate c JOIN candidate_state s ON s.candidate_id = c.id WHERE c.audit AND (
        s.wanted > 0 OR NOT EXISTS (SELECT 1 FROM event e WHERE e.candidate_id = c.id AND e.blind
                                    AND e.kind IN ('accept', 'reject')))
"""
pytestmark = pytest.mark.timeout(300)  # 60 examples take over a minute on a busy machine
ANNOTATORS = ("ana", "ben", "cho")
annotators = st.sampled_from(ANNOTATORS)


class Machine(RuleBasedStateMachine):
    """A record with three annotators, and a model of what each of them can undo and redo."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.record = Record(create_store(Path(self._folder.name) / "curation.db"))
        self.sessions = {name: self.record.open_session(name, gold_share=0.5) for name in ANNOTATORS}
        for name, session in self.sessions.items():
            session.queue._mix.seed(name)  # the mix depends on the random session id: examples must be reproducible
        self.gold: set[int] = set()
        self.dan = self.record.open_session("dan", role=Role.ADJUDICATOR)
        self.claimed: dict[str, list[int]] = {name: [] for name in ANNOTATORS}
        self.done: dict[str, list[str]] = {name: [] for name in ANNOTATORS}
        self.undone: dict[str, list[str]] = {name: [] for name in ANNOTATORS}

    def teardown(self) -> None:
        self.record.store.close()
        self._folder.cleanup()

    @initialize(
        overlap=st.sampled_from(["1", "2", "2+1", "3"]),
        count=st.integers(1, 6),
        # the audit sample depends on a secret of the record: all or none, so that examples are reproducible
        audit_rate=st.sampled_from([0.0, 1.0]),
    )
    def fill(self, overlap: str, count: int, audit_rate: float) -> None:
        self.overlap = overlap
        self.numbers = self.record.add(count, overlap=overlap, audit_rate=audit_rate)

    @rule(name=annotators, revisit=st.booleans())
    def claim(self, name: str, revisit: bool) -> None:
        for claim in self.sessions[name].queue.claim(1, revisit=revisit):
            number = claim.candidate_id
            assert number not in self.claimed[name]
            others = sum(number in numbers for numbers in self.claimed.values())
            ((wanted, voted),) = self.record.rows(
                """SELECT wanted, EXISTS (SELECT 1 FROM queue_entry e JOIN queue_group g ON g.id = e.group_id
                   WHERE e.candidate_id = s.candidate_id AND instr(g.voters, :me)) FROM candidate_state s
                   WHERE candidate_id = :id""",
                id=number,
                me=f",{self.sessions[name].actor.annotator_id},",
            )
            assert claim.gold == (number in self.gold)
            assert claim.gold or others < wanted, "served more often than its overlap"
            assert not voted, "served twice to one annotator"
            self.claimed[name].append(number)

    @rule(data=st.data(), answer=st.sampled_from([Kind.ACCEPT, Kind.REJECT]))
    def make_gold(self, data: st.DataObject, answer: Kind) -> None:
        number = data.draw(st.sampled_from(self.numbers))
        with self.record.store.write() as connection:
            if mark(connection, {number: KnownAnswer(answer)}, "test").new:
                self.gold.add(number)

    @rule()
    def unmark_gold(self) -> None:
        unmark_all(self.record.store)
        self.gold.clear()

    @precondition(lambda self: any(self.claimed.values()))
    @rule(data=st.data(), kind=st.sampled_from([Kind.ACCEPT, Kind.REJECT, Kind.UNSURE, Kind.SKIP]))
    def decide(self, data: st.DataObject, kind: Kind) -> None:
        name = data.draw(st.sampled_from([name for name in ANNOTATORS if self.claimed[name]]))
        number = self.claimed[name].pop()
        reason = Reason.SCOPE if kind is Kind.REJECT else None
        audit = bool(self.record.rows("SELECT audit FROM candidate WHERE id = :id", id=number)[0][0])
        shown = PresentationContext(stream=Stream.AUDIT, blind=True) if audit else PresentationContext()
        self._record_action(name, self.sessions[name].reviewer.decide(number, kind, reason=reason, shown=shown))

    @precondition(lambda self: any(self.claimed.values()))
    @rule(data=st.data())
    def edit(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([name for name in ANNOTATORS if self.claimed[name]]))
        number = self.claimed[name].pop()
        try:
            done = self.sessions[name].reviewer.edit(number, f"no hat {len(self.numbers)}")
        except RecordError:
            assert self.record.state(number) == "superseded", "superseded by another annotator's edit"
            return
        self.numbers.append(done.child_id)
        self._record_action(name, done)

    @rule(name=annotators, data=st.data(), kind=st.sampled_from([Kind.ACCEPT, Kind.REJECT]))
    def bulk(self, name: str, data: st.DataObject, kind: Kind) -> None:
        self._bulk(name, data, kind, Reason.GRATUITOUS if kind is Kind.REJECT else None)

    @rule(data=st.data())
    def requeue_in_bulk(self, data: st.DataObject) -> None:
        self._bulk("dan", data, Kind.REQUEUE, None)

    def _bulk(self, name: str, data: st.DataObject, kind: Kind, reason: Reason | None) -> None:
        chosen = data.draw(st.lists(st.sampled_from(self.numbers), unique=True))
        before = dict(self.record.rows("SELECT candidate_id, last_seq FROM candidate_state"))
        undecided = {row[0] for row in self.record.rows(UNDECIDED_AUDIT)}
        leased = {number for other, numbers in self.claimed.items() if other != name for number in numbers}
        reviewer = self.dan.reviewer if name == "dan" else self.sessions[name].reviewer
        done = reviewer.decide_many(chosen, kind, reason=reason)
        changed = {*done.preview.votes, *done.preview.flips}
        after = dict(self.record.rows("SELECT candidate_id, last_seq FROM candidate_state"))
        assert {number for number in after if after[number] != before[number]} == changed
        assert changed <= set(chosen)
        assert not changed & undecided, "undecided audit items are not decided in bulk"
        assert not changed & leased, "leased candidates are not decided in bulk"
        states = Counter(self.record.state(number) for number in changed)
        assert states == {str(state): count for state, count in done.preview.becomes.items()}
        if done.action_id and name != "dan":
            self.claimed[name] = [number for number in self.claimed[name] if number not in changed]
            self.done[name].append(done.action_id)
            self.undone[name].clear()

    @rule(name=annotators)
    def undo(self, name: str) -> None:
        with suppress(RecordError):  # another annotator has decided the edit
            self._undo(name)

    def _undo(self, name: str) -> None:
        done = self.sessions[name].reviewer.undo()
        assert (done is not None) == bool(self.done[name])
        if done:
            self.undone[name].append(self.done[name].pop())
            self._record_claim(name, done)

    @rule(name=annotators)
    def redo(self, name: str) -> None:
        with suppress(RecordError):  # the caption was edited or taken back since
            self._redo(name)

    def _redo(self, name: str) -> None:
        done = self.sessions[name].reviewer.redo()
        assert (done is not None) == bool(self.undone[name])
        if done:
            self.done[name].append(self.undone[name].pop())
            self._record_claim(name, done)

    @rule(data=st.data(), verdict=st.sampled_from([Kind.ACCEPT, Kind.REJECT]))
    def adjudicate(self, data: st.DataObject, verdict: Kind) -> None:
        number = data.draw(st.sampled_from(self.numbers))
        self.dan.reviewer.adjudicate(number, verdict, reason=Reason.SCOPE if verdict is Kind.REJECT else None)

    @rule(data=st.data())
    def requeue(self, data: st.DataObject) -> None:
        self.dan.reviewer.requeue(data.draw(st.sampled_from(self.numbers)))

    @rule()
    def undo_of_adjudicator(self) -> None:
        with suppress(RecordError):  # an edit would have two successors
            self.dan.reviewer.undo()

    @precondition(lambda self: any(self.done.values()))
    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        """An adjudicator undoes another annotator's action, which leaves that annotator's undo and redo."""
        name = data.draw(st.sampled_from([name for name in ANNOTATORS if self.done[name]]))
        action = data.draw(st.sampled_from(self.done[name]))
        with suppress(RecordError):  # the edit was edited
            self.dan.reviewer.take_back(action)
            self.done[name].remove(action)

    @rule(name=annotators)
    def expire(self, name: str) -> None:
        with self.record.store.write() as connection:
            connection.execute(
                text("UPDATE lease SET expires_at = 0 WHERE annotator_id = :id"),
                {"id": self.sessions[name].actor.annotator_id},
            )
        self.claimed[name].clear()

    def _record_action(self, name: str, done: DecisionResult) -> None:
        self.done[name].append(done.action_id)
        self.undone[name].clear()

    def _record_claim(self, name: str, done: DecisionResult) -> None:
        if done.candidates == 1 and done.candidate_id not in self.claimed[name]:
            self.claimed[name].append(done.candidate_id)

    @invariant()
    def state_is_the_fold(self) -> None:
        self.record.assert_state_matches_events()

    @invariant()
    def gold_answers_do_not_change_states(self) -> None:
        """States and exports are the same as without the votes on gold items."""
        with self.record.store.read() as connection:
            exported = set(choose(connection, ExportFilter()).ids)
            for number in self.numbers:
                votes = [event for event in events_of(connection, number) if not event.gold]
                state = fold(votes, Overlap.parse(self.overlap))
                assert self.record.state(number) == state.state
                assert (number in exported) == (state.state == "accepted")

    @invariant()
    def at_most_one_of_a_chain_of_edits_is_active(self) -> None:
        """Of a candidate and its chain of edits, at most one is active."""
        parents = dict(self.record.rows("SELECT id, parent_id FROM candidate"))
        active = self.record.rows("SELECT candidate_id FROM candidate_state WHERE state != 'superseded'")
        roots = []
        for (number,) in active:
            while parents[number] is not None:
                number = parents[number]  # noqa: PLW2901 -- follows the chain of parents
            roots.append(number)
        assert len(roots) == len(set(roots))

    @invariant()
    def every_pending_candidate_is_queued(self) -> None:
        """Exactly the gold items and the candidates that need annotators are in an open group."""
        rows = self.record.rows(
            """SELECT s.candidate_id, CASE WHEN s.candidate_id IN (SELECT candidate_id FROM gold)
                      THEN s.state != 'superseded' ELSE s.wanted > 0 END AS pending, max(g.stream != 'closed') AS served
               FROM candidate_state s JOIN queue_entry e ON e.candidate_id = s.candidate_id
               JOIN queue_group g ON g.id = e.group_id GROUP BY s.candidate_id"""
        )
        assert sorted(row[0] for row in rows) == sorted(self.numbers)
        assert all(pending == served for _, pending, served in rows)


Machine.TestCase.settings = settings(max_examples=examples(10), stateful_step_count=40, deadline=None)
TestRecordMachine = Machine.TestCase
