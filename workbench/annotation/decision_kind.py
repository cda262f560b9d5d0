"""What accepting or rejecting means: a vote, a change of mind after a reveal, or an adjudicator's final word. Pure."""

from __future__ import annotations

from enum import Enum, auto

from curation_db.enums import Kind, Role, State, Stream
from curation_db.search.queries import SETTLED
from workbench.annotation.models import CardOrigin, PreparedCard

_VERDICTS = frozenset({Kind.ACCEPT, Kind.REJECT})


class DecisionKind(Enum):
    """How a decision is written."""

    VOTE = auto()
    FLIP = auto()
    """An audit's label stays the decision before any reveal, so changing one's mind is an event of its own kind."""
    ADJUDICATION = auto()
    """About a card that was opened by name, on which everybody has voted: nobody is asked, so it is no vote."""


def standing_words(ready: PreparedCard, role: Role) -> str | None:
    """What a card says about its state; None: nothing.

    How others decided is never said: a person who has not decided yet would be led by it, and one who has is looking
    at that decision.
    """
    if ready.card.state is State.SUPERSEDED:
        return "replaced by an edit"
    if decision_kind(ready, Kind.ACCEPT, role) is DecisionKind.ADJUDICATION:
        return "people have voted: your decision is the final word"
    return None


def decision_kind(ready: PreparedCard, kind: Kind, role: Role) -> DecisionKind:
    """What this person's decision about the card comes to."""
    if kind not in _VERDICTS:
        return DecisionKind.VOTE
    if ready.stream is Stream.AUDIT and ready.past is not None and ready.past.is_label:
        return DecisionKind.FLIP
    if role is Role.ADJUDICATOR and ready.way is CardOrigin.FOUND and ready.card.state in SETTLED:
        return DecisionKind.ADJUDICATION
    return DecisionKind.VOTE
