"""Screens on which keys decide about a card: they know when the card is drawn, and drop the keys that came before.

`CardVisibility` holds the rule, the app asks the terminal; see there.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from textual.errors import NoWidget
from textual.screen import Screen

from curation_db.enums import REASON_KEYS
from workbench.annotation.key_guard import KeyTooEarly
from workbench.tui.widgets.field import Words
from workbench.tui.widgets.picture import PicturePane

if TYPE_CHECKING:
    from workbench.annotation.key_guard import CardVisibility

SAID = {
    KeyTooEarly.NEW: "card just appeared: that key did nothing",
    KeyTooEarly.BEHIND: "screen is behind: that key did nothing",
}
"""What the person is told about a key that was dropped."""
BEHIND = "screen is behind"
_QUESTION = "ask_reason"
_SECOND_HALF_SECONDS = 0.4
"""A reason key that comes so soon after a dropped `x` belongs to it."""


class DecisionScreen(Screen[None]):
    """Give it `sight`, the actions that decide, and the ways to tell the person something."""

    DECIDING: frozenset[str] = frozenset()
    """Actions that decide about the card, or begin to."""

    card_visibility: CardVisibility
    _question_dropped_at: float | None = None

    def look_at(self, card: int | None, *, known: bool = False) -> None:
        """This card is about to be drawn; `known`: the person saw it before."""
        self.card_visibility.turn_to(card, time.monotonic(), known=known)

    @property
    def is_card_drawn(self) -> bool:
        """Whether the last frame holds what the card's widgets were given last, as far as it fits on the screen."""
        words = list(self.query(Words))
        waiting = [*(each for each in words if each.is_stale), *(p for p in self.query(PicturePane) if p.is_stale)]
        return len(waiting) < len(words) and not any(self._is_visible(each) for each in waiting)

    def _is_visible(self, widget: Any) -> bool:
        try:
            return bool(self.find_widget(widget).visible_region)
        except NoWidget:
            return False

    def may_press(self, key: str, pressed_at: float) -> bool:
        """Whether a key may have its effect. A key that may not is dropped, and the person is told."""
        actions = {bound.action.partition("(")[0] for bound in self._bindings.key_to_bindings.get(key, [])}
        applying = {action for action in actions if self.check_action(action, ()) is not False}
        if self._is_second_half(key, pressed_at):
            return False
        self._question_dropped_at = None
        early = self.card_visibility.early(pressed_at) if applying & self.DECIDING else None
        if early is not None and _QUESTION in applying:
            self._question_dropped_at = pressed_at
        self.tell_early(early)
        return early is None

    def _is_second_half(self, key: str, pressed_at: float) -> bool:
        """Whether this is the reason of a rejection whose first key was dropped; elsewhere it means other things."""
        first, self._question_dropped_at = self._question_dropped_at, None
        return first is not None and pressed_at - first < _SECOND_HALF_SECONDS and key in REASON_KEYS

    def tell_early(self, early: KeyTooEarly | None) -> None:
        """Say that a key was dropped, and why; None: it was not, and what was said about an earlier one goes."""
        raise NotImplementedError

    def tell_behind(self) -> None:
        """Say whether the screen is behind."""
        raise NotImplementedError
