"""Gold items: mixed in, balanced, served to every annotator, and never a vote."""

from __future__ import annotations

import sqlite3
import tempfile
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from sqlalchemy import text
from support.examples import examples
from support.older_schema import install, make_older
from support.record import AnnotatorSession, Record

from curation_db.enums import Kind, Reason, Role, State, Stream
from curation_db.exporting.selection import ExportFilter, choose
from curation_db.exporting.staleness import drift_since
from curation_db.integrity.consistency import compare
from curation_db.queue.claims import GOLD_SHARE, Queue, count_remaining
from curation_db.queue.gold import GoldCounts, GoldScore, KnownAnswer, count_gold, scores
from curation_db.review.gold_marking import MarkingResult, mark, mark_adjudicated, unmark_all
from curation_db.search.cards import card_for, load_card
from curation_db.storage.store import create_store, open_store
from workbench.annotation.models import SessionSettings
from workbench.workspace.settings.settings import CurateSettings

ACCEPT, REJECT = KnownAnswer(Kind.ACCEPT), KnownAnswer(Kind.REJECT, Reason.PRESENT)


def gold(record: Record, answers: dict[int, KnownAnswer]) -> MarkingResult:
    with record.store.write() as connection:
        return mark(connection, answers, "test.csv")


def score_of(record: Record) -> list[GoldScore]:
    with record.store.read() as connection:
        return scores(connection)


def exported(record: Record) -> list[int]:
    with record.store.read() as connection:
        return choose(connection, ExportFilter()).ids


def sound(record: Record) -> bool:
    with record.store.read() as connection:
        return compare(connection).is_consistent


class TestAnswers:
    @pytest.mark.parametrize(
        ("value", "known"),
        [
            ("accept", ACCEPT),
            (" Reject ", KnownAnswer(Kind.REJECT)),
            ("present", REJECT),
            ("rest false", KnownAnswer(Kind.REJECT, Reason.REST_FALSE)),
        ],
    )
    def test_valid_answers_are_parsed(self, value: str, known: KnownAnswer) -> None:
        assert KnownAnswer.parse(value) == known

    @pytest.mark.parametrize("value", ["", "1", "edit", "skip", None, 1, ["accept"]])
    def test_invalid_answers_are_refused(self, value: object) -> None:
        with pytest.raises(ValueError, match="accept, reject"):
            KnownAnswer.parse(value)


