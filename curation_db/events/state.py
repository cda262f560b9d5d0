"""State of a candidate as a pure fold of its events. No database here.

All derived data of a candidate (`candidate_state`, its queue entries) comes from `fold`; tests compare the two after
every step.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from curation_db.enums import Kind, Role, State

_VOTES = frozenset({Kind.ACCEPT, Kind.REJECT, Kind.UNSURE, Kind.FLIP})


@dataclass(frozen=True, slots=True)
class FoldEvent:
    seq: int
    actor: str
    role: Role
    kind: Kind
    verdict: Kind | None = None
    undo_of: int | None = None
    gold: bool = False
    """Answer to a gold item: no vote."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """Number of annotators who decide about one candidate."""

    first: int
    """Annotators that always decide."""
    limit: int
    """Maximum; those beyond `first` decide only while there is no majority of `limit`."""

    def __str__(self) -> str:
        return f"{self.first}+{self.limit - self.first}" if self.limit > self.first else str(self.first)

    @classmethod
    def parse(cls, text: str) -> Overlap:
        """Parse "1", "3" or "2+1" (two annotators, and a third one only if they differ).

        Raises:
            ValueError: `text` has another form.
        """
        match = re.fullmatch(r"([1-9]\d?)(?:\+([1-9]\d?))?", text)
        if match is None:
            raise ValueError(f"overlap {text!r}: expected a number from 1 to 99, or a form such as 2+1")
        first = int(match[1])
        return cls(first, first + int(match[2] or 0))


@dataclass(frozen=True, slots=True)
class CandidateStatus:
    state: State = State.OPEN
    accepts: int = 0
    rejects: int = 0
    unsures: int = 0
    wanted: int = 1
    """Number of further annotators that the candidate needs; 0: it is not in the queue."""
    voters: frozenset[str] = frozenset()
    """People with an accept or reject in effect; they do not get the card again."""
    passes: dict[str, int] = field(default_factory=dict)
    """Skips and unsure answers by person; other annotators get the card first."""
    flagged: bool = False
    notes: int = 0
    gold_voters: frozenset[str] = frozenset()
    """People who answered the gold item. Their answers are no votes, but they do not get the card again either."""
    gold_passes: dict[str, int] = field(default_factory=dict)
    """As `passes`, for the gold item."""


def effective_events(events: Iterable[FoldEvent]) -> list[FoldEvent]:
    """Return the events that no effective undo reverts, without the undo events, in order.

    An undo always comes after its target, so one pass from the newest to the oldest event resolves every chain of undo
    and redo.
    """
    undone: set[int] = set()
    effective: list[FoldEvent] = []
    for event in sorted(events, key=lambda e: e.seq, reverse=True):
        if event.seq in undone:
            continue
        if event.kind is Kind.UNDO:
            undone.add(event.undo_of or 0)
        else:
            effective.append(event)
    effective.reverse()
    return effective


def fold(events: Iterable[FoldEvent], overlap: Overlap) -> CandidateStatus:
    """Return the status of a candidate after `events` under `overlap`."""
    effective = effective_events(events)
    flags = sum(event.kind is Kind.FLAG for event in effective)
    notes = sum(event.kind is Kind.NOTE for event in effective)
    recent = since_requeue(effective)
    deciding = [event for event in recent if not event.gold]
    votes = _newest_votes(deciding)
    gold_events = [event for event in recent if event.gold]
    gold_votes = _newest_votes(gold_events)
    counts = {kind: sum(vote is kind for vote in votes.values()) for kind in (Kind.ACCEPT, Kind.REJECT, Kind.UNSURE)}
    state, wanted = _derive_state(effective, deciding, counts, overlap)
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
    """Return those of the effective events that still count: the ones after the last requeue."""
    last = max((i for i, event in enumerate(events) if event.kind is Kind.REQUEUE), default=-1)
    return events[last + 1 :]


def votes_of(events: Sequence[FoldEvent]) -> dict[str, Kind]:
    """Return each person's newest vote that counts (accept, reject or unsure) among effective events."""
    return _newest_votes(since_requeue(events))


def _newest_votes(events: Iterable[FoldEvent]) -> dict[str, Kind]:
    """Return each person's newest vote; a flip counts as its verdict."""
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
    effective: Sequence[FoldEvent], deciding: Sequence[FoldEvent], counts: dict[Kind, int], overlap: Overlap
) -> tuple[State, int]:
    """Return the state and the number of further annotators."""
    if any(_supersedes(event) for event in effective):
        return State.SUPERSEDED, 0
    final = next((event.verdict for event in reversed(deciding) if event.kind is Kind.ADJUDICATE), None)
    if final is not None:
        return _decided(final is Kind.ACCEPT), 0
    accepts, rejects = counts[Kind.ACCEPT], counts[Kind.REJECT]
    if accepts + rejects == 0 and _policy_accepts(deciding):
        return State.ACCEPTED, 0
    return _state_of_votes(accepts, rejects, counts[Kind.UNSURE], overlap)


def _supersedes(event: FoldEvent) -> bool:
    """Return whether the event removes the candidate: an edit created a child, or the child's edit was undone."""
    return event.kind is Kind.EDIT or (event.kind is Kind.WITHDRAW and event.role is not Role.POLICY)


def accepts_as_policy(events: Sequence[FoldEvent], actor: str) -> bool:
    """Return whether the policy `actor` accepts the candidate and has not withdrawn it, among effective events."""
    kinds = [event.kind for event in since_requeue(events) if event.role is Role.POLICY and event.actor == actor]
    return bool(kinds) and kinds[-1] is Kind.ACCEPT


def _policy_accepts(events: Sequence[FoldEvent]) -> bool:
    """Return whether a policy accepts the candidate and has not withdrawn its acceptance."""
    newest = {event.actor: event.kind for event in events if event.role is Role.POLICY}
    return Kind.ACCEPT in newest.values()


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
