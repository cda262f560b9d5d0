"""Consensus of the votes and the accuracy of each annotator, as JSON and as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from curation_db.storage.store import open_read_only
from workbench.console.number_format import NONE, decimal
from workbench.console.tables import Listing

if TYPE_CHECKING:
    from curation_db.enums import ConsensusMethod, Kind
    from curation_db.trust.vote_consensus import CandidateConsensus, VoteConsensus
    from workbench.workspace.layout import Workspace

SHOWN: Final = 20
"""Candidates in the table of those that the method decides otherwise than the majority."""


def gather(workspace: Workspace, method: ConsensusMethod) -> VoteConsensus:
    from curation_db.trust.vote_consensus import read_consensus  # noqa: PLC0415

    with open_read_only(workspace.database) as store, store.read() as connection:
        return read_consensus(connection, method)


def as_json(votes: VoteConsensus) -> dict[str, Any]:
    """Return all figures; undefined ones are null. `confusion` is [vote accept, vote reject] by right decision."""
    return {
        "method": str(votes.method),
        "people": [
            {
                "name": each.name,
                "votes": each.votes,
                "accuracy": each.accuracy,
                "confusion": {"accept": _row(each.accepts_right), "reject": _row(each.rejects_right, reverse=True)},
            }
            for each in votes.voters
        ],
        "candidates": [
            {
                "candidate": each.candidate_id,
                "accepts": each.accepts,
                "rejects": each.rejects,
                "p_accept": each.probability,
                "majority": _name(each.majority),
                "consensus": _name(each.decision),
            }
            for each in votes.candidates
        ],
        "differing": [each.candidate_id for each in votes.differing],
    }


def _row(right: float | None, *, reverse: bool = False) -> list[float] | None:
    if right is None:
        return None
    return [1 - right, right] if reverse else [right, 1 - right]


def _name(kind: Kind | None) -> str | None:
    return None if kind is None else str(kind)


def listings(votes: VoteConsensus) -> list[Listing]:
    """Return the tables that have rows."""
    people = Listing(
        f"Votes against their consensus ({votes.method})",
        ("name", "votes", "right", "accepts what is right", "rejects what is wrong"),
        [
            (
                each.name,
                f"{each.votes:,}",
                decimal(each.accuracy),
                _share(each.accepts_right),
                _share(each.rejects_right),
            )
            for each in votes.voters
        ],
    )
    differing = Listing(
        f"Candidates that {votes.method} decides otherwise than the majority",
        ("candidate", "majority", "consensus", "accepts", "rejects", "P(accept)"),
        [_candidate(each) for each in votes.differing[:SHOWN]],
        left=3,
    )
    return [listing for listing in (people, differing) if listing.rows]


def _candidate(each: CandidateConsensus) -> tuple[str, ...]:
    names = (_name(each.majority) or "tie", _name(each.decision) or "tie")
    return str(each.candidate_id), *names, f"{each.accepts:,}", f"{each.rejects:,}", decimal(each.probability)


def _share(share: float | None) -> str:
    return NONE if share is None else decimal(share)


def rest_note(votes: VoteConsensus) -> str:
    """Return how many candidates the tables leave out; empty if none."""
    rest = len(votes.differing) - SHOWN
    return f"{rest:,} more candidates that differ: --json" if rest > 0 else ""
