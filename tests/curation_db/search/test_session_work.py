"""Time, gold items and agreement with others in one session of an annotator."""

from __future__ import annotations

from support.record import Record

from curation_db.enums import Kind, Reason, Stream
from curation_db.events.annotators import Actor, begin_session
from curation_db.queue.gold import KnownAnswer
from curation_db.review.decisions import DecisionWriter, PresentationContext
from curation_db.review.gold_marking import mark
from curation_db.search.session_work import SessionWork, session_work


def begin(record: Record, name: str) -> tuple[Actor, DecisionWriter]:
    actor = begin_session(record.store, name, version="test")
    return actor, DecisionWriter(record.store, actor)


def work_of(record: Record, actor: Actor) -> SessionWork:
    with record.store.read() as connection:
        return session_work(connection, actor.name, actor.session)


def on_card(milliseconds: int) -> PresentationContext:
    return PresentationContext(Stream.REVIEW, blind=False, elapsed_ms=milliseconds, leased=False)


def test_a_new_session_has_no_work(record: Record) -> None:
    ana, _ = begin(record, "ana")
    work = work_of(record, ana)
    assert (work.speed.timed_decisions, work.speed.median_ms, work.gold.answers, work.others.votes) == (0, None, 0, 0)


def test_only_the_decisions_of_the_session_count(record: Record) -> None:
    numbers = record.add(4, overlap="2")
    _, earlier = begin(record, "ana")
    earlier.decide(numbers[0], Kind.ACCEPT, shown=on_card(50_000))
    ana, writer = begin(record, "ana")
    writer.decide(numbers[1], Kind.ACCEPT, shown=on_card(2_000))
    writer.decide(numbers[2], Kind.REJECT, reason=Reason.PRESENT, shown=on_card(4_000))
    writer.decide(numbers[3], Kind.SKIP, shown=on_card(90_000))  # a break counts as a minute
    speed = work_of(record, ana).speed
    assert (speed.timed_decisions, speed.votes, speed.active_ms, speed.median_ms) == (3, 2, 66_000, 4_000)


def test_agreement_counts_the_votes_of_others_in_force(record: Record) -> None:
    numbers = record.add(6, overlap="3")
    (ana, writer), (_, ben), (_, cho) = (begin(record, name) for name in ("ana", "ben", "cho"))
    for number in numbers[:4]:
        writer.decide(number, Kind.ACCEPT)
    writer.decide(numbers[4], Kind.UNSURE)  # no vote
    ben.decide(numbers[0], Kind.ACCEPT)
    cho.decide(numbers[0], Kind.ACCEPT)
    ben.decide(numbers[1], Kind.REJECT, reason=Reason.PRESENT)
    cho.decide(numbers[1], Kind.REJECT, reason=Reason.SCOPE)
    cho.decide(numbers[1], Kind.ACCEPT)  # replaces the reject
    ben.decide(numbers[4], Kind.ACCEPT)
    ben.decide(numbers[5], Kind.ACCEPT)  # ana has not decided
    ben.decide(numbers[2], Kind.REJECT, reason=Reason.SCOPE)
    ben.undo()
    others = work_of(record, ana).others
    assert (others.equal, others.votes) == (3, 4)
    assert others.share.low < 0.75 < others.share.high
    writer.decide(numbers[1], Kind.REJECT, reason=Reason.PRESENT)
    assert (work_of(record, ana).others.equal, work_of(record, ana).others.votes) == (3, 4)


def test_the_first_answers_to_gold_items_in_the_session_are_scored(record: Record) -> None:
    numbers = record.add(4)
    with record.store.write() as connection:
        mark(connection, {number: KnownAnswer(Kind.ACCEPT) for number in numbers[:3]}, "test.csv")
    _, earlier = begin(record, "ana")
    earlier.decide(numbers[0], Kind.ACCEPT)
    (ana, writer), (_, ben) = begin(record, "ana"), begin(record, "ben")
    writer.decide(numbers[0], Kind.REJECT, reason=Reason.PRESENT)  # not the first answer
    writer.decide(numbers[1], Kind.ACCEPT)
    writer.decide(numbers[2], Kind.REJECT, reason=Reason.PRESENT)
    ben.decide(numbers[1], Kind.ACCEPT)
    work = work_of(record, ana)
    assert (work.gold.right, work.gold.answers) == (1, 2)
    assert work.others.votes == 0, "answers to gold items are no votes"
