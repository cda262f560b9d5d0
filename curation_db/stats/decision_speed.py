"""Decision speed: decisions per hour of active time. All screens and reports show this one figure.

All timed decisions count, including undone and replaced ones, because they took time. Active time is the time on cards
(`Event.elapsed_ms`), at most `MAX_ACTIVE_MS` per card.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Final

from sqlalchemy import Connection, text

from curation_db.events.in_force import DECISIONS_SQL, PERSON_ROLES_SQL, in_force_sql

MAX_ACTIVE_MS: Final = 60_000
"""Maximum active time per card in milliseconds, so that a break does not count as work."""
NAME: Final = "decisions per hour of active time"
"""Full name of the figure."""

# An edit that also accepts its child is one action of two events, and both store the time.
_TIMED = f"e.kind IN ({DECISIONS_SQL}) AND e.uid = e.act AND e.elapsed_ms IS NOT NULL AND e.role IN {PERSON_ROLES_SQL}"
_VOTE = f"e.kind IN ('accept', 'reject', 'edit') AND {in_force_sql()}"
_ALL = text(f"""
    SELECT e.actor, e.elapsed_ms, count(*) AS decisions, sum({_VOTE}) AS votes FROM event e WHERE {_TIMED}
    GROUP BY e.actor, e.elapsed_ms
""")
_OF_SESSION = text(f"""
    SELECT e.elapsed_ms, count(*) AS decisions, sum({_VOTE}) AS votes FROM event e
    WHERE e.actor = :actor AND e.session = :session AND {_TIMED} GROUP BY e.elapsed_ms ORDER BY e.elapsed_ms
""")
_OWN = text(f"""
    SELECT count(*) AS decisions, coalesce(sum(min(e.elapsed_ms, {MAX_ACTIVE_MS})), 0) AS active FROM event e
    WHERE e.actor = :actor AND {_TIMED}
""")


@dataclass(frozen=True, slots=True)
class AnnotationSpeed:
    """Decisions and the time they took."""

    timed_decisions: int = 0
    """Decisions of any kind with a stored time."""
    votes: int = 0
    """Accepts, rejects and edits in force among them."""
    active_ms: int = 0
    """Time on cards, at most `MAX_ACTIVE_MS` each."""
    lengths: tuple[tuple[int, int], ...] = ()
    """(milliseconds, number of decisions with this time), not limited to `MAX_ACTIVE_MS`, in ascending order."""

    @property
    def per_hour(self) -> float | None:
        """Decisions per hour of active time."""
        return 3_600_000 * self.timed_decisions / self.active_ms if self.active_ms else None

    @property
    def median_ms(self) -> int | None:
        """Median time of a decision, without the limit; the lower one of two middle values."""
        half, cumulated = (self.timed_decisions + 1) // 2, 0
        for milliseconds, number in self.lengths:
            cumulated += number
            if cumulated >= half:
                return milliseconds
        return None

    def hours_for(self, votes: int) -> float | None:
        """Return the hours of active time for this number of votes at this speed; None: unknown."""
        return votes * self.active_ms / (3_600_000 * self.votes) if self.active_ms and self.votes else None

    def figures(self) -> dict[str, float | int | None]:
        """Return the figures for `--json`."""
        return {
            "looks": self.timed_decisions,
            "votes": self.votes,
            "active_ms": self.active_ms,
            "median_ms": self.median_ms,
            "per_hour": self.per_hour,
        }

    def after(self, milliseconds: int) -> AnnotationSpeed:
        """Return the speed after one more decision; `votes` and `lengths` are not updated."""
        return replace(
            self, timed_decisions=self.timed_decisions + 1, active_ms=self.active_ms + min(milliseconds, MAX_ACTIVE_MS)
        )


def speeds(connection: Connection) -> dict[str, AnnotationSpeed]:
    """Return the speed of each annotator by name; counts over all events."""
    rows = sorted(tuple(row) for row in connection.execute(_ALL))
    return {
        actor: _speed((milliseconds, decisions, votes) for _, milliseconds, decisions, votes in group)
        for actor, group in groupby(rows, key=itemgetter(0))
    }


def own_speed(connection: Connection, actor: str) -> AnnotationSpeed:
    """Return one annotator's speed without `votes` and `lengths`; counts over that annotator's decisions."""
    row = connection.execute(_OWN, {"actor": actor}).one()
    return AnnotationSpeed(timed_decisions=row.decisions, active_ms=row.active)


def session_speed(connection: Connection, actor: str, session: str) -> AnnotationSpeed:
    """Return one annotator's speed in a session."""
    rows = connection.execute(_OF_SESSION, {"actor": actor, "session": session})
    return _speed((milliseconds, decisions, votes) for milliseconds, decisions, votes in rows)


def combined(each: Iterable[AnnotationSpeed]) -> AnnotationSpeed:
    """Combine the speeds of several annotators."""
    all_speeds = list(each)
    lengths: defaultdict[int, int] = defaultdict(int)
    for speed in all_speeds:
        for milliseconds, number in speed.lengths:
            lengths[milliseconds] += number
    return AnnotationSpeed(
        sum(speed.timed_decisions for speed in all_speeds),
        sum(speed.votes for speed in all_speeds),
        sum(speed.active_ms for speed in all_speeds),
        tuple(sorted(lengths.items())),
    )


def _speed(rows: Iterable[tuple[int, int, int]]) -> AnnotationSpeed:
    """Build a speed from rows of (milliseconds, decisions, votes among them), in ascending order."""
    counted = list(rows)
    return AnnotationSpeed(
        sum(decisions for _, decisions, _ in counted),
        sum(votes for _, _, votes in counted),
        sum(min(milliseconds, MAX_ACTIVE_MS) * decisions for milliseconds, decisions, _ in counted),
        tuple((milliseconds, decisions) for milliseconds, decisions, _ in counted),
    )