class TestMarking:
    def test_an_answer_is_never_changed_by_another(self, record: Record) -> None:
        record.add(2)
        assert gold(record, {1: ACCEPT, 2: REJECT}) == MarkingResult(new=2)
        assert gold(record, {1: ACCEPT, 2: ACCEPT}) == MarkingResult(known=1, other=[2])
        assert record.rows("SELECT answer, reason FROM gold WHERE candidate_id = 2") == [("reject", "present")]

    def test_audit_candidates_are_not_marked(self, record: Record) -> None:
        record.add(1, audit_rate=1.0)
        assert gold(record, {1: ACCEPT}) == MarkingResult(audit=1)
        assert sound(record)

    def test_adjudicated_candidates_become_gold(self, record: Record) -> None:
        record.add(4)
        dan = record.open_session("dan", role=Role.ADJUDICATOR).reviewer
        dan.adjudicate(1, Kind.REJECT, reason=Reason.SCOPE)
        dan.adjudicate(2, Kind.ACCEPT)
        dan.adjudicate(3, Kind.ACCEPT)
        dan.undo()
        record.open_session("ana").reviewer.decide(4, Kind.ACCEPT)
        assert mark_adjudicated(record.store) == MarkingResult(new=2)
        assert mark_adjudicated(record.store) == MarkingResult()
        assert record.rows("SELECT candidate_id, answer, reason, origin FROM gold") == [
            (1, "reject", "scope", "adjudicated by dan"),
            (2, "accept", None, "adjudicated by dan"),
        ]
        assert sound(record)

    def test_unmarked_candidates_are_ordinary_again(self, record: Record) -> None:
        record.add(2)
        gold(record, {1: ACCEPT})
        ana = record.open_session("ana", gold_share=1.0)
        ana.reviewer.decide(ana.queue.claim()[0].candidate_id, Kind.ACCEPT)
        assert unmark_all(record.store) == 1
        assert record.state(1) == "open", "what was answered stays no vote"
        assert {claim.candidate_id for claim in ana.queue.claim(5)} == {1, 2}
        assert sound(record)

    def test_each_result_of_marking_is_counted(self, record: Record) -> None:
        ordinary, (audit,) = record.add(9), record.add(1, audit_rate=1.0)
        assert gold(record, dict.fromkeys(ordinary[:5], ACCEPT)) == MarkingResult(new=5)
        value = gold(
            record,
            {**dict.fromkeys(ordinary[:3], ACCEPT), **dict.fromkeys(ordinary[3:5], REJECT)}
            | {ordinary[5]: REJECT, audit: ACCEPT},
        )
        assert value == MarkingResult(new=1, known=3, other=ordinary[3:5], audit=1)
        with record.store.read() as connection:
            assert count_gold(connection) == GoldCounts(accept=5, reject=1)
        assert record.rows("SELECT answer, count(*) FROM gold GROUP BY answer") == [("accept", 5), ("reject", 1)]

    def test_batches_add_up(self, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("curation_db.review.gold_marking._BATCH", 2)
        numbers = record.add(5)
        dan = record.open_session("dan", role=Role.ADJUDICATOR).reviewer
        for number in numbers:
            dan.adjudicate(number, Kind.ACCEPT)
        assert mark_adjudicated(record.store) == MarkingResult(new=5)
        assert unmark_all(record.store) == 5

    def test_two_counts_add_up_field_by_field(self) -> None:
        both = MarkingResult(new=1, known=2, other=[3], audit=4)
        both += MarkingResult(new=10, known=20, other=[30], audit=40)
        assert both == MarkingResult(new=11, known=22, other=[3, 30], audit=44)


class TestShare:
    """How many of the cards that are served have a known answer."""

    SERVED = 300

    def served(self, record: Record, **share: float) -> int:
        numbers = record.add(2 * self.SERVED)
        gold(record, {number: ACCEPT if number % 2 else REJECT for number in numbers[: self.SERVED]})
        actor = replace(record.open_session("ana").actor, session="the same draw each time")
        claims = Queue(record.store, actor, **share).claim(self.SERVED)
        assert len(claims) == self.SERVED
        return sum(claim.gold for claim in claims)

    @pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.5])
    def test_share_is_the_requested_one(self, record: Record, share: float) -> None:
        deviation = (self.SERVED * share * (1 - share)) ** 0.5
        # half the share and twice the share are further away than this
        assert abs(self.served(record, gold_share=share) - self.SERVED * share) < min(3 * deviation, 45)

    def test_by_default_it_is_one_in_ten(self, record: Record) -> None:
        assert GOLD_SHARE == SessionSettings().gold_share == CurateSettings().gold_share == 0.1
        assert abs(self.served(record) - self.SERVED * 0.1) < 15.5

    def test_share_of_one_and_of_zero(self, record: Record) -> None:
        assert self.served(record, gold_share=0.0) == 0
        assert self.served(record, gold_share=1.0) == self.SERVED


