"""Claims: order of the queue, overlap, passes, leases, and no card for two annotators at once."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from support.wall_clock import WallClock

from curation_db.enums import Kind, Reason, Stream
from curation_db.events.annotators import begin_session, end_session
from curation_db.integrity.rebuild import rebuild
from curation_db.queue import audit_order
from curation_db.queue.audit_order import audit_number
from curation_db.queue.claims import Queue, count_remaining
from curation_db.queue.preview import QueuePreview
from curation_db.review.decisions import DecisionWriter
from curation_db.storage.store import Store


def served(session, count: int, **how: bool) -> list[int]:
    return [claim.candidate_id for claim in session.queue.claim(count, **how)]


def test_two_annotators_never_lease_the_same_card(record) -> None:
    numbers = record.add(5)
    ana, ben = record.open_session("ana"), record.open_session("ben")
    assert served(ana, 3) + served(ben, 3) == numbers
    assert served(ana, 1) == []


def test_two_sessions_of_one_annotator_do_not_share_cards(record) -> None:
    numbers = record.add(4)
    assert served(record.open_session("ana"), 2) + served(record.open_session("ana"), 2) == numbers


def test_overlap_serves_that_many_annotators(record) -> None:
    (number,) = record.add(1, overlap="2")
    ana, ben, cho = record.open_session("ana"), record.open_session("ben"), record.open_session("cho")
    assert (served(ana, 1), served(ben, 1), served(cho, 1)) == ([number], [number], [])
    ana.reviewer.decide(number, Kind.ACCEPT)
    assert served(ana, 1) == []
    ben.reviewer.decide(number, Kind.ACCEPT)
    assert served(cho, 1) == []
    assert record.state(number) == "accepted"


def test_a_third_annotator_is_served_only_if_two_differ(record) -> None:
    same, differ = record.add(2, overlap="2+1")
    ana, ben, cho = record.open_session("ana"), record.open_session("ben"), record.open_session("cho")
    for number, second in ((same, Kind.ACCEPT), (differ, Kind.REJECT)):
        ana.reviewer.decide(number, Kind.ACCEPT)
        ben.reviewer.decide(number, second, reason=Reason.SCOPE if second is Kind.REJECT else None)
    assert served(cho, 5) == [differ]


def test_conflict_comes_first_then_doubt_then_age(record) -> None:
    plain, sure, doubtful, conflict = record.add(4)
    record.judge(sure, a=0.02, b=0.03)
    record.judge(doubtful, a=0.45, b=0.5)
    record.judge(conflict, a=0.05, b=0.9)
    assert served(record.open_session("ana"), 4) == [conflict, doubtful, sure, plain]
    assert served(record.open_session("ben", ordering="oldest"), 1) == []  # all in ana's hands


def test_the_oldest_ordering_is_the_order_of_arrival(record) -> None:
    numbers = record.add(3)
    record.judge(numbers[2], a=0.0, b=1.0)
    assert served(record.open_session("ana", ordering="oldest"), 3) == numbers


def test_skipped_and_unsure_cards_come_back_later_and_to_others_first(record) -> None:
    first, second, third = record.add(3)
    ana = record.open_session("ana")
    served(ana, 2)
    ana.reviewer.decide(first, Kind.SKIP)
    ana.reviewer.decide(second, Kind.UNSURE)
    assert served(ana, 5) == [third]
    ana.queue.release([third])
    assert served(record.open_session("ben"), 3) == [first, second, third]


def test_going_through_passed_cards_again_is_a_round(record) -> None:
    numbers = record.add(3)
    ana = record.open_session("ana")
    for number in numbers:
        served(ana, 1)
        ana.reviewer.decide(number, Kind.SKIP)
    assert served(ana, 1) == []
    seen = []
    for _ in range(6):
        (number,) = served(ana, 1, revisit=True)
        seen.append(number)
        ana.reviewer.decide(number, Kind.SKIP)
    assert seen == numbers + numbers
    with record.store.read() as connection:
        assert count_remaining(connection, ana.actor.annotator_id) == {"fresh": 0, "passed": 3}


def test_an_expired_lease_frees_the_card_and_a_renewed_one_does_not(record) -> None:
    first, second = record.add(2)
    clock = WallClock()
    ana = record.open_session("ana", lease_seconds=30, clock=clock)
    assert served(ana, 2) == [first, second]
    clock.advance(20)
    ana.queue.renew([first])
    clock.advance(20)
    assert served(record.open_session("ben", clock=clock), 2) == [second]


def test_ending_a_session_frees_its_cards(record) -> None:
    numbers = record.add(2)
    ana = record.open_session("ana")
    served(ana, 2)
    end_session(record.store, ana.actor)
    assert served(record.open_session("ben"), 2) == numbers


def _die_holding_cards(path: Path) -> None:
    with Store(path) as store:
        actor = begin_session(store, "ana", version="test")
        Queue(store, actor).claim(2)
        os._exit(9)


def test_after_a_crash_the_annotator_gets_the_same_card_at_once(record) -> None:
    numbers = record.add(3)
    process = multiprocessing.get_context("spawn").Process(target=_die_holding_cards, args=(record.store.path,))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert record.rows("SELECT count(*) FROM lease") == [(2,)]
    assert served(record.open_session("ana"), 3) == numbers


def test_the_audit_is_mixed_in_at_its_share_and_served_alone_at_the_end(record) -> None:
    record.add(300)
    record.add(60, audit_rate=1.0)
    actor = replace(record.open_session("ana").actor, session="the same draw each time")
    claims = Queue(record.store, actor, audit_share=0.1).claim(360)
    assert Counter(claim.stream for claim in claims) == {Stream.REVIEW: 300, Stream.AUDIT: 60}
    mixed = Counter(claim.stream for claim in claims[:300])[Stream.AUDIT]
    assert 15 <= mixed <= 45  # 300 draws at one in ten: three standard deviations


def test_a_place_in_the_audit_order_reads_only_the_new_candidates(record) -> None:
    """SQLite's own plan may read the whole queue for every batch of an import."""
    record.add(3, audit_rate=1.0)
    statement = audit_order._MISSING.text.replace(":first", "2").replace(":last", "3")
    plan = [str(row[3]) for row in record.rows(f"EXPLAIN QUERY PLAN {statement}")]
    assert "(rowid>? AND rowid<?)" in plan[0]
    assert all("candidate_id=?" in step or "SUBQUERY" in step for step in plan[1:]), plan


