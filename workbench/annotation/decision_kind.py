"""The kind of event that an accept or a reject becomes: a vote, a flip or a final decision. Pure."""

from __future__ import annotations

from enum import Enum, auto

from curation_db.enums import Kind, Role, State, Stream
from curation_db.search.queries import SETTLED
from workbench.annotation.models import CardOrigin, PreparedCard

_VERDICTS = frozenset({Kind.ACCEPT, Kind.REJECT})


class DecisionKind(Enum):
    VOTE = auto()
    FLIP = auto()
    """A change of mind after the verdicts were revealed; the audit label stays the earlier decision."""
    ADJUDICATION = auto()
    """An adjudicator's final decision about a settled card from a search, or at a second look."""


def state_line(ready: PreparedCard, role: Role) -> str | None:
    """Return the line of a card about its state, if any.

    Except at a second look, the line never says how others decided, since that would influence the annotator.
    """
    if ready.card.state is State.SUPERSEDED:
        return "replaced by an edit"
    lines = ["second look: this pair is accepted, and the trained model doubts it"] if ready.second_look else []
    if decision_kind(ready, Kind.ACCEPT, role) is DecisionKind.ADJUDICATION:
        lines.append("all votes are in: your decision is final")
    return "; ".join(lines) or None


def decision_kind(ready: PreparedCard, kind: Kind, role: Role) -> DecisionKind:
    """Return the kind of a decision of an annotator with this role about the card."""
    if kind not in _VERDICTS:
        return DecisionKind.VOTE
    if ready.stream is Stream.AUDIT and ready.past is not None and ready.past.is_label:
        return DecisionKind.FLIP
    chosen = ready.second_look or ready.origin is CardOrigin.SEARCH
    if role is Role.ADJUDICATOR and chosen and ready.card.state in SETTLED:
        return DecisionKind.ADJUDICATION
    return DecisionKind.VOTE
