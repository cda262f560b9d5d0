"""List the candidates on which annotators disagree, with each vote, for the adjudicator. Reads only.

Annotators disagree on a candidate when both an accept and a reject are among the votes in force: the candidate is
contested, or waits for more votes after two that differ, or has a flip. After a flip both the blind label and the
later vote count. A candidate that an adjudicator has decided or that an edit has replaced is not listed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import Connection, text

from curation_db.enums import Cause, Kind, PersonRole, Reason, Role, State
from curation_db.errors import RecordError
from curation_db.events.history_cache import BATCH, History, fold_events, histories
from curation_db.events.state import FoldEvent, effective_events, since_requeue
from curation_db.search.cards import CardVerdict, verdicts_of
from curation_db.storage.sqlite import IN_IDS, batches, json_array

_VOTES = (Kind.ACCEPT, Kind.REJECT, Kind.UNSURE, Kind.FLIP)
_PEOPLE = frozenset(map(Role, PersonRole))
_POSSIBLE = text("""
    SELECT candidate_id FROM candidate_state WHERE state = 'contested'
    UNION SELECT candidate_id FROM candidate_state WHERE state = 'needs_more' AND accepts > 0 AND rejects > 0
    UNION SELECT candidate_id FROM event WHERE kind = 'flip'
    ORDER BY candidate_id
""")
_STATES = text(f"SELECT candidate_id, state FROM candidate_state WHERE candidate_id {IN_IDS}")


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A candidate on which annotators disagree."""

    candidate_id: int
    state: State
    accepts: int
    rejects: int
    unsures: int
    flipped: bool
    """An annotator changed the vote after the judges' verdicts were revealed."""

    @property
    def votes(self) -> int:
        """Number of votes; an annotator with a flip has two."""
        return self.accepts + self.rejects + self.unsures

    @property
    def agreement(self) -> float:
        """Share of pairs of votes that agree, from 0 to 1."""
        n = self.votes
        alike = sum(k * (k - 1) for k in (self.accepts, self.rejects, self.unsures))
        return alike / (n * (n - 1)) if n > 1 else 1.0


@dataclass(frozen=True, slots=True)
class AnnotatorVote:
    actor: str
    role: Role
    verdict: Kind
    """accept, reject or unsure."""
    reason: Reason | None
    blind: bool
    """Given before the judges' verdicts were shown."""
    flip: bool
    """Changed after the judges' verdicts were revealed."""
    at: str


@dataclass(frozen=True, slots=True)
class Adjudication:
    """An adjudicator's decision."""

    actor: str
    verdict: Kind
    reason: Reason | None
    cause: Cause | None
    at: str


@dataclass(frozen=True, slots=True)
class VoteSummary:
    """The votes, verdicts and adjudication of a candidate."""

    candidate_id: int
    text: str
    state: State
    votes: tuple[AnnotatorVote, ...]
    """In order of time, since the last requeue."""
    final: Adjudication | None
    verdicts: tuple[CardVerdict, ...]
    concept: str | None


def disagreements(connection: Connection) -> list[Disagreement]:
    """Return all disagreements: lowest agreement first, then most votes, then lowest id."""
    possible = connection.execute(_POSSIBLE).scalars().all()
    disagreeing = [each for ids in batches(possible, BATCH) for each in _disagreements_among(connection, ids)]
    return sorted(disagreeing, key=lambda each: (each.agreement, -each.votes, each.candidate_id))


def disagreement_about(connection: Connection, candidate_id: int) -> Disagreement | None:
    """Return the disagreement about a candidate that exists; None: annotators agree, or it is settled."""
    return next(iter(_disagreements_among(connection, [candidate_id])), None)


def _disagreements_among(connection: Connection, ids: Sequence[int]) -> Iterable[Disagreement]:
    states = {number: state for number, state in connection.execute(_STATES, {"ids": json_array(ids)})}
    for number, history in histories(connection, ids):
        state, counts, flipped = State(states[number]), _vote_counts(history), _flipped(history)
        if state is not State.SUPERSEDED and counts and counts[Kind.ACCEPT] and counts[Kind.REJECT]:
            yield Disagreement(number, state, counts[Kind.ACCEPT], counts[Kind.REJECT], counts[Kind.UNSURE], flipped)


@lru_cache(maxsize=16_384)
def _vote_counts(history: History) -> Counter[Kind] | None:
    """Count the votes in force by kind; return None where an adjudicator has decided."""
    deciding = since_requeue(effective_events(fold_events(history)))
    if any(event.kind is Kind.ADJUDICATE for event in deciding):
        return None
    votes: dict[tuple[str, bool], Kind] = {}
    for event in deciding:
        if event.kind in _VOTES and event.role in _PEOPLE:
            # A newer vote replaces the older one; a flip counts beside the blind label.
            votes[event.actor, event.kind is Kind.FLIP] = _verdict_of(event)
    return Counter(votes.values())


def _flipped(history: History) -> bool:
    return any(event.kind is Kind.FLIP for event in since_requeue(effective_events(fold_events(history))))


def _verdict_of(event: FoldEvent) -> Kind:
    return event.verdict if event.kind is Kind.FLIP and event.verdict else event.kind


def vote_summary(connection: Connection, candidate_id: int) -> VoteSummary:
    """Return the votes in force, the adjudication and the judges' verdicts of a candidate.

    Raises:
        RecordError: The candidate does not exist.
    """
    row = connection.execute(
        text("""SELECT c.text, c.concept, s.state FROM candidate c
                JOIN candidate_state s ON s.candidate_id = c.id WHERE c.id = :id"""),
        {"id": candidate_id},
    ).first()
    if row is None:
        raise RecordError(f"there is no candidate {candidate_id}")
    rows = connection.execute(
        text("""SELECT seq, actor, role, kind, verdict, undo_of, reason, cause, blind, at FROM event
                WHERE candidate_id = :id ORDER BY seq"""),
        {"id": candidate_id},
    ).all()
    events = [
        FoldEvent(r.seq, r.actor, Role(r.role), Kind(r.kind), Kind(r.verdict) if r.verdict else None, r.undo_of)
        for r in rows
    ]
    by_seq = {r.seq: r for r in rows}
    votes: dict[tuple[str, bool], AnnotatorVote] = {}
    final = None
    for event in since_requeue(effective_events(events)):
        stored = by_seq[event.seq]
        reason = Reason(stored.reason) if stored.reason else None
        if event.kind is Kind.ADJUDICATE and event.verdict:
            cause = Cause(stored.cause) if stored.cause else None
            final = Adjudication(event.actor, event.verdict, reason, cause, stored.at)
        elif event.kind in _VOTES:
            key = event.actor, event.kind is Kind.FLIP
            # A newer vote replaces the older one and moves to the end; a flip counts beside the blind label.
            votes.pop(key, None)
            votes[key] = AnnotatorVote(
                event.actor, event.role, _verdict_of(event), reason, bool(stored.blind), key[1], stored.at
            )
    verdicts = verdicts_of(connection, candidate_id)
    return VoteSummary(candidate_id, row.text, State(row.state), tuple(votes.values()), final, verdicts, row.concept)
