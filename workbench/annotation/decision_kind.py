"""What accepting or rejecting means: a vote, a change of mind after a reveal, or an adjudicator's final word. Pure."""

from __future__ import annotations

from enum import Enum, auto

from curation_db.enums import Kind, Role, State, Stream
from curation_db.search.queries import SETTLED
from workbench.annotation.models import Ready, Way

_VERDICTS = frozenset({Kind.ACCEPT, Kind.REJECT})


class Ruling(Enum):
    """How a decision is written."""

    VOTE = auto()
    FLIP = auto()
    """An audit's label stays the decision before any reveal, so changing one's mind is an event of its own kind."""
    ADJUDICATION = auto()
    """About a card that was opened by name, on which everybody has voted: nobody is asked, so it is no vote."""


def standing_words(ready: Ready, role: Role) -> str | None:
    """What a card says about its state; None: nothing.

    How others decided is never said: a person who has not decided yet would be led by it, and one who has is looking
    at that decision.
    """
    if ready.card.state is State.SUPERSEDED:
        return "replaced by an edit"
    if ruling(ready, Kind.ACCEPT, role) is Ruling.ADJUDICATION:
        return "people have voted: your decision is the final word"
    return None


def ruling(ready: Ready, kind: Kind, role: Role) -> Ruling:
    """What this person's decision about the card comes to."""
    if kind not in _VERDICTS:
        return Ruling.VOTE
    if ready.stream is Stream.AUDIT and ready.past is not None and ready.past.labels:
        return Ruling.FLIP
    if role is Role.ADJUDICATOR and ready.way is Way.FOUND and ready.card.state in SETTLED:
        return Ruling.ADJUDICATION
    return Ruling.VOTE
