"""Flip rates: labels that a flip after a reveal changed, with their direction."""

from __future__ import annotations

import pytest
from support.audited import BLIND
from support.record import Record

from curation_db.enums import Kind, Reason, Stream
from curation_db.review.decisions import PresentationContext
from curation_db.stats.flip_rate import FlipRate, count_flips, flip_rates, total_flips
from curation_db.stats.intervals import wilson

REVEALED = PresentationContext(Stream.AUDIT, blind=False, leased=False)
ACCEPT, REJECT = Kind.ACCEPT, Kind.REJECT


def rates(record: Record) -> dict[str, FlipRate]:
    with record.store.read() as connection:
        return flip_rates(connection)


def test_directions_and_rates_of_counted_labels() -> None:
    labels = [
        ("ana", ACCEPT, None, 0.9),  # agrees with the judges
        ("ana", ACCEPT, REJECT, 0.2),  # towards them
        ("ana", REJECT, None, 0.8),  # differs, and stays
        ("ana", REJECT, ACCEPT, 0.1),  # away from them
        ("ana", REJECT, ACCEPT, 0.5),  # no direction
        ("ana", REJECT, ACCEPT, None),  # no verdict
        ("ana", ACCEPT, ACCEPT, 0.2),  # a flip back to the label
        ("ben", REJECT, None, 0.1),
    ]
    counted = count_flips(labels)
    assert counted["ana"] == FlipRate(labels=7, flips=4, toward=1, away=1, differing=3, agreeing=2)
    assert counted["ana"].rate == wilson(4, 7)
    assert counted["ana"].toward_rate == wilson(1, 3)
    assert counted["ana"].away_rate == wilson(1, 2)
    assert counted["ben"].figures()["toward_rate"] is None
    assert counted["ben"].figures()["rate"] == pytest.approx({"estimate": 0, "low": 0, "high": wilson(0, 1).high})
    assert total_flips(counted) == FlipRate(8, 4, 1, 1, 3, 3)
    assert total_flips({}) == FlipRate()


def test_only_flips_after_a_reveal_count_and_undone_ones_do_not(record: Record) -> None:
    ids = record.add(6, audit_rate=1.0)
    for number in ids:
        record.judge(number, one=0.1, two=0.3)  # both find it absent: accept
    ana = record.open_session("ana").reviewer
    for number in ids:
        ana.decide(number, REJECT, reason=Reason.PRESENT, shown=BLIND)
    assert rates(record) == {"ana": FlipRate(6, 0, 0, 0, 6, 0)}
    ana.flip(ids[0], ACCEPT, shown=REVEALED)
    ana.flip(ids[1], ACCEPT, shown=BLIND)  # went back before any reveal
    ana.flip(ids[2], REJECT, reason=Reason.SCOPE, shown=REVEALED)  # another reason only
    ana.flip(ids[3], ACCEPT, shown=REVEALED)
    ana.flip(ids[3], REJECT, reason=Reason.PRESENT, shown=REVEALED)  # and back
    ana.flip(ids[4], ACCEPT, shown=REVEALED)
    assert rates(record) == {"ana": FlipRate(6, 2, 2, 0, 6, 0)}
    ana.undo()
    assert rates(record) == {"ana": FlipRate(6, 1, 1, 0, 6, 0)}
    ana.redo()
    assert rates(record) == {"ana": FlipRate(6, 2, 2, 0, 6, 0)}


def test_each_annotator_has_own_labels(record: Record) -> None:
    (number,) = record.add(1, audit_rate=1.0, overlap="2")
    record.judge(number, one=0.9)
    ana, ben = record.open_session("ana").reviewer, record.open_session("ben").reviewer
    ana.decide(number, ACCEPT, shown=BLIND)
    ben.decide(number, REJECT, reason=Reason.PRESENT, shown=BLIND)
    ana.flip(number, REJECT, reason=Reason.PRESENT, shown=REVEALED)
    assert rates(record) == {"ana": FlipRate(1, 1, 1, 0, 1, 0), "ben": FlipRate(1, 0, 0, 0, 0, 1)}
    assert list(rates(record)) == ["ana", "ben"]


def test_votes_outside_the_audit_are_no_labels(record: Record) -> None:
    (number,) = record.add(1)
    record.open_session("ana").reviewer.decide(number, ACCEPT)
    assert rates(record) == {}
