"""The list of disagreements against a slow reference, and the summary of votes."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
from support.record import Record

from curation_db.enums import Cause, Kind, Reason, Role, State, Stream
from curation_db.errors import RecordError
from curation_db.events.history_cache import events_of
from curation_db.events.state import effective_events
from curation_db.review.decisions import PresentationContext
from curation_db.search.disagreements import Disagreement, disagreements, vote_summary

BLIND = PresentationContext(stream=Stream.AUDIT, blind=True)


def listed(record: Record) -> list[Disagreement]:
    with record.store.read() as connection:
        return disagreements(connection)


def oracle(record: Record) -> list[tuple[int, float]]:
    """Compute the list candidate by candidate, and compare every pair of votes."""
    expected = []
    with record.store.read() as connection:
        for (number,) in record.rows("SELECT id FROM candidate"):
            effective = effective_events(events_of(connection, number))
            while any(event.kind is Kind.REQUEUE for event in effective):
                effective = effective[1:]
            kinds = [event.kind for event in effective]
            if Kind.ADJUDICATE in kinds or record.state(number) == "superseded":
                continue
            verdicts = []
            for name in {event.actor for event in effective}:
                votes = [
                    e.kind for e in effective if e.actor == name and e.kind in (Kind.ACCEPT, Kind.REJECT, Kind.UNSURE)
                ]
                flips = [e.verdict for e in effective if e.actor == name and e.kind is Kind.FLIP]
                verdicts += votes[-1:] + flips[-1:]
            if Kind.ACCEPT in verdicts and Kind.REJECT in verdicts and _open(record, number, kinds):
                pairs = [a == b for a, b in combinations(verdicts, 2)]
                expected.append((sum(pairs) / len(pairs), -len(verdicts), number))
    return [(number, agreement) for agreement, _, number in sorted(expected)]


def _open(record: Record, number: int, kinds: list[Kind]) -> bool:
    return Kind.FLIP in kinds or record.state(number) in ("contested", "needs_more")


def test_the_order_equals_the_reference(record: Record) -> None:
    draw = random.Random(7)
    numbers = [*record.add(16, overlap="2"), *record.add(20, overlap="4"), *record.add(10, overlap="3", audit_rate=1.0)]
    sessions = [record.open_session(name) for name in ("ana", "ben", "cho", "eve")]
    dan = record.open_session("dan", role=Role.ADJUDICATOR)
    for _ in range(220):
        number, reviewer = draw.choice(numbers), draw.choice(sessions).reviewer
        kind = draw.choice([Kind.ACCEPT, Kind.REJECT, Kind.ACCEPT, Kind.REJECT, Kind.UNSURE, Kind.SKIP])
        reason = Reason.SCOPE if kind is Kind.REJECT else None
        chance = draw.random()
        try:
            if chance < 0.8:
                reviewer.decide(number, kind, reason=reason, shown=BLIND)
            elif chance < 0.88 and kind in (Kind.ACCEPT, Kind.REJECT):
                reviewer.flip(number, kind, reason=reason)
            elif chance < 0.92:
                reviewer.undo()
            elif chance < 0.94:
                dan.reviewer.requeue(number)
            elif chance < 0.95:
                dan.reviewer.adjudicate(number, Kind.ACCEPT)
            elif chance < 0.96:
                reviewer.edit(number, f"a man without hat {draw.random()}")
        except RecordError:
            continue
    actual = listed(record)
    assert len(actual) > 5
    assert [(each.candidate_id, each.agreement) for each in actual] == [
        (number, pytest.approx(agreement)) for number, agreement in oracle(record)
    ]
    assert {each.flipped for each in actual} == {True, False}


def test_equal_agreement_is_ordered_by_number_of_votes(record: Record) -> None:
    two, four = record.add(1, overlap="4")[0], record.add(1, overlap="4")[0]
    names = ("ana", "ben", "cho", "eve")
    sessions = {name: record.open_session(name).reviewer for name in names}
    for name, kind in zip(names, (Kind.ACCEPT, Kind.ACCEPT, Kind.REJECT, Kind.REJECT), strict=True):
        sessions[name].decide(four, kind, reason=Reason.SCOPE if kind is Kind.REJECT else None)
    sessions["ana"].decide(two, Kind.ACCEPT)
    sessions["ben"].decide(two, Kind.REJECT, reason=Reason.PRESENT)
    assert [(each.candidate_id, each.votes, round(each.agreement, 3)) for each in listed(record)] == [
        (two, 2, 0.0),
        (four, 4, 0.333),
    ]


def test_the_summary_has_votes_adjudication_and_verdicts(record: Record) -> None:
    (number,) = record.add(1, overlap="2", audit_rate=1.0)
    record.judge(number, llava=0.2, qwen=0.9)
    ana, ben, dan = (
        record.open_session("ana"),
        record.open_session("ben"),
        record.open_session("dan", role=Role.ADJUDICATOR),
    )
    ana.reviewer.decide(number, Kind.REJECT, reason=Reason.PRESENT, shown=BLIND)
    ben.reviewer.decide(number, Kind.UNSURE)
    ben.reviewer.undo()
    ben.reviewer.decide(number, Kind.ACCEPT)
    ana.reviewer.flip(number, Kind.ACCEPT)
    dan.reviewer.adjudicate(number, Kind.REJECT, reason=Reason.SCOPE, cause=Cause.GUIDELINE_GAP)
    with record.store.read() as connection:
        summary = vote_summary(connection, number)
    assert [(v.actor, v.verdict, v.reason, v.blind, v.flip) for v in summary.votes] == [
        ("ana", Kind.REJECT, Reason.PRESENT, True, False),
        ("ben", Kind.ACCEPT, None, False, False),
        ("ana", Kind.ACCEPT, None, False, True),
    ]
    assert summary.final
    assert (summary.final.actor, summary.final.verdict, summary.final.cause) == (
        "dan",
        Kind.REJECT,
        Cause.GUIDELINE_GAP,
    )
    assert (summary.state, [each.judge for each in summary.verdicts]) == (State.REJECTED, ["llava", "qwen"])
    assert listed(record) == [], "the adjudication settles it"
    dan.reviewer.undo()
    assert [each.candidate_id for each in listed(record)] == [number]


def test_an_unknown_candidate_has_no_summary(record: Record) -> None:
    with record.store.read() as connection, pytest.raises(RecordError, match="no candidate 9"):
        vote_summary(connection, 9)
    assert listed(record) == []