class TestServing:
    def test_every_annotator_gets_each_item_once_whatever_the_overlap(self, record: Record) -> None:
        record.add(3)
        gold(record, {1: REJECT})
        for name in ("ana", "ben", "cho"):
            session = record.open_session(name, gold_share=1.0)
            claim = session.queue.claim()[0]
            assert (claim.candidate_id, claim.gold, claim.stream) == (1, True, Stream.REVIEW)
            session.reviewer.decide(1, Kind.ACCEPT)
            assert not any(claim.gold for claim in session.queue.claim())
        assert record.state(1) == "open"
        assert exported(record) == []

    def test_two_annotators_may_lease_it_at_once(self, record: Record) -> None:
        record.add(1)
        gold(record, {1: REJECT})
        record.add(2)
        first, second = (record.open_session(name, gold_share=1.0).queue.claim()[0] for name in ("ana", "ben"))
        assert first == second

    def test_gold_alone_is_not_served(self, record: Record) -> None:
        """Nor does it keep the queue from ending."""
        record.add(1)
        gold(record, {1: REJECT})
        ana = record.open_session("ana", gold_share=0.0)
        assert ana.queue.claim() == []
        with record.store.read() as connection:
            assert count_remaining(connection, ana.actor.annotator_id) == {"fresh": 0, "passed": 0}

    def test_audit_only_queue_serves_no_gold(self, record: Record) -> None:
        record.add(1)
        gold(record, {1: REJECT})
        record.add(1, audit_rate=1.0)
        ana = record.open_session("ana", gold_share=1.0, only=Stream.AUDIT)
        assert [claim.candidate_id for claim in ana.queue.claim(5)] == [2]

    def test_remaining_cards_are_counted_by_stream(self, record: Record) -> None:
        record.add(2)
        record.add(3, audit_rate=1.0)
        gold(record, {1: REJECT})
        ana = record.open_session("ana")
        for number in (1, 3):
            ana.reviewer.decide(number, Kind.SKIP)
        me = ana.actor.annotator_id
        with record.store.read() as connection:
            assert count_remaining(connection, me) == {"fresh": 3, "passed": 2}
            assert count_remaining(connection, me, Stream.REVIEW) == {"fresh": 1, "passed": 1}
            assert count_remaining(connection, me, Stream.AUDIT) == {"fresh": 2, "passed": 1}

    def test_passed_gold_comes_back(self, record: Record) -> None:
        record.add(1)
        gold(record, {1: REJECT})
        ana = record.open_session("ana", gold_share=1.0)
        ana.queue.claim()
        ana.reviewer.decide(1, Kind.UNSURE)
        assert ana.queue.claim() == []
        with record.store.read() as connection:
            assert count_remaining(connection, ana.actor.annotator_id) == {"fresh": 0, "passed": 1}
        assert [claim.candidate_id for claim in ana.queue.claim(revisit=True)] == [1]
        assert score_of(record) == []

    @settings(max_examples=examples(15), deadline=None)
    @given(
        accepts=st.integers(0, 5),
        rejects=st.integers(0, 5),
        share=st.floats(0, 1),
        kinds=st.lists(st.sampled_from([Kind.ACCEPT, Kind.REJECT]), min_size=1),
    )
    def test_accepts_and_rejects_are_balanced_without_repeats(
        self, accepts: int, rejects: int, share: float, kinds: list[Kind]
    ) -> None:
        with tempfile.TemporaryDirectory() as folder:
            record = Record(create_store(Path(folder) / "curation.db"))
            numbers = record.add(accepts + rejects + 10)
            answers = dict.fromkeys(numbers[:accepts], ACCEPT) | dict.fromkeys(
                numbers[accepts : accepts + rejects], REJECT
            )
            gold(record, answers)
            ana = record.open_session("ana", gold_share=share)
            given: list[Kind] = []
            served = []
            while claims := ana.queue.claim():
                served.append(claims[0].candidate_id)
                assert claims[0].gold == (served[-1] in answers)
                if claims[0].gold:
                    given.append(answers[served[-1]].kind)
                    assert abs(given.count(Kind.ACCEPT) - given.count(Kind.REJECT)) <= 1
                kind = kinds[len(served) % len(kinds)]
                reason = Reason.SCOPE if kind is Kind.REJECT else None
                ana.reviewer.decide(served[-1], kind, reason=reason)
            assert len(served) == len(set(served))
            assert set(numbers[accepts + rejects :]) <= set(served), "gold crowds nothing out"
            record.store.close()


class TestScores:
    @pytest.fixture
    def ana(self, record: Record) -> AnnotatorSession:
        record.add(4)
        gold(record, {1: ACCEPT, 2: ACCEPT, 3: REJECT, 4: REJECT})
        return record.open_session("ana")

    def test_the_result_contains_the_known_answer(self, record: Record, ana: AnnotatorSession) -> None:
        assert ana.reviewer.decide(3, Kind.ACCEPT).known == REJECT
        number = record.add(1)[0]
        assert ana.reviewer.decide(number, Kind.ACCEPT).known is None

    def test_right_and_wrong(self, record: Record, ana: AnnotatorSession) -> None:
        ana.reviewer.decide(1, Kind.ACCEPT)
        ana.reviewer.decide(2, Kind.REJECT, reason=Reason.SCOPE)
        ana.reviewer.decide(3, Kind.ACCEPT)
        ana.reviewer.decide(4, Kind.REJECT, reason=Reason.SCOPE)
        (score,) = score_of(record)
        assert score == GoldScore("ana", right=2, wrongly_accepted=1, wrongly_rejected=1)
        assert (score.answers, score.share.estimate) == (4, 0.5)
        assert score.share.low < 0.5 < score.share.high

    def test_the_first_answer_counts(self, record: Record, ana: AnnotatorSession) -> None:
        """An annotator who undoes an answer has seen the known one."""
        ana.reviewer.decide(1, Kind.UNSURE)
        ana.reviewer.decide(1, Kind.REJECT, reason=Reason.SCOPE)
        ana.reviewer.undo()
        ana.reviewer.decide(1, Kind.ACCEPT)
        assert score_of(record) == [GoldScore("ana", right=0, wrongly_accepted=0, wrongly_rejected=1)]

    def test_a_vote_from_before_is_no_answer(self, record: Record, ana: AnnotatorSession) -> None:
        number = record.add(1)[0]
        ana.reviewer.decide(number, Kind.ACCEPT)
        gold(record, {number: REJECT})
        assert score_of(record) == []
        assert exported(record) == [number], "it was accepted before"

    def test_an_edit_removes_the_item(self, record: Record, ana: AnnotatorSession) -> None:
        record.open_session("ben")
        done = ana.reviewer.edit(1, "a woman without a hat")
        with record.store.read() as connection:
            assert count_gold(connection) == GoldCounts(accept=1, reject=2, edited=1)
        assert score_of(record) == []
        assert record.state(done.child_id) == "open"
        ana.reviewer.undo()
        assert record.state(1) == "open"
        assert sound(record)


