"""Where people disagree, and what each of them said: for the adjudicator. Reads only.

People disagree about a candidate when yes and no both stand among their opinions: it is contested, or waits for more
people after two that differ, or somebody's mind was changed by what the judges say (a flip: both the label and the
newer word are opinions). What an adjudicator has settled, and what an edit has replaced, is over.
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
_LIKELY = text("""
    SELECT candidate_id FROM candidate_state WHERE state = 'contested'
    UNION SELECT candidate_id FROM candidate_state WHERE state = 'needs_more' AND accepts > 0 AND rejects > 0
    UNION SELECT candidate_id FROM event WHERE kind = 'flip'
    ORDER BY candidate_id
""")
_STATES = text(f"SELECT candidate_id, state FROM candidate_state WHERE candidate_id {IN_IDS}")


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A candidate about which people disagree."""

    candidate_id: int
    state: State
    accepts: int
    rejects: int
    unsures: int
    flipped: bool
    """Somebody's mind was changed by what the judges say."""

    @property
    def opinions(self) -> int:
        """How many there are; a person whose mind was changed has two."""
        return self.accepts + self.rejects + self.unsures

    @property
    def agreement(self) -> float:
        """The share of pairs of opinions that agree, from 0 to 1."""
        n = self.opinions
        alike = sum(k * (k - 1) for k in (self.accepts, self.rejects, self.unsures))
        return alike / (n * (n - 1)) if n > 1 else 1.0


@dataclass(frozen=True, slots=True)
class AnnotatorVote:
    """What somebody said about a candidate, where it stands."""

    actor: str
    role: Role
    says: Kind
    """accept, reject or unsure."""
    reason: Reason | None
    blind: bool
    """Said without having seen what the judges say."""
    flip: bool
    """A change of mind after that was revealed."""
    at: str


@dataclass(frozen=True, slots=True)
class FinalWord:
    """An adjudicator's."""

    actor: str
    verdict: Kind
    reason: Reason | None
    cause: Cause | None
    at: str


@dataclass(frozen=True, slots=True)
class VoteSummary:
    """Who said what, what the judges said, and what came of it."""

    candidate_id: int
    text: str
    state: State
    voices: tuple[AnnotatorVote, ...]
    """In the order in which they were said, since everybody was last asked anew."""
    final: FinalWord | None
    opinions: tuple[CardVerdict, ...]
    concept: str | None


def disagreements(connection: Connection) -> list[Disagreement]:
    """All there are: the lowest agreement first, then where most opinions are, then the oldest."""
    likely = connection.execute(_LIKELY).scalars().all()
    found = [each for part in batches(likely, BATCH) for each in _of_part(connection, part)]
    return sorted(found, key=lambda each: (each.agreement, -each.opinions, each.candidate_id))


def _of_part(connection: Connection, part: Sequence[int]) -> Iterable[Disagreement]:
    states = {number: state for number, state in connection.execute(_STATES, {"ids": json_array(part)})}
    for number, history in histories(connection, part):
        state, counts, flipped = State(states[number]), _opinions(history), _flipped(history)
        if state is not State.SUPERSEDED and counts and counts[Kind.ACCEPT] and counts[Kind.REJECT]:
            yield Disagreement(number, state, counts[Kind.ACCEPT], counts[Kind.REJECT], counts[Kind.UNSURE], flipped)


@lru_cache(maxsize=16_384)
def _opinions(history: History) -> Counter[Kind] | None:
    """How often each verdict stands; None: an adjudicator has settled it."""
    deciding = since_requeue(effective_events(fold_events(history)))
    if any(event.kind is Kind.ADJUDICATE for event in deciding):
        return None
    said: dict[tuple[str, bool], Kind] = {}
    for event in deciding:
        if event.kind in _VOTES and event.role in _PEOPLE:
            # a newer vote takes the place of the older one, a flip stands beside the label
            said[event.actor, event.kind is Kind.FLIP] = _says(event)
    return Counter(said.values())


def _flipped(history: History) -> bool:
    return any(event.kind is Kind.FLIP for event in since_requeue(effective_events(fold_events(history))))


def _says(event: FoldEvent) -> Kind:
    return event.verdict if event.kind is Kind.FLIP and event.verdict else event.kind


def vote_summary(connection: Connection, candidate_id: int) -> VoteSummary:
    """Who said what about this candidate, as far as it stands.

    Raises:
        RecordError: there is no such candidate.
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
    told = {r.seq: r for r in rows}
    voices: dict[tuple[str, bool], AnnotatorVote] = {}
    final = None
    for event in since_requeue(effective_events(events)):
        said = told[event.seq]
        reason = Reason(said.reason) if said.reason else None
        if event.kind is Kind.ADJUDICATE and event.verdict:
            final = FinalWord(event.actor, event.verdict, reason, Cause(said.cause) if said.cause else None, said.at)
        elif event.kind in _VOTES:
            key = event.actor, event.kind is Kind.FLIP
            # a newer vote takes the place of the older one, a flip stands beside the label
            voices.pop(key, None)
            voices[key] = AnnotatorVote(
                event.actor, event.role, _says(event), reason, bool(said.blind), key[1], said.at
            )
    opinions = verdicts_of(connection, candidate_id)
    return VoteSummary(candidate_id, row.text, State(row.state), tuple(voices.values()), final, opinions, row.concept)
