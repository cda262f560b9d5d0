"""Margins in the record, and second looks at the accepted pairs with the lowest ones."""

from __future__ import annotations

import pytest
from support.record import AnnotatorSession, Record

from curation_db.enums import Kind, Reason, Role, Stream
from curation_db.events.annotators import begin_session
from curation_db.events.history_cache import events_of
from curation_db.integrity.consistency import compare
from curation_db.queue import margins
from curation_db.queue.claims import Claim
from curation_db.queue.margins import MarginSource, PairMargin, margin_source, margins_of, store_margins
from curation_db.queue.second_looks import SecondLooks, count_second_looks
from curation_db.review.decisions import DecisionWriter


def measure(record: Record, margins: dict[int, float], *, since: int | None = None) -> MarginSource:
    """Store margins by candidate id, from an export of the record as it is."""
    newest = record.rows("SELECT coalesce(max(seq), 0) FROM event")[0][0]
    source = MarginSource(
        run="run-001", model_hash="h", export="set-001", event_seq=int(str(newest)) if since is None else since
    )
    pairs = [PairMargin("coco", f"test/{number}", margin) for number, margin in margins.items()]
    assert store_margins(record.store, source, pairs).stored == len(pairs)
    return source


def join(record: Record, name: str, *, role: Role | None = None, audit_share: float = 0.0) -> AnnotatorSession:
    actor = begin_session(record.store, name, version="test", role=role)
    queue = SecondLooks(record.store, actor, ordering="mistaken", audit_share=audit_share)
    return AnnotatorSession(actor, queue, DecisionWriter(record.store, actor))


def ids(claims: list[Claim]) -> list[int]:
    return [claim.candidate_id for claim in claims]


def waiting(record: Record) -> int:
    with record.store.read() as connection:
        return count_second_looks(connection)


@pytest.fixture
def accepted(record: Record) -> list[int]:
    """Four accepted pairs of ana with margins, the third the lowest, and an open candidate with a lower one."""
    numbers = record.add(5)
    ana = record.open_session("ana")
    for number in numbers[:4]:
        ana.reviewer.decide(number, Kind.ACCEPT)
    measure(record, dict(zip(numbers, (0.2, -0.1, -0.3, 0.1, -0.9), strict=True)))
    return numbers


def test_accepted_pairs_come_first_the_lowest_margin_first(record: Record, accepted: list[int]) -> None:
    first, second, third, fourth, open_one = accepted
    claims = join(record, "ana").queue.claim(9)
    assert ids(claims) == [third, second, fourth, first, open_one]
    assert [claim.second_look for claim in claims] == [True, True, True, True, False]


def test_a_look_is_a_new_event_and_happens_once(record: Record, accepted: list[int]) -> None:
    """GIVEN a second look at two pairs THEN they are not served again, and the first decisions stay in the history."""
    _, second, third, *_ = accepted
    ana = join(record, "ana")
    assert ids(ana.queue.claim(2)) == [third, second]
    ana.reviewer.decide(third, Kind.REJECT, reason=Reason.PRESENT)
    ana.reviewer.decide(second, Kind.ACCEPT)
    assert waiting(record) == 2
    assert (record.state(third), record.state(second)) == ("rejected", "accepted")
    with record.store.read() as connection:
        assert [event.kind for event in events_of(connection, third)] == [Kind.ACCEPT, Kind.REJECT]
    assert not {third, second} & set(ids(join(record, "ben").queue.claim(9)))


def test_a_look_that_is_undone_is_due_again(record: Record, accepted: list[int]) -> None:
    third = accepted[2]
    ana = join(record, "ana")
    ana.queue.claim(1)
    ana.reviewer.decide(third, Kind.REJECT, reason=Reason.PRESENT)
    ana.reviewer.undo()
    ana.queue.release([third])  # an undo shows the card again
    assert record.state(third) == "accepted"
    assert ids(join(record, "ana").queue.claim(1)) == [third]


@pytest.mark.parametrize("remark", ["skip", "note", "flag"])
def test_a_remark_is_no_look(record: Record, accepted: list[int], remark: str) -> None:
    third = accepted[2]
    ana = join(record, "ana")
    ana.queue.claim(1)
    match remark:
        case "skip":
            ana.reviewer.decide(third, Kind.SKIP)
        case "note":
            ana.reviewer.note(third, "hm")
        case "flag":
            ana.reviewer.toggle_flag(third)
    ana.queue.release([third])
    assert third not in ids(ana.queue.claim(2)), "not twice in one session"
    assert ids(join(record, "ana").queue.claim(1)) == [third]