class TestExports:
    def test_accepted_gold_is_exported_with_its_deciders(self, record: Record) -> None:
        record.add(2)
        dan = record.open_session("dan", role=Role.ADJUDICATOR)
        dan.reviewer.adjudicate(1, Kind.ACCEPT)
        mark_adjudicated(record.store)
        gold(record, {2: ACCEPT})
        with record.store.read() as connection:
            before = choose(connection, ExportFilter())
        ana = record.open_session("ana")
        ana.reviewer.decide(1, Kind.REJECT, reason=Reason.SCOPE)
        ana.reviewer.decide(2, Kind.ACCEPT)
        with record.store.read() as connection:
            after = choose(connection, ExportFilter())
            assert not drift_since(connection, before.event_seq, ExportFilter()).stale
        assert (before.ids, before.outcomes) == (after.ids, after.outcomes)
        assert after.ids == [1]
        assert (after.outcomes[1].deciders, after.outcomes[1].reasons) == (("dan",), ())


class TestAnswerStaysHidden:
    def test_the_card_looks_open(self, record: Record) -> None:
        record.add(1)
        dan = record.open_session("dan", role=Role.ADJUDICATOR)
        dan.reviewer.note(1, "there is a hat")
        dan.reviewer.toggle_flag(1)
        dan.reviewer.adjudicate(1, Kind.REJECT, reason=Reason.PRESENT)
        mark_adjudicated(record.store)
        ana = record.open_session("ana")
        with record.store.read() as connection:
            card = card_for(connection, 1, "ana")
            assert (card.state, card.flagged, card.notes) == (State.OPEN, False, ())
        ana.reviewer.decide(1, Kind.REJECT, reason=Reason.SCOPE)
        with record.store.read() as connection:
            assert card_for(connection, 1, "ana") == load_card(connection, 1)
            assert load_card(connection, 1).state is State.REJECTED

    def test_own_notes_and_flags_stay_visible(self, record: Record) -> None:
        record.add(1)
        gold(record, {1: ACCEPT})
        ana = record.open_session("ana").reviewer
        ana.note(1, "looks odd")
        ana.toggle_flag(1)
        with record.store.read() as connection:
            card = card_for(connection, 1, "ana")
        assert (card.flagged, card.notes) == (True, ("looks odd",))


def test_an_older_record_is_migrated_with_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "curation.db"
    install(monkeypatch)
    make_older(path)
    with sqlite3.connect(path) as old:
        old.execute("INSERT INTO source(id, name) VALUES (1, 'coco')")
        old.execute("INSERT INTO image(id, source_id, key) VALUES (1, 1, '1')")
        old.execute(
            """INSERT INTO candidate(id, source_id, key, image_id, text, raw_sha256, pipeline, negation_type,
               generator, tokens, overlap, stratum, audit, audit_rate, created_at)
               VALUES (1, 1, 'x', 1, 'no hat', x'00', 'P1', 'absence', 'x', 4, '1', 'x', 0, 0, 'x')"""
        )
        old.execute(
            """INSERT INTO event(seq, uid, act, candidate_id, actor, role, session, stream, blind, kind, late, at)
               VALUES (1, 'u', 'u', 1, 'ana', 'annotator', 's', 'review', 0, 'accept', 0, 'x')"""
        )
    old.close()
    with open_store(path) as store, store.read() as connection:
        assert connection.execute(text("SELECT seq, kind, gold FROM event")).all() == [(1, "accept", 0)]
    assert any("before-schema" in backup.name for backup in (tmp_path / "backups").iterdir())
    with sqlite3.connect(path) as new, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        new.execute("UPDATE event SET gold = 1")
    new.close()
