"""How a sitting goes: speed and the last decisions. Pure; the clock is handed in.

Speed counts the time that cards were looked at, each for at most a minute: a coffee does not make anybody slow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from curation_db.words import Kind

LONGEST_LOOK = 60.0
"""Seconds of one card that count at most."""
HASTY_SECONDS = 0.4
"""Saying of a photograph whether something is in it takes people 0.4 s and more when they do nothing else; whoever
decides about a picture and a sentence sooner has not seen them."""
_WINDOW = 50
_FEWEST = 3
STREAK = 6

_JUDGED = frozenset({Kind.ACCEPT, Kind.REJECT, Kind.UNSURE})

GLYPHS: dict[Kind, str] = {
    Kind.ACCEPT: "✓",
    Kind.REJECT: "✗",
    Kind.UNSURE: "?",
    Kind.SKIP: "·",
    Kind.EDIT: "✎",
}
DEEDS: dict[Kind, str] = {
    Kind.ACCEPT: "accepted",
    Kind.REJECT: "rejected",
    Kind.EDIT: "edited",
    Kind.UNSURE: "unsure",
    Kind.SKIP: "skipped",
}
"""What a person did, as it is counted and looked back at."""


def sitting_in_words(counts: Mapping[Kind, int], *, glyphs: bool = False) -> list[str]:
    """A sitting's decisions, each kind with its number; what did not occur is left out."""
    found = [(kind, deed, counts[kind]) for kind, deed in DEEDS.items() if counts.get(kind)]
    return [f"{GLYPHS[kind]} {number:,} {deed}" if glyphs else f"{number:,} {deed}" for kind, deed, number in found]


@dataclass(frozen=True, slots=True)
class Progress:
    """What the status line says about the work."""

    decided: int = 0
    """Candidates of the workspace about which nobody is asked any more."""
    total: int = 0
    per_hour: int | None = None
    """Decisions per hour at this sitting's pace; none before there are a few."""
    streak: tuple[Kind, ...] = ()
    """The person's last decisions, oldest first."""
    hasty: bool = False
    """The last decision came sooner than its picture can be seen."""


class Pace:
    """Looks and decisions of one sitting."""

    def __init__(self) -> None:
        self._looks: deque[float] = deque(maxlen=_WINDOW)
        self.streak: deque[Kind] = deque(maxlen=STREAK)
        self.hasty = False
        """True from the first decision of a burst that came too soon until one that did not: it is said once."""

    def decided(self, kind: Kind, seconds: float, *, first_look: bool = False) -> None:
        """A decision after looking at the card for so long.

        `first_look`: its picture was not seen before. Only then can it be too soon; what is skipped is not judged.
        """
        if kind in _JUDGED:
            self.hasty = first_look and seconds < HASTY_SECONDS
        self._looks.append(min(seconds, LONGEST_LOOK))
        self.streak.append(kind)

    @property
    def per_hour(self) -> int | None:
        """Decisions per hour over the last fifty."""
        spent = sum(self._looks)
        if len(self._looks) < _FEWEST or spent <= 0:
            return None
        return round(3600 * len(self._looks) / spent)
