"""Speed: decisions per hour of active time. The one figure for how fast people are, wherever it is shown.

It is over all decisions that were timed, those that were taken back or replaced too: time went into them. Active time
is the time on cards (`Event.elapsed_ms`), of each at most `MAX_ACTIVE_MS`.
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
"""Milliseconds of one card that count at most as active time: a coffee does not make anybody slow."""
NAME: Final = "decisions per hour of active time"
"""What the figure is called where there is room for it."""

# An edit is one act of two events where it also accepts its child; the time stands with both.
_TIMED = f"e.kind IN ({DECISIONS_SQL}) AND e.uid = e.act AND e.elapsed_ms IS NOT NULL AND e.role IN {PERSON_ROLES_SQL}"
_VOTE = f"e.kind IN ('accept', 'reject', 'edit') AND {in_force_sql()}"
_ALL = text(f"""
    SELECT e.actor, e.elapsed_ms, count(*) AS looks, sum({_VOTE}) AS votes FROM event e WHERE {_TIMED}
    GROUP BY e.actor, e.elapsed_ms
""")
_OWN = text(f"""
    SELECT count(*) AS looks, coalesce(sum(min(e.elapsed_ms, {MAX_ACTIVE_MS})), 0) AS active FROM event e
    WHERE e.actor = :actor AND {_TIMED}
""")


@dataclass(frozen=True, slots=True)
class AnnotationSpeed:
    """How long cards take."""

    timed_decisions: int = 0
    """Decisions of any kind that were timed."""
    votes: int = 0
    """Those that bring the work on: accepts, rejects and edits that are in force."""
    active_ms: int = 0
    """Time on cards, at most `MAX_ACTIVE_MS` each."""
    lengths: tuple[tuple[int, int], ...] = ()
    """(milliseconds, how many looks took so long), uncut, in rising order."""

    @property
    def per_hour(self) -> float | None:
        """Decisions per hour of active time."""
        return 3_600_000 * self.timed_decisions / self.active_ms if self.active_ms else None

    @property
    def median_ms(self) -> int | None:
        """Of all looks, uncut; the lower one of two."""
        half, passed = (self.timed_decisions + 1) // 2, 0
        for milliseconds, number in self.lengths:
            passed += number
            if passed >= half:
                return milliseconds
        return None

    def hours_for(self, votes: int) -> float | None:
        """Hours of active time until so many more votes are in force, at this speed."""
        return votes * self.active_ms / (3_600_000 * self.votes) if self.active_ms and self.votes else None

    def figures(self) -> dict[str, float | int | None]:
        """As `--json` prints it."""
        return {
            "looks": self.timed_decisions,
            "votes": self.votes,
            "active_ms": self.active_ms,
            "median_ms": self.median_ms,
            "per_hour": self.per_hour,
        }

    def after(self, milliseconds: int) -> AnnotationSpeed:
        """With one more look; neither `votes` nor `lengths` is kept up."""
        return replace(
            self, timed_decisions=self.timed_decisions + 1, active_ms=self.active_ms + min(milliseconds, MAX_ACTIVE_MS)
        )


def speeds(connection: Connection) -> dict[str, AnnotationSpeed]:
    """Everybody's, by name; counts over all events."""
    rows = sorted(tuple(row) for row in connection.execute(_ALL))
    return {
        actor: _speed((milliseconds, looks, votes) for _, milliseconds, looks, votes in group)
        for actor, group in groupby(rows, key=itemgetter(0))
    }


def own_speed(connection: Connection, actor: str) -> AnnotationSpeed:
    """One person's, without `votes` and `lengths`; counts over that person's decisions."""
    row = connection.execute(_OWN, {"actor": actor}).one()
    return AnnotationSpeed(timed_decisions=row.looks, active_ms=row.active)


def combined(each: Iterable[AnnotationSpeed]) -> AnnotationSpeed:
    """Of several people as one."""
    all_of = list(each)
    lengths: defaultdict[int, int] = defaultdict(int)
    for speed in all_of:
        for milliseconds, number in speed.lengths:
            lengths[milliseconds] += number
    return AnnotationSpeed(
        sum(speed.timed_decisions for speed in all_of),
        sum(speed.votes for speed in all_of),
        sum(speed.active_ms for speed in all_of),
        tuple(sorted(lengths.items())),
    )


def _speed(rows: Iterable[tuple[int, int, int]]) -> AnnotationSpeed:
    """From (milliseconds, looks that took so long, votes among them), in rising order."""
    counted = list(rows)
    return AnnotationSpeed(
        sum(looks for _, looks, _ in counted),
        sum(votes for _, _, votes in counted),
        sum(min(milliseconds, MAX_ACTIVE_MS) * looks for milliseconds, looks, _ in counted),
        tuple((milliseconds, looks) for milliseconds, looks, _ in counted),
    )
