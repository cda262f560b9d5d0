"""Base class of dialogs with a list and input fields: the arrow keys move in the list while the focus is in a field."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.widgets import OptionList

from workbench.tui.screens.modals.dialog import Dialog, T


class ListForm(Dialog[T]):
    """`compose_body` composes one `OptionList`."""

    DEFAULT_CSS = """
    ListForm OptionList { height: auto; max-height: 30vh; background: $surface; border: none; padding: 0; }
    ListForm OptionList > .option-list--option-highlighted { text-style: bold underline; }
    ListForm .dialog-label { margin-top: 1; }
    ListForm Input { height: 1; border: none; padding: 0 1; }
    ListForm Input:focus { border: none; background: $boost; }
    """
    BINDINGS: ClassVar = [("down", "move(1)", "next"), ("up", "move(-1)", "previous")]

    @property
    def options(self) -> OptionList:
        return self.query_one(OptionList)

    def on_mount(self) -> None:
        self.options.can_focus = False

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Only highlight the clicked option."""
        event.stop()

    def on_click(self, event: events.Click) -> None:
        """Keep clicks from the screen behind the dialog."""
        event.stop()

    def action_move(self, by: int) -> None:
        (self.options.action_cursor_down if by > 0 else self.options.action_cursor_up)()