def test_skipped_looks_come_again_with_revisit(record: Record, accepted: list[int]) -> None:
    third = accepted[2]
    ana = join(record, "ana")
    for number in ids(ana.queue.claim(9)):
        ana.reviewer.decide(number, Kind.SKIP if number == third else Kind.ACCEPT)
    assert ana.queue.claim(9) == []
    assert ids(ana.queue.claim(1, revisit=True)) == [third]


def test_two_people_never_get_the_same_look(record: Record, accepted: list[int]) -> None:
    ana, ben = join(record, "ana"), join(record, "ben")
    assert ids(ana.queue.claim(2)) == [accepted[2], accepted[1]]
    assert ids(ben.queue.claim(2)) == [accepted[3], accepted[0]]


def test_a_card_is_shown_as_long_as_its_look_is_due(record: Record, accepted: list[int]) -> None:
    """GIVEN two prepared second looks WHEN ben rejects one THEN it is not shown, and a lost lease cannot bring it
    back."""
    _, second, third, *_ = accepted
    ana = join(record, "ana")
    ana.queue.claim(2)
    assert ana.queue.ready_to_show([third, second]) == {third, second}
    record.open_session("ben").reviewer.decide(third, Kind.REJECT, reason=Reason.PRESENT)
    ana.queue.release([third, second])
    assert ana.queue.renew([third, second]) == {second}
    assert ana.queue.ready_to_show([third, second]) == {second}


def test_margins_of_a_later_export_ask_again(record: Record, accepted: list[int]) -> None:
    third = accepted[2]
    ana = join(record, "ana")
    ana.queue.claim(1)
    ana.reviewer.decide(third, Kind.ACCEPT)
    assert waiting(record) == 3
    measure(record, {third: -0.5})
    assert waiting(record) == 1
    assert ids(join(record, "ana").queue.claim(1)) == [third]


def test_an_audit_pair_comes_as_an_audit_card(record: Record) -> None:
    (number,) = record.add(1, audit_rate=1.0)
    record.open_session("ana").reviewer.decide(number, Kind.ACCEPT)
    measure(record, {number: 0.0})
    assert join(record, "ana").queue.claim(1) == [Claim(number, Stream.AUDIT, second_look=True)]


def test_other_orders_never_serve_accepted_pairs(record: Record, accepted: list[int]) -> None:
    assert ids(record.open_session("ben", ordering="conflict").queue.claim(9)) == [accepted[4]]


def test_margins_are_replaced_as_a_whole(record: Record, accepted: list[int]) -> None:
    source = measure(record, {accepted[0]: 0.7}, since=3)
    with record.store.read() as connection:
        assert margins_of(connection, accepted) == {accepted[0]: 0.7}
        assert margin_source(connection) == source


def test_pairs_of_another_record_are_counted(record: Record) -> None:
    (number,) = record.add(1)
    source = MarginSource(run="r", model_hash="h", export="e", event_seq=0)
    pairs = [PairMargin("coco", f"test/{number}", 0.1), PairMargin("coco", "x", 0.1), PairMargin("vqa", "test/1", 0.1)]
    stored = store_margins(record.store, source, pairs)
    assert (stored.stored, stored.unknown) == (1, 2)


def test_storing_reads_the_list_of_margins_once(record: Record) -> None:
    """SQLite's own plan may read it for every candidate: 35 s for 3,000 pairs."""
    record.add(1)
    statement = str(margins._STORE).replace(":ordering", "'mistaken'").replace(":rows", "'[]'")
    plan = [str(row[3]) for row in record.rows(f"EXPLAIN QUERY PLAN {statement}")]
    assert plan[0].startswith("SCAN m")
    assert not any(step.startswith("SCAN") for step in plan[1:]), plan


def test_the_record_stays_consistent(record: Record, accepted: list[int]) -> None:
    """Margins move with their candidates from group to group, so that the check of the queue holds."""
    ana = join(record, "ana")
    for number, kind in zip(ids(ana.queue.claim(4)), (Kind.UNSURE, Kind.ACCEPT, Kind.SKIP), strict=False):
        ana.reviewer.decide(number, kind)
    ana.reviewer.edit(accepted[0], "a woman riding a horse without a hat")
    record.assert_state_matches_events()
    with record.store.read() as connection:
        assert compare(connection).is_consistent