@pytest.mark.parametrize("ordering", ["conflict", "oldest"])
def test_the_audit_labels_so_far_are_a_random_sample(record, ordering: str) -> None:
    """Neither age nor the judges decide which cards of the audit set are served first; other cards keep their order."""
    numbers = record.add(200, audit_rate=1.0)
    review = record.add(5)
    for place, number in enumerate(numbers):
        record.judge(number, a=0.05, b=0.95 if place < 100 else 0.05)
    ana = record.open_session("ana")
    first = [
        each.candidate_id for each in Queue(record.store, ana.actor, ordering=ordering, only=Stream.AUDIT).claim(60)
    ]
    assert 15 <= sum(number in numbers[:100] for number in first) <= 45  # 30 expected, four standard deviations
    assert first != sorted(first)
    assert set(served(record.open_session("ben"), 200)) == {*numbers, *review} - set(first)
    assert [
        each.candidate_id for each in Queue(record.store, ana.actor, ordering=ordering, only=Stream.AUDIT).claim(1)
    ] == []


def test_the_order_of_the_audit_depends_on_the_record_alone(record) -> None:
    numbers = record.add(80, audit_rate=0.5)
    by_place = record.rows("SELECT candidate_id, priority FROM queue_entry WHERE ordering = 'audit' ORDER BY priority")
    audit = [number for (number,) in record.rows("SELECT id FROM candidate WHERE audit")]
    assert sorted(number for number, _ in by_place) == audit
    assert len(audit) < len(numbers)
    places = [place for _, place in by_place]
    assert 0 <= min(places) < 0.5 < max(places) < 1
    rebuild(record.store, numbers)
    again = record.rows("SELECT candidate_id, priority FROM queue_entry WHERE ordering = 'audit' ORDER BY priority")
    assert again == by_place
    ana = record.open_session("ana")
    queue = Queue(record.store, ana.actor, only=Stream.AUDIT)
    preview = QueuePreview(record.store, ana.actor, only=Stream.AUDIT)
    order = [number for number, _ in by_place]
    assert [each.candidate_id for each in preview.claim(99)] == order
    assert [each.candidate_id for each in queue.claim(99)] == order


def test_raising_the_audit_rate_only_adds(record) -> None:
    from curation_db.review.candidates import audit_key

    with record.store.write() as connection:
        key = audit_key(connection)
        assert audit_key(connection) == key
    numbers = [audit_number(key, 1, f"test/{n}") for n in range(5000)]
    small, large = ({n for n, u in enumerate(numbers) if u < rate} for rate in (0.1, 0.3))
    assert small < large
    assert len(small) == pytest.approx(500, abs=130)


def _decide_all(path: Path, name: str, results: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    decided = []
    with Store(path) as store:
        actor = begin_session(store, name, version="test")
        queue, reviewer = Queue(store, actor), DecisionWriter(store, actor)
        while claims := queue.claim(2):
            for claim in claims:
                done = reviewer.decide(claim.candidate_id, Kind.ACCEPT)
                decided.append((done.candidate_id, done.late))
    results.put((name, decided))


def test_four_processes_share_the_work_without_overlap_or_loss(record) -> None:
    numbers = record.add(80)
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    workers = [
        context.Process(target=_decide_all, args=(record.store.path, name, results)) for name in ("a", "b", "c", "d")
    ]
    for worker in workers:
        worker.start()
    decided = [item for _ in workers for item in results.get(timeout=60)[1]]
    for worker in workers:
        worker.join()
    assert sorted(decided) == [(number, False) for number in numbers]
    assert record.rows("SELECT count(*) FROM event") == [(80,)]
    record.assert_state_matches_events()
