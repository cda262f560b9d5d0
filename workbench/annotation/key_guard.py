"""Guard against keys that decide about a card before the annotator can have seen it. Pure; the caller passes times.

A new card must have been on the screen for `GUARD_SECONDS` when the key is pressed. It is on the screen when its frame
is drawn or, where the terminal answers position requests, when the answer to the request after the frame arrives. An
earlier key is dropped, and so are the keys that follow it closely: a key that is held down decides nothing.

Each position request first moves the cursor to another place, which identifies its answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

GUARD_SECONDS: Final = 0.15
"""Between a card's first frame and the first key that may decide about it; reading a caption takes longer."""
PATIENCE_SECONDS: Final = 2.0
"""For a terminal's answer. A terminal that has never answered gets no further request."""
LONG_PATIENCE_SECONDS: Final = 30.0
"""For the answer of a terminal that has answered before, which has a slow connection."""
_ROWS: Final = range(2, 11)
"""Rows of the places, without the first, since CSI 1;2 R is also a key (F3 with shift)."""
_COLUMNS: Final = range(1, 33)


class KeyTooEarly(StrEnum):
    """The reason why a key came too early."""

    BEHIND = "screen is behind"
    """The terminal has not confirmed yet that it has drawn the card."""
    NEW = "card just appeared"


@dataclass(frozen=True, slots=True)
class ScreenPlace:
    """A place on the screen, counted from 1."""

    row: int
    column: int


class CardVisibility:
    """Which cards the annotator has seen on one screen."""

    def __init__(self, guard_seconds: float = GUARD_SECONDS) -> None:
        """`guard_seconds`: 0 turns the guard off, for programs that press keys."""
        self._guard = guard_seconds
        self._card: int | None = None
        self._seen_since: float | None = None
        """The time since which the card is on the screen; None: not yet."""
        self._known: set[int] = set()
        """Cards that were on the screen for long enough."""
        self._asks = False
        self._has_answered = False
        self._requests = 0
        self._awaited: ScreenPlace | None = None
        self._asked_at = 0.0
        self._dropped_at: float | None = None

    @property
    def is_behind(self) -> bool:
        """Whether the terminal has not confirmed yet that it has drawn the card."""
        return self._awaited is not None and self._card is not None and self._seen_since is None

    @property
    def is_seen(self) -> bool:
        """Whether a frame with the card has reached the screen."""
        return self._card is not None and self._seen_since is not None

    @property
    def is_pending(self) -> bool:
        """Whether a card is to be drawn and no frame has it yet."""
        return self._card is not None and self._seen_since is None and self._awaited is None

    @property
    def patience(self) -> float:
        """Seconds to wait for an answer."""
        return LONG_PATIENCE_SECONDS if self._has_answered else PATIENCE_SECONDS

    def turn_to(self, card: int | None, now: float, *, known: bool = False) -> None:
        """Announce the card that is drawn next; None: none. `known`: the annotator has seen it before."""
        if card == self._card and card is not None and not known:
            return
        if self._card is not None and self._seen_since is not None and now - self._seen_since >= self._guard:
            self._known.add(self._card)
        self._card = card
        self._seen_since = now - self._guard if known or card in self._known or self._guard <= 0 else None
        self._awaited = None

    def drawn(self, now: float) -> ScreenPlace | None:
        """Record a drawn frame; return the place of a position request, if one is to be sent.

        Only the first frame of a card counts.
        """
        if not self.is_pending:
            return None
        if self._asks and self._guard > 0:
            return self.request(now)
        self._seen_since = now
        return None

    def request(self, now: float) -> ScreenPlace:
        """Return the place of the next position request. Called when the app starts, and by `drawn`."""
        self._asks = True
        at = self._requests % (len(_ROWS) * len(_COLUMNS))
        self._requests += 1
        self._awaited = ScreenPlace(_ROWS[at // len(_COLUMNS)], _COLUMNS[at % len(_COLUMNS)])
        self._asked_at = now
        return self._awaited

    def reported(self, place: ScreenPlace, at: float) -> None:
        """Record an answer of the terminal. A late answer also shows that the terminal answers."""
        if place.row not in _ROWS or place.column not in _COLUMNS or self._requests == 0:
            return
        self._asks = self._has_answered = True
        if place == self._awaited:
            self._awaited = None
            if self._card is not None and self._seen_since is None:
                self._seen_since = at

    def give_up(self, awaited: ScreenPlace) -> None:
        """Give up waiting: the card counts as drawn at the time of the request, and no further request is sent."""
        if awaited == self._awaited:
            self._awaited, self._asks = None, False
            if self._card is not None and self._seen_since is None:
                self._seen_since = self._asked_at

    def seen_long_enough(self, now: float) -> bool:
        """Return whether the card may be decided about."""
        return self._card is not None and self._reason(now) is None

    def early(self, pressed_at: float) -> KeyTooEarly | None:
        """Return why a key pressed at this time must not decide about the card; None: it may."""
        if self._guard <= 0 or self._card is None:
            return None
        reason = self._reason(pressed_at)
        self._dropped_at = pressed_at if reason else None
        return reason

    def _reason(self, pressed_at: float) -> KeyTooEarly | None:
        if self._seen_since is None:
            return KeyTooEarly.BEHIND if self._awaited is not None else KeyTooEarly.NEW
        held = self._dropped_at is not None and pressed_at - self._dropped_at < self._guard
        return KeyTooEarly.NEW if held or pressed_at - self._seen_since < self._guard else None
