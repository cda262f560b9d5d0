"""State machine with many annotators: no card is lost or served beyond its overlap, and the state is the fold."""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import text
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
PEOPLE = ("ana", "ben", "cho")
people = st.sampled_from(PEOPLE)


class Machine(RuleBasedStateMachine):
    """A record with three annotators, and a model of what each of them can undo and redo."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.record = Record(create_store(Path(self._folder.name) / "curation.db"))
        self.sittings = {name: self.record.open_session(name, gold_share=0.5) for name in PEOPLE}
        for name, session in self.sittings.items():
            session.queue._mix.seed(name)  # what is mixed in hangs on the session's name: a run must repeat
        self.gold: set[int] = set()
        self.dan = self.record.open_session("dan", role=Role.ADJUDICATOR)
        self.in_hand: dict[str, list[int]] = {name: [] for name in PEOPLE}
        self.done: dict[str, list[str]] = {name: [] for name in PEOPLE}
        self.undone: dict[str, list[str]] = {name: [] for name in PEOPLE}

    def teardown(self) -> None:
        self.record.store.close()
        self._folder.cleanup()

    @initialize(
        overlap=st.sampled_from(["1", "2", "2+1", "3"]),
        count=st.integers(1, 6),
        # who is in the audit hangs on a secret of the record: all or nobody, so that a run can be repeated
        audit_rate=st.sampled_from([0.0, 1.0]),
    )
    def fill(self, overlap: str, count: int, audit_rate: float) -> None:
        self.overlap = overlap
        self.numbers = self.record.add(count, overlap=overlap, audit_rate=audit_rate)

    @rule(name=people, revisit=st.booleans())
    def claim(self, name: str, revisit: bool) -> None:
        for claim in self.sittings[name].queue.claim(1, revisit=revisit):
            number = claim.candidate_id
            assert number not in self.in_hand[name]
            others = sum(number in held for held in self.in_hand.values())
            ((wanted, voted),) = self.record.rows(
                """SELECT wanted, EXISTS (SELECT 1 FROM queue_entry e JOIN queue_group g ON g.id = e.group_id
                   WHERE e.candidate_id = s.candidate_id AND instr(g.voters, :me)) FROM candidate_state s
                   WHERE candidate_id = :id""",
                id=number,
                me=f",{self.sittings[name].actor.annotator_id},",
            )
            assert claim.gold == (number in self.gold)
            assert claim.gold or others < wanted, "served beyond its overlap"
            assert not voted, "asked twice"
            self.in_hand[name].append(number)

    @rule(data=st.data(), answer=st.sampled_from([Kind.ACCEPT, Kind.REJECT]))
    def make_gold(self, data: st.DataObject, answer: Kind) -> None:
        number = data.draw(st.sampled_from(self.numbers))
        with self.record.store.write() as connection:
            if mark(connection, {number: KnownAnswer(answer)}, "test").new:
                self.gold.add(number)

    @rule()
    def no_gold_any_more(self) -> None:
        unmark_all(self.record.store)
        self.gold.clear()

    @precondition(lambda self: any(self.in_hand.values()))
    @rule(data=st.data(), kind=st.sampled_from([Kind.ACCEPT, Kind.REJECT, Kind.UNSURE, Kind.SKIP]))
    def decide(self, data: st.DataObject, kind: Kind) -> None:
        name = data.draw(st.sampled_from([name for name in PEOPLE if self.in_hand[name]]))
        number = self.in_hand[name].pop()
        reason = Reason.SCOPE if kind is Kind.REJECT else None
        audit = bool(self.record.rows("SELECT audit FROM candidate WHERE id = :id", id=number)[0][0])
        shown = PresentationContext(stream=Stream.AUDIT, blind=True) if audit else PresentationContext()
        self._did(name, self.sittings[name].reviewer.decide(number, kind, reason=reason, shown=shown))

    @precondition(lambda self: any(self.in_hand.values()))
    @rule(data=st.data())
    def edit(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([name for name in PEOPLE if self.in_hand[name]]))
        number = self.in_hand[name].pop()
        try:
            done = self.sittings[name].reviewer.edit(number, f"no hat {len(self.numbers)}")
        except RecordError:
            assert self.record.state(number) == "superseded", "somebody else's edit stands"
            return
        self.numbers.append(done.child_id)
        self._did(name, done)

    @rule(name=people, data=st.data(), kind=st.sampled_from([Kind.ACCEPT, Kind.REJECT]))
    def bulk(self, name: str, data: st.DataObject, kind: Kind) -> None:
        self._bulk(name, data, kind, Reason.GRATUITOUS if kind is Kind.REJECT else None)

    @rule(data=st.data())
    def requeue_in_bulk(self, data: st.DataObject) -> None:
        self._bulk("dan", data, Kind.REQUEUE, None)

    def _bulk(self, name: str, data: st.DataObject, kind: Kind, reason: Reason | None) -> None:
        chosen = data.draw(st.lists(st.sampled_from(self.numbers), unique=True))
        before = dict(self.record.rows("SELECT candidate_id, last_seq FROM candidate_state"))
        undecided = {row[0] for row in self.record.rows(UNDECIDED_AUDIT)}
        held = {number for other, numbers in self.in_hand.items() if other != name for number in numbers}
        reviewer = self.dan.reviewer if name == "dan" else self.sittings[name].reviewer
        done = reviewer.decide_many(chosen, kind, reason=reason)
        changed = {*done.preview.votes, *done.preview.flips}
        after = dict(self.record.rows("SELECT candidate_id, last_seq FROM candidate_state"))
        assert {number for number in after if after[number] != before[number]} == changed
        assert changed <= set(chosen)
        assert not changed & undecided, "the audit is untouched until it is decided blind"
        assert not changed & held, "nobody's card is decided under their hands"
        states = Counter(self.record.state(number) for number in changed)
        assert states == {str(state): count for state, count in done.preview.becomes.items()}
        if done.action_id and name != "dan":
            self.in_hand[name] = [number for number in self.in_hand[name] if number not in changed]
            self.done[name].append(done.action_id)
            self.undone[name].clear()

    @rule(name=people)
    def undo(self, name: str) -> None:
        with suppress(RecordError):  # somebody else has decided about the edit
            self._undo(name)

    def _undo(self, name: str) -> None:
        done = self.sittings[name].reviewer.undo()
        assert (done is not None) == bool(self.done[name])
        if done:
            self.undone[name].append(self.done[name].pop())
            self._holds(name, done)

    @rule(name=people)
    def redo(self, name: str) -> None:
        with suppress(RecordError):  # the caption was edited or taken back meanwhile
            self._redo(name)

    def _redo(self, name: str) -> None:
        done = self.sittings[name].reviewer.redo()
        assert (done is not None) == bool(self.undone[name])
        if done:
            self.done[name].append(self.undone[name].pop())
            self._holds(name, done)

    @rule(data=st.data(), verdict=st.sampled_from([Kind.ACCEPT, Kind.REJECT]))
    def adjudicate(self, data: st.DataObject, verdict: Kind) -> None:
        number = data.draw(st.sampled_from(self.numbers))
        self.dan.reviewer.adjudicate(number, verdict, reason=Reason.SCOPE if verdict is Kind.REJECT else None)

    @rule(data=st.data())
    def requeue(self, data: st.DataObject) -> None:
        self.dan.reviewer.requeue(data.draw(st.sampled_from(self.numbers)))

    @rule()
    def undo_what_was_settled(self) -> None:
        with suppress(RecordError):  # an edit would have two successors
            self.dan.reviewer.undo()

    @precondition(lambda self: any(self.done.values()))
    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        """An adjudicator undoes another annotator's action, which leaves that annotator's undo and redo."""
        name = data.draw(st.sampled_from([name for name in PEOPLE if self.done[name]]))
        act = data.draw(st.sampled_from(self.done[name]))
        with suppress(RecordError):  # somebody has edited the edit
            self.dan.reviewer.take_back(act)
            self.done[name].remove(act)

    @rule(name=people)
    def expire(self, name: str) -> None:
        with self.record.store.write() as connection:
            connection.execute(
                text("UPDATE lease SET expires_at = 0 WHERE annotator_id = :id"),
                {"id": self.sittings[name].actor.annotator_id},
            )
        self.in_hand[name].clear()

    def _did(self, name: str, done: DecisionResult) -> None:
        self.done[name].append(done.action_id)
        self.undone[name].clear()

    def _holds(self, name: str, done: DecisionResult) -> None:
        if done.candidates == 1 and done.candidate_id not in self.in_hand[name]:
            self.in_hand[name].append(done.candidate_id)

    @invariant()
    def state_is_the_fold(self) -> None:
        self.record.assert_state_matches_events()

    @invariant()
    def a_known_answer_settles_nothing(self) -> None:
        """States and exports are the same as without any answer to a gold item."""
        with self.record.store.read() as connection:
            exported = set(choose(connection, ExportFilter()).ids)
            for number in self.numbers:
                votes = [event for event in events_of(connection, number) if not event.gold]
                standing = fold(votes, Overlap.parse(self.overlap))
                assert self.record.state(number) == standing.state
                assert (number in exported) == (standing.state == "accepted")

    @invariant()
    def at_most_one_of_an_edited_line_is_in_play(self) -> None:
        """Of a candidate and its chain of edits, at most one is active."""
        parents = dict(self.record.rows("SELECT id, parent_id FROM candidate"))
        in_play = self.record.rows("SELECT candidate_id FROM candidate_state WHERE state != 'superseded'")
        roots = []
        for (number,) in in_play:
            while parents[number] is not None:
                number = parents[number]  # noqa: PLW2901 -- climbing
            roots.append(number)
        assert len(roots) == len(set(roots))

    @invariant()
    def nothing_is_lost(self) -> None:
        """Exactly the gold items and the candidates that need annotators are in an open group."""
        rows = self.record.rows(
            """SELECT s.candidate_id, CASE WHEN s.candidate_id IN (SELECT candidate_id FROM gold)
                      THEN s.state != 'superseded' ELSE s.wanted > 0 END AS wanting, max(g.stream != 'closed') AS served
               FROM candidate_state s JOIN queue_entry e ON e.candidate_id = s.candidate_id
               JOIN queue_group g ON g.id = e.group_id GROUP BY s.candidate_id"""
        )
        assert sorted(row[0] for row in rows) == sorted(self.numbers)
        assert all(wanting == served for _, wanting, served in rows)


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestRecordMachine = Machine.TestCase
