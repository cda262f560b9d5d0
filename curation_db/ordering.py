"""Queue orders: for every ordering policy a stored priority per candidate, least first (DESIGN section 4).

A priority is computed when a candidate or its verdicts arrive, never on the way to the next card.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, text

CONFLICT = "conflict"
"""What the judges disagree on first, then what they are least sure of, then by age."""
OLDEST = "oldest"
"""In the order of arrival."""

ORDERINGS = (CONFLICT, OLDEST)
DEFAULT_ORDERING = CONFLICT

# The spread of the judges' P(present) counts first; a mean near one half breaks ties. Both lie in 0..1.
_CONFLICT = text("""
    UPDATE queue_entry SET priority = coalesce((
        SELECT -(max(p) - min(p)) - 0.1 * (1 - 2 * abs(avg(p) - 0.5)) FROM verdict v
        WHERE v.candidate_id = queue_entry.candidate_id AND v.question = 'present'), 0)
    WHERE ordering = 'conflict' AND candidate_id = :candidate
""")


def refresh_priorities(connection: Connection, candidate_ids: Iterable[int]) -> None:
    """Store the priorities of these candidates anew, after verdicts about them have come in."""
    rows = [{"candidate": candidate_id} for candidate_id in candidate_ids]
    if rows:
        connection.execute(_CONFLICT, rows)
