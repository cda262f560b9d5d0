"""The question after `x`: the reason of a rejection, inline over the card; one key or click per reason."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from workbench.workspace.keymap import Action, ActionMap, KeyScope


class ReasonEntry(Static):
    def __init__(self, action: Action, cap: str, width: int) -> None:
        content = Content.assemble((f" {cap:<{width}} ", "bold $text-accent"), action.help)
        super().__init__(content, markup=False, classes="reason")
        self._action = action

    def on_click(self, event: events.Click) -> None:
        """Run the action of the reason's key."""
        event.stop()
        self.call_later(self.screen.run_action, self._action.call)


class ReasonStrip(Vertical):
    """All answers to a question, one per line; `place` is the question's scope."""

    DEFAULT_CSS = """
    ReasonStrip {
        layer: above; dock: bottom; height: auto; display: none; padding: 0 1;
        background: $panel; border: round $accent; border-title-color: $text-accent;
    }
    ReasonStrip > .reason { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    ReasonStrip > .reason:hover { background: $boost; text-style: bold; }
    """

    def __init__(
        self,
        actions: ActionMap,
        *,
        place: KeyScope = KeyScope.REASON,
        title: str = "reject because",
        id: str = "reasons",
    ) -> None:
        super().__init__(id=id)
        self._actions, self.place = actions, place
        self.border_title = title

    def compose(self) -> ComposeResult:
        """Compose an entry per answer, and one for cancelling."""
        listed = [(action, self._actions.cap(action)) for action in self._actions.at(self.place)]
        width = max(len(cap) for _, cap in listed)
        for action, cap in listed:
            yield ReasonEntry(action, cap, width)
