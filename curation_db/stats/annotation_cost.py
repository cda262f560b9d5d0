"""Cost of overlap: the number of votes, and the votes that adaptive overlap saved. Reads only.

Counting reads whole tables, so this module is for `negwb status`, not for the path to the next card.
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
    """Votes under one overlap policy so far."""

    overlap: str
    """Number of annotators per candidate: "1", "3", or "2+1" (two, and a third if they differ)."""
    candidates: int
    votes: int
    """Accepts and rejects in force."""
    settled: int
    """Candidates with votes that need no more votes."""
    saved: int
    """Votes saved on settled candidates, compared with the policy's maximum number of annotators."""
    saved_share: float | None
    """`saved` as a share of that maximum; None: no candidate is settled."""


def overlaps(connection: Connection) -> list[OverlapCounts]:
    """Count candidates and votes by overlap policy."""
    return [
        _counted(row.overlap, row.candidates, row.votes, row.settled, row.settling)
        for row in connection.execute(_OVERLAPS)
    ]


def _counted(overlap: str, candidates: int, votes: int, settled: int, settling: int) -> OverlapCounts:
    """Build the counts; `settling`: the votes on settled candidates."""
    maximum = Overlap.parse(overlap).limit * settled
    saved = max(maximum - settling, 0)
    return OverlapCounts(overlap, candidates, votes, settled, saved, saved / maximum if maximum else None)
