"""Leases with clocks that jump, stop and differ, and with two sessions of one annotator."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from support.record import AnnotatorSession, Record
from support.wall_clock import WallClock

from curation_db.enums import Kind, Reason, Role
from curation_db.errors import NoLongerQueued, RecordInUse
from curation_db.events.annotators import begin_session
from curation_db.integrity.checks import Level, check_record, repair
from curation_db.queue import leases
from curation_db.queue.claims import Queue
from curation_db.review.decisions import DecisionWriter, PresentationContext
from curation_db.storage.backup import back_up
from curation_db.storage.restore import restore
from curation_db.storage.sqlite import BASELINE_EXTRAS
from curation_db.storage.work_sessions import CLOCK_SKEW_S, LEASE_SECONDS

YEAR = 365 * 86_400.0
QUEUED = PresentationContext(must_be_queued=True)
At = Callable[..., AnnotatorSession]


@pytest.fixture
def at(record: Record, monkeypatch: pytest.MonkeyPatch) -> At:
    """Return a function that opens a session on a machine with its own clock."""

    def open_session(
        name: str, clock: WallClock, machine: str = "here", *, role: Role | None = None
    ) -> AnnotatorSession:
        with monkeypatch.context() as patched:
            patched.setattr("socket.gethostname", lambda: machine)
            actor = begin_session(record.store, name, version="test", role=role)
        queue = Queue(record.store, actor, clock=clock, ordering="oldest", audit_share=0.0)
        return AnnotatorSession(actor, queue, DecisionWriter(record.store, actor, clock=clock))

    return open_session


def claimed(session: AnnotatorSession, count: int = 1) -> list[int]:
    return [claim.candidate_id for claim in session.queue.claim(count)]


def expiries(record: Record) -> dict[tuple[object, object], object]:
    return {(row[0], row[1]): row[2] for row in record.rows("SELECT candidate_id, session, expires_at FROM lease")}


def set_expiry(record: Record, seconds: float) -> None:
    with record.store.write() as connection:
        connection.exec_driver_sql("UPDATE lease SET expires_at = ?", (seconds,))


class TestSessionsOwnTheirLeases:
    def test_renewing_leaves_the_leases_of_other_sessions_as_they_are(self, record: Record, at: At) -> None:
        (number,) = record.add(1, overlap="2")
        clock = WallClock()
        ana, ben = at("ana", clock), at("ben", clock)
        assert (claimed(ana), claimed(ben)) == ([number], [number])
        before = expiries(record)
        clock.advance(300)
        assert ana.queue.renew([number]) == {number}
        after = expiries(record)
        assert after[number, ben.actor.session] == before[number, ben.actor.session]
        assert after[number, ana.actor.session] == clock() + LEASE_SECONDS

    def test_a_lease_that_another_session_of_the_person_took_is_not_renewed(self, record: Record, at: At) -> None:
        (number,) = record.add(1)
        clock = WallClock()
        first, second = at("ana", clock), at("ana", clock)
        claimed(first)
        second.queue.retake(number)
        before = expiries(record)
        clock.advance(60)
        assert first.queue.renew([number]) == set()
        assert expiries(record) == before
        assert first.queue.ready_to_show([number]) == set()
        assert second.queue.ready_to_show([number]) == {number}

    def test_the_renewing_statement_itself_names_the_session(self, record: Record, at: At) -> None:
        (number,) = record.add(1, overlap="2")
        clock = WallClock()
        ana, ben = at("ana", clock), at("ben", clock)
        claimed(ana), claimed(ben)
        before = expiries(record)
        with record.store.write() as connection:
            leases.renew(connection, ana.actor, [number], seconds=9_000, clock=clock)
        assert expiries(record)[number, ben.actor.session] == before[number, ben.actor.session]

    def test_a_decision_is_late_where_another_session_of_the_person_took_the_card(self, record: Record, at: At) -> None:
        (number,) = record.add(1)
        clock = WallClock()
        first, second = at("ana", clock), at("ana", clock)
        claimed(first)
        second.queue.retake(number)
        assert first.reviewer.decide(number, Kind.ACCEPT, shown=QUEUED).late
        assert record.rows("SELECT late FROM event") == [(1,)]

    def test_a_decision_under_its_own_lease_is_not_late(self, record: Record, at: At) -> None:
        record.add(1)
        ana = at("ana", WallClock())
        assert not ana.reviewer.decide(claimed(ana)[0], Kind.ACCEPT, shown=QUEUED).late


class TestSuspend:
    """The wall clock jumps by ten minutes and more, while nothing of ours runs."""

    def test_free_cards_are_leased_again(self, record: Record, at: At) -> None:
        numbers = record.add(3)
        clock = WallClock()
        ana = at("ana", clock)
        assert claimed(ana, 3) == numbers
        clock.advance(601)
        assert ana.queue.ready_to_show(numbers) == set()
        assert ana.queue.renew(numbers) == set(numbers)
        assert ana.queue.ready_to_show(numbers) == set(numbers)

    def test_leased_or_decided_cards_are_not_leased_again(self, record: Record, at: At) -> None:
        held, decided, free = record.add(3)
        clock = WallClock()
        ana, ben = at("ana", clock), at("ben", clock)
        claimed(ana, 3)
        clock.advance(601)
        assert claimed(ben, 2) == [held, decided]
        ben.reviewer.decide(decided, Kind.ACCEPT)
        assert ana.queue.renew([held, decided, free]) == {free}
        assert claimed(at("cho", clock)) == [], "nobody's lease came back to life"

    def test_a_decision_after_the_lease_is_stored_as_late(self, record: Record, at: At) -> None:
        (number,) = record.add(1)
        clock = WallClock()
        ana = at("ana", clock)
        claimed(ana)
        clock.advance(601)
        done = ana.reviewer.decide(number, Kind.ACCEPT, shown=QUEUED)
        assert (done.late, record.state(number)) == (True, "accepted")

    @pytest.mark.parametrize("overlap", ["1", "2"])
    def test_a_stale_decision_does_not_contest_another(self, record: Record, at: At, overlap: str) -> None:
        (number,) = record.add(1, overlap=overlap)
        clock = WallClock()
        ana, ben, cho = (at(name, clock) for name in ("ana", "ben", "cho"))
        claimed(ana)
        clock.advance(601)
        for other in (ben, cho)[: int(overlap)]:
            assert claimed(other) == [number]
            other.reviewer.decide(number, Kind.REJECT, reason=Reason.SCOPE)
        with pytest.raises(NoLongerQueued, match="not written"):
            ana.reviewer.decide(number, Kind.ACCEPT, shown=QUEUED)
        with pytest.raises(NoLongerQueued):
            ana.reviewer.edit(number, "a woman riding a horse, no hat", shown=QUEUED)
        assert record.state(number) == "rejected"
        assert record.rows("SELECT count(*) FROM event") == [(int(overlap),)]
        assert record.rows("SELECT count(*) FROM candidate") == [(1,)]
        ana.reviewer.decide(number, Kind.ACCEPT, shown=PresentationContext(leased=False))
        assert record.state(number) == ("contested" if overlap == "1" else "rejected"), "a person who was told so may"

    def test_a_second_vote_that_is_still_queued_is_written(self, record: Record, at: At) -> None:
        (number,) = record.add(1, overlap="2")
        clock = WallClock()
        ana, ben = at("ana", clock), at("ben", clock)
        claimed(ana)
        clock.advance(601)
        claimed(ben)
        ben.reviewer.decide(number, Kind.ACCEPT)
        assert ana.reviewer.decide(number, Kind.ACCEPT, shown=QUEUED).late
        assert record.state(number) == "accepted"


class TestClocksOfTwoMachines:
    @pytest.mark.parametrize("minutes", [-50, -10, 10, 50])
    def test_different_clocks_do_not_lease_one_card_twice(self, record: Record, at: At, minutes: float) -> None:
        first, second = record.add(2)
        clock = WallClock()
        ana, ben = at("ana", clock, "one"), at("ben", clock.ahead(60 * minutes), "two")
        assert claimed(ana) == [first]
        assert claimed(ben) == [second]
        assert (claimed(ana), claimed(ben)) == ([], [])
        for _ in range(10):
            clock.advance(200)
            assert ana.queue.renew([first]) == {first}
            assert ben.queue.renew([second]) == {second}
            assert (claimed(ana), claimed(ben)) == ([], [])

    @pytest.mark.parametrize("minutes", [-10, 10])
    def test_a_bulk_decision_skips_leases_of_another_machine(self, record: Record, at: At, minutes: float) -> None:
        first, second = record.add(2)
        now = WallClock(time.time())
        assert claimed(at("ana", now.ahead(60 * minutes), "elsewhere")) == [first]
        done = at("ben", now).reviewer.decide_many([first, second], Kind.ACCEPT)
        assert list(done.preview.votes) == [second]

    def test_cards_of_a_dead_machine_are_served_again(self, record: Record, at: At) -> None:
        record.add(1)
        clock = WallClock()
        ben = at("ben", clock, "two")
        claimed(at("ana", clock, "one"))
        clock.advance(LEASE_SECONDS + CLOCK_SKEW_S + 1)
        assert claimed(ben) == [1]

    def test_on_one_machine_there_is_no_tolerance(self, record: Record, at: At) -> None:
        record.add(1)
        clock = WallClock()
        ben = at("ben", clock)
        claimed(at("ana", clock))
        clock.advance(LEASE_SECONDS + 1)
        assert claimed(ben) == [1]

    def test_a_clock_that_is_set_back_a_little_keeps_the_leases_of_its_machine(self, record: Record, at: At) -> None:
        record.add(1)
        clock = WallClock()
        ana, ben = at("ana", clock), at("ben", clock)
        claimed(ana)
        clock.advance(-2)
        assert claimed(ben) == []
        assert not ana.reviewer.decide(1, Kind.ACCEPT, shown=QUEUED).late


class TestImpossibleTimes:
    """A killed session of a clock that was a year ahead."""

    @pytest.fixture
    def ahead(self, record: Record, at: At) -> Record:
        record.add(2)
        claimed(at("ana", WallClock(time.time() + YEAR), "elsewhere"), 2)
        assert record.rows("SELECT count(*) FROM lease") == [(2,)]
        return record

    @pytest.mark.parametrize("machine", ["here", "elsewhere"])
    def test_they_do_not_block_a_claim(self, ahead: Record, at: At, machine: str) -> None:
        assert claimed(at("ben", WallClock(time.time()), machine), 2) == [1, 2]

    def test_they_do_not_block_a_bulk_decision(self, ahead: Record) -> None:
        assert len(ahead.open_session("ben").reviewer.decide_many([1, 2], Kind.ACCEPT).preview.votes) == 2

    def test_they_do_not_block_a_restore(self, ahead: Record) -> None:
        path = ahead.store.path
        backup = back_up(path)
        ahead.store.close()
        assert restore(path, backup.path).event == backup.event

    def test_a_lease_of_another_machine_ten_minutes_ahead_still_blocks_a_restore(self, record: Record, at: At) -> None:
        record.add(1)
        backup = back_up(record.store.path)
        claimed(at("ana", WallClock(time.time() + 600), "elsewhere"))
        record.store.close()
        with pytest.raises(RecordInUse, match="elsewhere"):
            restore(record.store.path, backup.path)

    def test_they_are_expired_for_their_own_session(self, record: Record, at: At) -> None:
        record.add(1)
        clock = WallClock()
        ana = at("ana", clock)
        claimed(ana)
        set_expiry(record, clock() + YEAR)
        assert ana.queue.ready_to_show([1]) == set()
        assert ana.queue.renew([1]) == {1}
        assert expiries(record) == {(1, ana.actor.session): clock() + LEASE_SECONDS}
        set_expiry(record, clock() + YEAR)
        assert ana.reviewer.decide(1, Kind.ACCEPT, shown=QUEUED).late

    def test_a_longer_lease_is_judged_by_its_own_length(self, record: Record, at: At) -> None:
        record.add(1)
        clock = WallClock()
        ana = at("ana", clock)
        queue = Queue(record.store, ana.actor, clock=clock, lease_seconds=7_200)
        assert [claim.candidate_id for claim in queue.claim()] == [1]
        clock.advance(3_000)
        assert queue.ready_to_show([1]) == {1}
        assert claimed(at("ben", clock)) == []

    def test_doctor_shows_them_and_repair_removes_the_leases(self, ahead: Record, at: At) -> None:
        path = ahead.store.path
        (check,) = [each for each in check_record(path) if each.name == "times"]
        assert (check.level, check.message.partition(" with")[0]) == (Level.WARNING, "2 leases")
        with ahead.store.write() as connection:
            connection.exec_driver_sql("UPDATE work_session SET started_at = '2900-01-01T00:00:00.000Z'")
        late = at("ben", WallClock(time.time()))
        late.reviewer.decide(1, Kind.ACCEPT)
        with ahead.store.write() as connection:
            connection.exec_driver_sql("DROP TRIGGER event_never_changes")
            connection.exec_driver_sql("UPDATE event SET at = '2901-02-03T04:05:06.000Z'")
            connection.exec_driver_sql(next(each for each in BASELINE_EXTRAS if "event_never_changes" in each))
        (check,) = [each for each in check_record(path) if each.name == "times"]
        assert check.message.startswith(
            "1 event, 1 session, 2 leases with a time in the future, up to 2901-02-03 04:05"
        )
        repair(path)
        assert ahead.rows("SELECT count(*) FROM lease") == [(0,)]

    def test_doctor_accepts_present_times(self, record: Record) -> None:
        record.add(2)
        ana = record.open_session("ana")
        ana.reviewer.decide(ana.queue.claim()[0].candidate_id, Kind.ACCEPT)
        (check,) = [each for each in check_record(record.store.path) if each.name == "times"]
        assert check.level is Level.OK

    @pytest.mark.parametrize("expires_at", [1e300, 253_402_300_799.5])
    def test_a_time_out_of_range_is_shown(self, ahead: Record, expires_at: float) -> None:
        set_expiry(ahead, expires_at)
        (check,) = [each for each in check_record(ahead.store.path) if each.name == "times"]
        assert "9999-12-31" in check.message
