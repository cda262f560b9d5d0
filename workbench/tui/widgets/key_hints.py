"""The line of key hints, generated from the action registry; a click on an entry runs its action."""

from __future__ import annotations

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.widget import Widget

from workbench.workspace.keymap import Action, ActionMap, KeyScope

_GAP = 3


class KeyHints(Widget):
    """One line of keys; on a narrow screen entries of low weight are left out (the help lists all keys)."""

    DEFAULT_CSS = "KeyHints { height: 1; padding: 0 1; background: $panel; }"

    def __init__(self, actions: ActionMap, place: KeyScope, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._actions = actions
        self._spans: list[tuple[int, int, Action]] = []
        self.show(place)

    def show(self, place: KeyScope) -> None:
        self._entries = [each for each in self._actions.at(place) if each.weight and self._actions.keys(each)]
        self.refresh()

    def render(self) -> Content:
        """Render the entries that fit, in order."""
        shown, gap = self._fitting(self.content_size.width)
        content, at = Content(""), 0
        self._spans = []
        for action in shown:
            cap = self._actions.cap(action)
            entry = Content.assemble((cap, "bold $text-accent"), " ", (action.label, "$foreground 70%"))
            self._spans.append((at, at + entry.cell_length, action))
            content = Content.assemble(content, entry, " " * gap)
            at += entry.cell_length + gap
        return content

    def on_click(self, event: events.Click) -> None:
        """Run the clicked action."""
        x = event.x - self.styles.padding.left
        for start, end, action in self._spans:
            if start <= x < end:
                self.run_later(action)

    def run_later(self, action: Action) -> None:
        """Run an action of the screen after this event."""
        self.call_later(self.screen.run_action, action.call)

    def _fitting(self, width: int) -> tuple[list[Action], int]:
        shown = list(self._entries)
        for gap in (_GAP, 2):
            if self._width(shown, gap) <= width:
                return shown, gap
        while shown and self._width(shown, 2) > width:
            shown.remove(min(reversed(shown), key=lambda action: action.weight))
        return shown, _GAP if self._width(shown, _GAP) <= width else 2

    def _width(self, actions: list[Action], gap: int) -> int:
        entries = [cell_len(self._actions.cap(action)) + 1 + cell_len(action.label) for action in actions]
        return sum(entries) + gap * max(0, len(entries) - 1)
