"""Consensus of the votes on each candidate, by majority or by Dawid-Skene, and the quality of each voter. Reads only.

A vote is an accept or a reject in force of a person; a flip counts as its verdict. Adjudications and gold items are no
votes. Only candidates with two votes or more are used: others say nothing about agreement.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from curation_db.enums import ConsensusMethod, Kind
from curation_db.events.in_force import PERSON_ROLES_SQL, in_force_sql
from curation_db.trust.dawid_skene import consensus

_LABELS: Final = (Kind.ACCEPT, Kind.REJECT)
_TIE: Final = 1e-6
"""Probabilities so near to .5 are a tie: the estimates are sums of rounded numbers."""
_VOTES = text(f"""
    SELECT e.candidate_id, e.actor, CASE e.kind WHEN 'flip' THEN e.verdict ELSE e.kind END AS vote
    FROM candidate_state s JOIN event e ON e.candidate_id = s.candidate_id
    WHERE s.accepts + s.rejects >= 2 AND e.kind IN ('accept', 'reject', 'flip') AND NOT e.gold
      AND e.role IN {PERSON_ROLES_SQL} AND {in_force_sql()}
    ORDER BY e.candidate_id, e.seq
""")


@dataclass(frozen=True, slots=True)
class CandidateConsensus:
    candidate_id: int
    accepts: int
    rejects: int
    probability: float
    """P(accept) of the method; for the majority 1, 0, or .5 at a tie."""

    @property
    def majority(self) -> Kind | None:
        """The majority of the votes; None: a tie."""
        return _decision(self.accepts / (self.accepts + self.rejects))

    @property
    def decision(self) -> Kind | None:
        """The decision of the method; None: a tie."""
        return _decision(self.probability)

    @property
    def differs(self) -> bool:
        """Whether the method decides otherwise than the majority; a tie that it settles is included."""
        return self.decision is not self.majority


@dataclass(frozen=True, slots=True)
class VoterQuality:
    """Votes of an annotator against the consensus, which includes them."""

    name: str
    votes: int
    accuracy: float
    """Expected share of right votes."""
    accepts_right: float | None
    """Share of accepts among the votes on candidates to accept; None: the consensus accepts none of them."""
    rejects_right: float | None
    """Share of rejects among the votes on candidates to reject."""


@dataclass(frozen=True, slots=True)
class VoteConsensus:
    method: ConsensusMethod
    candidates: tuple[CandidateConsensus, ...]
    voters: tuple[VoterQuality, ...]

    @property
    def differing(self) -> tuple[CandidateConsensus, ...]:
        """The candidates that the method decides otherwise than the majority."""
        return tuple(each for each in self.candidates if each.differs)


def read_consensus(connection: Connection, method: ConsensusMethod) -> VoteConsensus:
    """Return the consensus of the votes in force."""
    return vote_consensus([(row.candidate_id, row.actor, Kind(row.vote)) for row in connection.execute(_VOTES)], method)


def vote_consensus(votes: Sequence[tuple[int, str, Kind]], method: ConsensusMethod) -> VoteConsensus:
    """Return the consensus of votes (candidate, annotator, accept or reject), by candidate and annotator.

    Candidates with a single vote are left out.
    """
    given: dict[int, list[Kind]] = defaultdict(list)
    for candidate, _, vote in votes:
        given[candidate].append(vote)
    used = [each for each in votes if len(given[each[0]]) >= 2]
    accepts = {number: given[number].count(Kind.ACCEPT) for number in sorted({number for number, _, _ in used})}
    if method is ConsensusMethod.DAWID_SKENE:
        estimated = consensus([(number, name, _LABELS.index(vote)) for number, name, vote in used], len(_LABELS))
        truth = {number: estimated.probabilities[number][0] for number in accepts}
    else:
        shares = {number: count / len(given[number]) for number, count in accepts.items()}
        truth = {number: 0.5 if share == 0.5 else float(share > 0.5) for number, share in shares.items()}
    candidates = tuple(
        CandidateConsensus(number, count, len(given[number]) - count, truth[number])
        for number, count in accepts.items()
    )
    names = sorted({name for _, name, _ in used})
    return VoteConsensus(method, candidates, tuple(_quality(name, used, truth) for name in names))


def _quality(name: str, votes: Sequence[tuple[int, str, Kind]], truth: dict[int, float]) -> VoterQuality:
    """Return the expected confusion of one annotator."""
    own = [(truth[number], vote) for number, voter, vote in votes if voter == name]
    to_accept, to_reject = sum(p for p, _ in own), sum(1 - p for p, _ in own)
    accepted = sum(p for p, vote in own if vote is Kind.ACCEPT)
    rejected = sum(1 - p for p, vote in own if vote is Kind.REJECT)
    return VoterQuality(
        name,
        len(own),
        (accepted + rejected) / len(own),
        accepted / to_accept if to_accept else None,
        rejected / to_reject if to_reject else None,
    )


def _decision(probability: float) -> Kind | None:
    if abs(probability - 0.5) < _TIE:
        return None
    return Kind.ACCEPT if probability > 0.5 else Kind.REJECT
