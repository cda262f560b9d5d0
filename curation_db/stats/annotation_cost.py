"""What overlap cost: how many votes were asked for, and how many adaptive overlap saved.

Reads only. It counts rows, so it is for `status` and never on the way to the next card.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from curation_db.events.history_cache import overlap_sql
from curation_db.events.state import Overlap

_OVERLAPS = text(f"""
    SELECT {overlap_sql()} AS overlap, count(*) AS candidates, sum(s.accepts + s.rejects) AS votes,
           sum(s.settled) AS settled, sum(s.settled * (s.accepts + s.rejects)) AS settling
    FROM candidate c JOIN (
        SELECT candidate_id, accepts, rejects, wanted = 0 AND state != 'superseded' AND accepts + rejects > 0 AS settled
        FROM candidate_state
    ) s ON s.candidate_id = c.id
    WHERE s.accepts + s.rejects > 0 OR NOT EXISTS (SELECT 1 FROM gold k WHERE k.candidate_id = c.id)
    GROUP BY 1 ORDER BY 1
""")


@dataclass(frozen=True, slots=True)
class OverlapCounts:
    """What one overlap policy has cost so far."""

    overlap: str
    """How many people are asked: "1", "3", or "2+1"."""
    candidates: int
    votes: int
    """Accepts and rejects that stand."""
    settled: int
    """Candidates on which people have voted and nobody else is asked."""
    saved: int
    """Votes that asking as many people as the policy ever would could have cost more, on those that are settled."""
    saved_share: float | None
    """Of all the votes that this would have taken; none where nothing is settled."""


def overlaps(connection: Connection) -> list[OverlapCounts]:
    """Candidates and votes by overlap policy."""
    return [
        _counted(row.overlap, row.candidates, row.votes, row.settled, row.settling)
        for row in connection.execute(_OVERLAPS)
    ]


def _counted(overlap: str, candidates: int, votes: int, settled: int, settling: int) -> OverlapCounts:
    """`settling`: the votes on what is settled."""
    most = Overlap.parse(overlap).limit * settled
    saved = max(most - settling, 0)
    return OverlapCounts(overlap, candidates, votes, settled, saved, saved / most if most else None)
