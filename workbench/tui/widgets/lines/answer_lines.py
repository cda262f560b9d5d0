"""The answers to a question in two lines, for a screen whose image must not be covered."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.widget import Widget

from workbench.workspace.keymap import Action, ActionMap, KeyScope

_GAP = 2
_ROWS = 2


class AnswerLines(Widget):
    """Two lines of keys and labels; a click on an entry runs its action."""

    DEFAULT_CSS = f"AnswerLines {{ height: {_ROWS}; padding: 0 1; background: $panel; display: none; }}"

    def __init__(self, actions: ActionMap, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._actions = actions
        self._entries: list[Action] = []
        self._spans: list[tuple[int, int, int, Action]] = []
        """Row, first and last column of each entry."""

    def show(self, place: KeyScope) -> None:
        """Show the answers of a question; unlike key hints, none is left out."""
        self._entries = self._actions.at(place)
        self.refresh()

    def render(self) -> Content:
        """Render the entries in reading order, the second line with those that do not fit the first."""
        width, rows = self.content_size.width, [Content("")]
        self._spans = []
        for action in self._entries:
            cap = self._actions.cap(action)
            entry = Content.assemble((cap, "bold $text-accent"), " ", action.label)
            if rows[-1] and rows[-1].cell_length + _GAP + entry.cell_length > width and len(rows) < _ROWS:
                rows.append(Content(""))
            start = rows[-1].cell_length + (_GAP if rows[-1] else 0)
            self._spans.append((len(rows) - 1, start, start + entry.cell_length, action))
            rows[-1] = Content.assemble(rows[-1], " " * (start - rows[-1].cell_length), entry)
        return Content("\n").join(rows)

    def on_click(self, event: events.Click) -> None:
        """Run the clicked action."""
        x = event.x - self.styles.padding.left
        for row, start, end, action in self._spans:
            if row == event.y and start <= x < end:
                self.call_later(self.screen.run_action, action.call)
