"""Where people disagree: the list against a slow oracle, and the tally."""

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
    """Every candidate looked at, one after the other, every pair of opinions compared."""
    found = []
    with record.store.read() as connection:
        for (number,) in record.rows("SELECT id FROM candidate"):
            standing = effective_events(events_of(connection, number))
            while any(event.kind is Kind.REQUEUE for event in standing):
                standing = standing[1:]
            kinds = [event.kind for event in standing]
            if Kind.ADJUDICATE in kinds or record.state(number) == "superseded":
                continue
            said = []
            for name in {event.actor for event in standing}:
                votes = [
                    e.kind for e in standing if e.actor == name and e.kind in (Kind.ACCEPT, Kind.REJECT, Kind.UNSURE)
                ]
                flips = [e.verdict for e in standing if e.actor == name and e.kind is Kind.FLIP]
                said += votes[-1:] + flips[-1:]
            if Kind.ACCEPT in said and Kind.REJECT in said and _open(record, number, kinds):
                pairs = [a == b for a, b in combinations(said, 2)]
                found.append((sum(pairs) / len(pairs), -len(said), number))
    return [(number, agreement) for agreement, _, number in sorted(found)]


def _open(record: Record, number: int, kinds: list[Kind]) -> bool:
    return Kind.FLIP in kinds or record.state(number) in ("contested", "needs_more")


def test_the_order_is_the_oracles(record: Record) -> None:
    draw = random.Random(7)
    numbers = [*record.add(16, overlap="2"), *record.add(20, overlap="4"), *record.add(10, overlap="3", audit_rate=1.0)]
    sittings = [record.open_session(name) for name in ("ana", "ben", "cho", "eve")]
    dan = record.open_session("dan", role=Role.ADJUDICATOR)
    for _ in range(220):
        number, who = draw.choice(numbers), draw.choice(sittings).reviewer
        kind = draw.choice([Kind.ACCEPT, Kind.REJECT, Kind.ACCEPT, Kind.REJECT, Kind.UNSURE, Kind.SKIP])
        reason = Reason.SCOPE if kind is Kind.REJECT else None
        what = draw.random()
        try:
            if what < 0.8:
                who.decide(number, kind, reason=reason, shown=BLIND)
            elif what < 0.88 and kind in (Kind.ACCEPT, Kind.REJECT):
                who.flip(number, kind, reason=reason)
            elif what < 0.92:
                who.undo()
            elif what < 0.94:
                dan.reviewer.requeue(number)
            elif what < 0.95:
                dan.reviewer.adjudicate(number, Kind.ACCEPT)
            elif what < 0.96:
                who.edit(number, f"a man without hat {draw.random()}")
        except RecordError:
            continue
    found = listed(record)
    assert len(found) > 5
    assert [(each.candidate_id, each.agreement) for each in found] == [
        (number, pytest.approx(agreement)) for number, agreement in oracle(record)
    ]
    assert {each.flipped for each in found} == {True, False}


def test_most_votes_first_where_agreement_is_the_same(record: Record) -> None:
    two, four = record.add(1, overlap="4")[0], record.add(1, overlap="4")[0]
    names = ("ana", "ben", "cho", "eve")
    sittings = {name: record.open_session(name).reviewer for name in names}
    for name, kind in zip(names, (Kind.ACCEPT, Kind.ACCEPT, Kind.REJECT, Kind.REJECT), strict=True):
        sittings[name].decide(four, kind, reason=Reason.SCOPE if kind is Kind.REJECT else None)
    sittings["ana"].decide(two, Kind.ACCEPT)
    sittings["ben"].decide(two, Kind.REJECT, reason=Reason.PRESENT)
    assert [(each.candidate_id, each.votes, round(each.agreement, 3)) for each in listed(record)] == [
        (two, 2, 0.0),
        (four, 4, 0.333),
    ]


def test_the_tally_says_who_said_what_and_what_came_of_it(record: Record) -> None:
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
        told = vote_summary(connection, number)
    assert [(v.actor, v.verdict, v.reason, v.blind, v.flip) for v in told.votes] == [
        ("ana", Kind.REJECT, Reason.PRESENT, True, False),
        ("ben", Kind.ACCEPT, None, False, False),
        ("ana", Kind.ACCEPT, None, False, True),
    ]
    assert told.final
    assert (told.final.actor, told.final.verdict, told.final.cause) == ("dan", Kind.REJECT, Cause.GUIDELINE_GAP)
    assert (told.state, [each.judge for each in told.verdicts]) == (State.REJECTED, ["llava", "qwen"])
    assert listed(record) == [], "it is settled"
    dan.reviewer.undo()
    assert [each.candidate_id for each in listed(record)] == [number]


def test_of_nothing_there_is_no_tally(record: Record) -> None:
    with record.store.read() as connection, pytest.raises(RecordError, match="no candidate 9"):
        vote_summary(connection, 9)
    assert listed(record) == []
