"""Consensus of the votes in force by both methods, and the quality of each voter."""

from __future__ import annotations

import pytest
from support.audited import BLIND
from support.record import Record

from curation_db.enums import ConsensusMethod, Kind, Reason, Role, Stream
from curation_db.review.decisions import PresentationContext
from curation_db.trust.vote_consensus import VoteConsensus, read_consensus, vote_consensus

ACCEPT, REJECT = Kind.ACCEPT, Kind.REJECT
MAJORITY, DAWID_SKENE = ConsensusMethod


def read(record: Record, method: ConsensusMethod = MAJORITY) -> VoteConsensus:
    with record.store.read() as connection:
        return read_consensus(connection, method)


def test_the_majority_and_the_share_of_votes_that_agree_with_it() -> None:
    votes = [
        *((1, name, ACCEPT) for name in ("ana", "ben")),
        (1, "cho", REJECT),
        *((2, name, REJECT) for name in ("ana", "ben", "cho")),
        (3, "ana", ACCEPT),
        (3, "ben", REJECT),  # a tie
        (4, "ana", ACCEPT),  # a single vote
    ]
    found = vote_consensus(votes, MAJORITY)
    assert [(each.candidate_id, each.decision, each.probability) for each in found.candidates] == [
        (1, ACCEPT, 1.0),
        (2, REJECT, 0.0),
        (3, None, 0.5),
    ]
    assert found.differing == ()
    ana, ben, cho = found.voters
    assert (ana.name, ana.votes, ana.accuracy) == ("ana", 3, pytest.approx(2.5 / 3))
    assert (ana.accepts_right, ana.rejects_right) == (1.0, pytest.approx(1 / 1.5))
    assert (ben.accepts_right, ben.rejects_right) == (pytest.approx(1 / 1.5), 1.0)
    assert (cho.votes, cho.accuracy, cho.accepts_right, cho.rejects_right) == (2, 0.5, 0.0, 1.0)


def test_dawid_skene_weighs_the_votes_by_their_voter() -> None:
    """Two careful annotators agree on 40 candidates; two others accept everything."""
    votes = [
        (item, name, vote)
        for item in range(40)
        for name, vote in (
            *((name, ACCEPT if item % 2 else REJECT) for name in ("ana", "ben")),
            *((name, ACCEPT) for name in ("dan", "eve")),
        )
    ]
    votes += [(99, "ana", REJECT), (99, "dan", ACCEPT), (99, "eve", ACCEPT)]
    found = vote_consensus(votes, DAWID_SKENE)
    by_id = {each.candidate_id: each for each in found.candidates}
    assert (by_id[99].majority, by_id[99].decision) == (ACCEPT, REJECT)
    assert by_id[99].probability < 0.1
    assert by_id[0].majority is None, "two against two"
    assert by_id[0].decision is REJECT
    assert {each.candidate_id for each in found.differing} == {*range(0, 40, 2), 99}
    quality = {each.name: each for each in found.voters}
    assert quality["ana"].accuracy > 0.95
    assert quality["dan"].accepts_right == pytest.approx(1, abs=0.01)
    assert quality["dan"].rejects_right == pytest.approx(0, abs=0.01)


def test_two_voters_without_further_evidence_stay_a_tie() -> None:
    found = vote_consensus(
        [(1, "ana", ACCEPT), (1, "ben", REJECT), (2, "ana", REJECT), (2, "ben", ACCEPT)], DAWID_SKENE
    )
    assert [each.decision for each in found.candidates] == [None, None]
    assert found.differing == ()


@pytest.mark.parametrize("method", ConsensusMethod)
def test_no_votes(method: ConsensusMethod) -> None:
    assert vote_consensus([], method) == VoteConsensus(method, (), ())
    assert vote_consensus([(1, "ana", ACCEPT)], method).candidates == ()
    assert vote_consensus([(1, "ana", ACCEPT), (1, "ben", ACCEPT)], method).voters[0].rejects_right is None


def test_votes_in_force_of_people_count(record: Record) -> None:
    first, second, third, audited = [*record.add(3, overlap="3"), *record.add(1, overlap="3", audit_rate=1.0)]
    ana, ben, cho = (record.open_session(name).reviewer for name in ("ana", "ben", "cho"))
    for number in (first, second):
        ana.decide(number, ACCEPT)
        ben.decide(number, ACCEPT)
    ben.decide(first, REJECT, reason=Reason.PRESENT)  # replaces
    cho.decide(second, REJECT, reason=Reason.SCOPE)
    cho.undo()
    cho.decide(second, Kind.UNSURE)  # no vote
    ana.decide(third, ACCEPT)
    for writer in (ana, ben):
        writer.decide(audited, ACCEPT, shown=BLIND)
    ben.flip(audited, REJECT, reason=Reason.PRESENT, shown=PresentationContext(Stream.AUDIT))
    dan = record.open_session("dan", role=Role.ADJUDICATOR).reviewer
    dan.adjudicate(first, ACCEPT)
    counts = [(each.candidate_id, each.accepts, each.rejects) for each in read(record).candidates]
    assert counts == [(first, 1, 1), (second, 2, 0), (audited, 1, 1)]
    assert [each.name for each in read(record).voters] == ["ana", "ben"]
