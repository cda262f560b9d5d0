"""Screens on which keys decide about a card: they know when the card is drawn, and drop keys pressed before.

`CardVisibility` holds the rule; the app asks the terminal for its cursor position.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from textual.errors import NoWidget
from textual.reactive import Reactive
from textual.widget import Widget

from curation_db.enums import REASON_KEYS
from workbench.annotation.key_guard import KeyTooEarly
from workbench.tui.frame_diff import StripsUpdate, changed_strips
from workbench.tui.screens.base.sized_screen import SizedScreen
from workbench.tui.widgets.card.field import TrackedText
from workbench.tui.widgets.picture import PicturePane

if TYPE_CHECKING:
    from workbench.annotation.key_guard import CardVisibility

EARLY_KEY_MESSAGES = {
    KeyTooEarly.NEW: "card just appeared: key ignored",
    KeyTooEarly.BEHIND: "screen is behind: key ignored",
}
"""Message about a key that was dropped."""
BEHIND = "screen is behind"
_ASK_REASON = "ask_reason"
_MOVES_FOCUS = frozenset({"focus_next", "focus_previous"})
_REASON_KEY_SECONDS = 0.4
"""A reason key this soon after a dropped `x` belongs to that `x` and is dropped, too."""


class DecisionScreen(SizedScreen):
    """Base class: subclasses set `visibility` and `DECIDING`, and show messages about dropped keys."""

    focused: Reactive[Widget | None] = Reactive(None, repaint=False)
    """As Textual's, but a change draws only the widgets that get or lose the focus, not the whole screen."""

    DECIDING: frozenset[str] = frozenset()
    """Actions that decide about the card or begin a decision."""

    card_visibility: CardVisibility
    _question_dropped_at: float | None = None
    _looked_up: tuple[int, tuple[list[TrackedText], list[PicturePane]]] | None = None

    @property
    def asks_question(self) -> bool:
        """Whether a question is open, such as the reason of a rejection; then only its keys apply."""
        raise NotImplementedError

    def offers(self, action: str) -> bool:
        """Return whether an action of the app applies at the moment."""
        return not self.asks_question or action in _MOVES_FOCUS

    def track_card(self, card: int | None, *, known: bool = False) -> None:
        """Register the card that is about to be drawn; `known`: the annotator has seen it before."""
        self.card_visibility.turn_to(card, time.monotonic(), known=known)

    @property
    def is_card_drawn(self) -> bool:
        """Whether the last frame holds the newest content of the card's visible widgets."""
        texts, panes = self._card_widgets
        waiting: list[Widget] = [each for each in texts if each.is_stale]
        waiting += [each for each in panes if each.is_stale]
        return not all(text.is_stale for text in texts) and not any(self._is_visible(each) for each in waiting)

    @property
    def _card_widgets(self) -> tuple[list[TrackedText], list[PicturePane]]:
        """The texts and images of the card; looked up again after a widget was mounted, removed, shown or hidden."""
        if self._looked_up is None or self._looked_up[0] != self._nodes._updates:
            self._looked_up = self._nodes._updates, (list(self.query(TrackedText)), list(self.query(PicturePane)))
        return self._looked_up[1]

    def draw_now(self) -> None:
        """Draw what has changed, at once.

        Textual collects a message from each changed widget and draws with the next tick of its timer, up to 33 ms
        after the frame before. A changed layout is left to it.
        """
        widgets = list(self._compositor.visible_widgets)
        if not self.is_current or self._layout_required or any(widget._layout_required for widget in widgets):
            return
        for widget in widgets:
            if widget._repaint_required:
                widget._repaint_required = False
                self._dirty_widgets.add(widget)
        self._on_timer_update()

    def _compositor_refresh(self) -> None:
        """Draw what has changed; without Textual's compositor, unless that is the whole screen."""
        app: Any = self.app  # Textual's type for what it displays lacks its own updates
        is_alone = self is app.screen and not app.is_inline and not app._background_screens
        strips = changed_strips(self._compositor) if is_alone else None
        if strips is None:
            super()._compositor_refresh()
            return
        self._dirty_widgets.clear()
        if strips:
            app._display(self, StripsUpdate(strips))
        app._update_mouse_over(self)

    def _is_visible(self, widget: Any) -> bool:
        try:
            return bool(self.find_widget(widget).visible_region)
        except NoWidget:
            return False

    def may_press(self, key: str, pressed_at: float) -> bool:
        """Return whether a key may have its effect. A key that may not is dropped, with a message."""
        actions = {bound.action.partition("(")[0] for bound in self._bindings.key_to_bindings.get(key, [])}
        applying = {action for action in actions if self.check_action(action, ()) is not False}
        if self._is_reason_of_dropped_key(key, pressed_at):
            return False
        self._question_dropped_at = None
        early = self.card_visibility.early(pressed_at) if applying & self.DECIDING else None
        if early is not None and _ASK_REASON in applying:
            self._question_dropped_at = pressed_at
        self.show_early_key(early)
        return early is None

    def _is_reason_of_dropped_key(self, key: str, pressed_at: float) -> bool:
        """Return whether this is the reason key of a rejection whose `x` was dropped."""
        first, self._question_dropped_at = self._question_dropped_at, None
        return first is not None and pressed_at - first < _REASON_KEY_SECONDS and key in REASON_KEYS

    def show_early_key(self, early: KeyTooEarly | None) -> None:
        """Show why a key was dropped; None clears the message about an earlier key."""
        raise NotImplementedError

    def show_lag(self) -> None:
        """Show whether the screen is behind the terminal."""
        raise NotImplementedError
