"""A candidate's state as a pure fold of its events (DESIGN section 4). No database here.

Everything the record materialises about a candidate (`candidate_state`, its place in the queue) comes out of `fold`;
tests compare the two after every step.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from curation_db.enums import Kind, Role, State

_VOTES = frozenset({Kind.ACCEPT, Kind.REJECT, Kind.UNSURE, Kind.FLIP})


@dataclass(frozen=True, slots=True)
class FoldEvent:
    """An event, as far as the fold is concerned."""

    seq: int
    actor: str
    role: Role
    kind: Kind
    verdict: Kind | None = None
    undo_of: int | None = None
    gold: bool = False
    """An answer to a card whose answer is known: no vote."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many people decide about one candidate."""

    first: int
    """So many are asked in any case."""
    limit: int
    """So many at most; the ones beyond `first` only while there is no majority of `limit`."""

    def __str__(self) -> str:
        return f"{self.first}+{self.limit - self.first}" if self.limit > self.first else str(self.first)

    @classmethod
    def parse(cls, text: str) -> Overlap:
        """ "1", "3" or "2+1" (ask two; a third only when they differ).

        Raises:
            ValueError: `text` is none of these.
        """
        told = re.fullmatch(r"([1-9]\d?)(?:\+([1-9]\d?))?", text)
        if told is None:
            raise ValueError(f"overlap {text!r}: say 1, another number up to 99, or 2+1")
        first = int(told[1])
        return cls(first, first + int(told[2] or 0))


@dataclass(frozen=True, slots=True)
class CandidateStatus:
    """What the events of one candidate come to."""

    state: State = State.OPEN
    accepts: int = 0
    rejects: int = 0
    unsures: int = 0
    wanted: int = 1
    """How many more people are to be asked; 0: the candidate is out of the queue."""
    voters: frozenset[str] = frozenset()
    """People whose accept or reject stands; they are not asked again."""
    passes: dict[str, int] = field(default_factory=dict)
    """How often each person skipped it or was unsure; others are asked first."""
    flagged: bool = False
    notes: int = 0
    gold_voters: frozenset[str] = frozenset()
    """People whose answer stands, where the answer is known: no votes, but they are not asked again either."""
    gold_passes: dict[str, int] = field(default_factory=dict)
    """As `passes`, of that card."""


def effective_events(events: Iterable[FoldEvent]) -> list[FoldEvent]:
    """The events that nothing effective takes back, undo events left out; in order.

    An undo always comes after what it undoes, so one pass from the newest to the oldest settles every chain of undo
    and redo.
    """
    undone: set[int] = set()
    kept: list[FoldEvent] = []
    for event in sorted(events, key=lambda e: e.seq, reverse=True):
        if event.seq in undone:
            continue
        if event.kind is Kind.UNDO:
            undone.add(event.undo_of or 0)
        else:
            kept.append(event)
    kept.reverse()
    return kept


def fold(events: Iterable[FoldEvent], overlap: Overlap) -> CandidateStatus:
    """The standing of a candidate after `events` under `overlap`."""
    standing = effective_events(events)
    flags = sum(event.kind is Kind.FLAG for event in standing)
    notes = sum(event.kind is Kind.NOTE for event in standing)
    recent = since_requeue(standing)
    deciding = [event for event in recent if not event.gold]
    votes = _newest_votes(deciding)
    gold_events = [event for event in recent if event.gold]
    gold_votes = _newest_votes(gold_events)
    counts = {kind: sum(vote is kind for vote in votes.values()) for kind in (Kind.ACCEPT, Kind.REJECT, Kind.UNSURE)}
    state, wanted = _derive_state(standing, deciding, counts, overlap)
    return CandidateStatus(
        state=state,
        accepts=counts[Kind.ACCEPT],
        rejects=counts[Kind.REJECT],
        unsures=counts[Kind.UNSURE],
        wanted=wanted,
        voters=_sure_voters(votes),
        passes=_count_passes(deciding, votes),
        flagged=flags > 0,
        notes=notes,
        gold_voters=_sure_voters(gold_votes),
        gold_passes=_count_passes(gold_events, gold_votes),
    )


def _sure_voters(votes: dict[str, Kind]) -> frozenset[str]:
    return frozenset(name for name, vote in votes.items() if vote is not Kind.UNSURE)


def since_requeue(events: Sequence[FoldEvent]) -> Sequence[FoldEvent]:
    """Of effective events those that still count: what came after everybody was last asked anew."""
    last = max((i for i, event in enumerate(events) if event.kind is Kind.REQUEUE), default=-1)
    return events[last + 1 :]


def votes_of(events: Sequence[FoldEvent]) -> dict[str, Kind]:
    """Of effective events each person's newest vote that counts: accept, reject or unsure."""
    return _newest_votes(since_requeue(events))


def _newest_votes(events: Iterable[FoldEvent]) -> dict[str, Kind]:
    """Each person's newest vote; a flip votes what it says."""
    votes: dict[str, Kind] = {}
    for event in events:
        if event.kind in _VOTES and event.role in (Role.ANNOTATOR, Role.ADJUDICATOR):
            votes[event.actor] = event.verdict if event.kind is Kind.FLIP and event.verdict else event.kind
    return votes


def _count_passes(events: Iterable[FoldEvent], votes: dict[str, Kind]) -> dict[str, int]:
    passes: dict[str, int] = {}
    for event in events:
        voted = votes.get(event.actor, Kind.UNSURE) is not Kind.UNSURE
        if event.kind in (Kind.SKIP, Kind.UNSURE) and not voted:
            passes[event.actor] = passes.get(event.actor, 0) + 1
    return passes


def _derive_state(
    standing: Sequence[FoldEvent], deciding: Sequence[FoldEvent], counts: dict[Kind, int], overlap: Overlap
) -> tuple[State, int]:
    """The state, and how many more people it wants."""
    if any(_supersedes(event) for event in standing):
        return State.SUPERSEDED, 0
    final = next((event.verdict for event in reversed(deciding) if event.kind is Kind.ADJUDICATE), None)
    if final is not None:
        return _decided(final is Kind.ACCEPT), 0
    accepts, rejects = counts[Kind.ACCEPT], counts[Kind.REJECT]
    if accepts + rejects == 0 and _policy_accepts(deciding):
        return State.ACCEPTED, 0
    return _state_of_votes(accepts, rejects, counts[Kind.UNSURE], overlap)


def _supersedes(event: FoldEvent) -> bool:
    """Whether the candidate is out of play: edited into a child, or the child of an edit that was undone."""
    return event.kind is Kind.EDIT or (event.kind is Kind.WITHDRAW and event.role is not Role.POLICY)


def _policy_accepts(events: Sequence[FoldEvent]) -> bool:
    """Whether a policy's acceptance stands: its newest word is no withdrawal."""
    said = {event.actor: event.kind for event in events if event.role is Role.POLICY}
    return Kind.ACCEPT in said.values()


def _state_of_votes(accepts: int, rejects: int, unsures: int, overlap: Overlap) -> tuple[State, int]:
    votes = accepts + rejects
    if votes < overlap.first:
        if votes:
            return State.NEEDS_MORE, overlap.first - votes
        return (State.UNSURE if unsures else State.OPEN), overlap.first
    majority = max(accepts, rejects) * 2 > max(votes, overlap.limit)
    if not majority and votes < overlap.limit:
        return State.NEEDS_MORE, overlap.limit - votes
    if accepts == rejects:
        return State.CONTESTED, 0
    return _decided(accepts > rejects), 0


def _decided(accepted: bool) -> State:
    return State.ACCEPTED if accepted else State.REJECTED
