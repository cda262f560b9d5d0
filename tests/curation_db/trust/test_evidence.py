"""Audit labels and evidence, read from a record that annotators and judges wrote."""

from __future__ import annotations

import pytest
from support.record import Record

from curation_db.enums import Claim, ConsensusMethod, Kind, Reason, Stream
from curation_db.review.decisions import PresentationContext
from curation_db.trust.evidence import Item, audit_items, grant, split_by_image, undecided_items
from curation_db.trust.judge_score import Evidence

BLIND = PresentationContext(Stream.AUDIT, blind=True, leased=False)
SEEN = PresentationContext(Stream.AUDIT, blind=False, leased=False)


def labels(record: Record, claim: Claim = Claim.ACCEPTABLE) -> dict[int, bool | None]:
    with record.store.read() as connection:
        return {item.candidate_id: item.right for item in audit_items(connection, claim)}


def test_labels_are_blind_answers_and_unsure_is_wrong(record: Record) -> None:
    accept, present, gratuitous, scope, unsure, seen, undone, none = record.add(8, audit_rate=1.0)
    ana = record.open_session("ana").reviewer
    ana.decide(accept, Kind.ACCEPT, shown=BLIND)
    for number, reason in ((present, Reason.PRESENT), (gratuitous, Reason.GRATUITOUS), (scope, Reason.SCOPE)):
        ana.decide(number, Kind.REJECT, reason=reason, shown=BLIND)
    ana.decide(unsure, Kind.UNSURE, shown=BLIND)
    ana.decide(seen, Kind.ACCEPT, shown=SEEN)
    ana.decide(undone, Kind.ACCEPT, shown=BLIND)
    ana.undo()
    expected = {accept: True, present: False, gratuitous: False, scope: False, unsure: False}
    expected |= dict.fromkeys((seen, undone, none))
    assert labels(record) == expected
    assert labels(record, Claim.ABSENT) == expected | {gratuitous: True}
    with record.store.read() as connection:
        order = [item.candidate_id for item in audit_items(connection)]
    assert order == [seen, undone, none, accept, present, gratuitous, scope, unsure]


def test_a_flip_after_the_reveal_changes_no_label_and_a_tie_is_wrong(record: Record) -> None:
    flipped, tied, majority = record.add(3, overlap="3", audit_rate=1.0)
    ana, bob, eve = (record.open_session(name).reviewer for name in ("ana", "bob", "eve"))
    ana.decide(flipped, Kind.ACCEPT, shown=BLIND)
    ana.flip(flipped, Kind.REJECT, reason=Reason.PRESENT)
    for number in (tied, majority):
        ana.decide(number, Kind.ACCEPT, shown=BLIND)
        bob.decide(number, Kind.REJECT, reason=Reason.PRESENT, shown=BLIND)
    eve.decide(majority, Kind.ACCEPT, shown=BLIND)
    assert labels(record) == {flipped: True, tied: False, majority: True}


def test_evidence_is_the_probability_that_the_candidate_is_right(record: Record) -> None:
    (number,) = record.add(1)
    record.judge(number, one=0.9, two=0.2)
    with record.store.read() as connection:
        (item,) = undecided_items(connection)
    assert sorted(item.evidence.judges.values()) == pytest.approx([0.1, 0.8]), "the question is whether it is present"
    assert "conflict" in item.evidence.checks


def test_a_policy_may_decide_about_what_nobody_decided_outside_the_audit_set(record: Record) -> None:
    open_one, accepted = record.add(2)
    record.add(3, audit_rate=1.0)
    record.open_session("ana").reviewer.decide(accepted, Kind.ACCEPT)
    with record.store.read() as connection:
        assert [item.candidate_id for item in undecided_items(connection)] == [open_one]
        assert len(audit_items(connection)) == 3


def test_other_sampling_rates_are_other_strata(record: Record) -> None:
    """An exact bound needs labels of equal probability."""
    record.add(30, audit_rate=0.5)
    record.add(30, audit_rate=0.25)
    with record.store.read() as connection:
        items = [*audit_items(connection), *undecided_items(connection)]
    assert len(items) == 60
    assert {(item.stratum, item.rate) for item in items} == {("P1/attribute (0.5)", 0.5), ("P1/attribute (0.25)", 0.25)}


def test_all_items_of_an_image_are_on_one_side() -> None:
    items = [Item(number, number // 5, "s", Evidence({})) for number in range(5_000)]
    fitted, testing = split_by_image(items)
    assert not {item.image_id for item in fitted} & {item.image_id for item in testing}
    assert 0.25 < len(fitted) / len(items) < 0.35
    assert sorted(item.candidate_id for item in fitted + testing) == [item.candidate_id for item in items]
    half, _ = split_by_image(items[: len(items) // 2])
    assert half == [item for item in fitted if item.candidate_id < len(items) // 2], "later items move no image"


def test_dawid_skene_weighs_labels_by_their_annotator() -> None:
    """Two careful annotators outvote three who grant everything, once the model knows them."""
    careful = [(item, name, item % 2 == 0) for item in range(30) for name in ("ana", "ben")]
    careless = [(item, name, True) for item in range(30) for name in ("cho", "dan", "eve")]
    votes = [*careful, *careless]
    assert grant(votes, ConsensusMethod.MAJORITY) == dict.fromkeys(range(30), True)
    assert grant(votes, ConsensusMethod.DAWID_SKENE) == {item: item % 2 == 0 for item in range(30)}
    tie = [(1, "ana", True), (1, "ben", False)]
    assert [grant(tie, method) for method in ConsensusMethod] == [{1: False}, {1: False}]
    assert [grant([(1, "ana", True)], method) for method in ConsensusMethod] == [{1: True}, {1: True}]
    assert [grant([], method) for method in ConsensusMethod] == [{}, {}]
