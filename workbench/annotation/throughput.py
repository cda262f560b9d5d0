"""How the work goes: a person's speed and last decisions, counted along. Pure; the clock is handed in."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from curation_db.enums import Kind
from curation_db.events.hasty import HASTY_MS, JUDGING_KINDS
from curation_db.stats.decision_speed import AnnotationSpeed

_FEWEST = 3
"""Looks before a speed is shown."""
STREAK = 6


@dataclass(frozen=True, slots=True)
class ThroughputSnapshot:
    """What the status line says about the work."""

    decided: int = 0
    """Candidates of the workspace about which nobody is asked any more."""
    total: int = 0
    per_hour: int | None = None
    """The person's decisions per hour of active time (`curation_db.stats.decision_speed`); None before there are a
    few."""
    streak: tuple[Kind, ...] = ()
    """The person's last decisions, oldest first."""
    hasty: bool = False
    """The last decision came sooner than its picture can be seen."""


class ThroughputMeter:
    """One person's speed and last decisions."""

    def __init__(self) -> None:
        self.speed = AnnotationSpeed()
        """Over everything that this person has decided, as everywhere else."""
        self.streak: deque[Kind] = deque(maxlen=STREAK)
        self.hasty = False
        """True from the first decision of a burst that came too soon until one that did not: it is said once."""

    def decided(self, kind: Kind, elapsed_ms: int, *, first_look: bool = False) -> None:
        """A decision after looking at the card for so long, as the event holds it.

        `first_look`: its picture was not seen before. Only then can it be too soon; what is skipped is not judged.
        """
        if kind in JUDGING_KINDS:
            self.hasty = first_look and elapsed_ms < HASTY_MS
        self.speed = self.speed.after(elapsed_ms)
        self.streak.append(kind)

    @property
    def per_hour(self) -> int | None:
        """Decisions per hour of active time."""
        figure = self.speed.per_hour
        return None if figure is None or self.speed.timed_decisions < _FEWEST else round(figure)
