"""Dialog for choosing one of a few values, with a live preview where the value is visible at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from workbench.tui.rendering.card_content import QUIET
from workbench.tui.screens.modals.dialog import Dialog
from workbench.workspace.settings.catalog import Choice


class ChooseModal(Dialog[str]):
    """Dismissed with the chosen value."""

    DEFAULT_CSS = """
    ChooseModal #choices { height: auto; max-height: 60vh; background: $surface; border: none; padding: 0; }
    ChooseModal #choices > .option-list--option-highlighted {
        background: $primary 22%; color: $foreground; text-style: bold;
    }
    """
    BINDINGS: ClassVar = [("j", "move(1)", "next"), ("k", "move(-1)", "previous"), ("q", "cancel", "cancel")]

    def __init__(
        self,
        title: str,
        choices: Sequence[Choice],
        now: str,
        *,
        preview: Callable[[str], None] | None = None,
        foot: str = "↑ ↓ choose · enter save in negwb.toml · esc cancel",
    ) -> None:
        """`now`: initial position of the cursor, and the value that `preview` gets on cancel."""
        super().__init__(title)
        self._foot = foot
        self._choices = choices
        self._now = now
        self._preview = preview

    def compose_body(self) -> ComposeResult:
        width = max(len(choice.value) for choice in self._choices) + 3
        options = [
            Option(Content.assemble(f"{choice.value:<{width}}", (choice.help, QUIET)), id=choice.value)
            for choice in self._choices
        ]
        yield OptionList(*options, id="choices", markup=False, compact=True)
        yield self.foot(self._foot)

    def on_mount(self) -> None:
        listed = self.query_one(OptionList)
        at = next((at for at, choice in enumerate(self._choices) if choice.value == self._now), 0)
        listed.highlighted = at
        listed.focus()

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        if self._preview is not None and event.option.id is not None and self.is_active:
            self._preview(event.option.id)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.leave(event.option.id)

    def action_move(self, by: int) -> None:
        listed = self.query_one(OptionList)
        (listed.action_cursor_down if by > 0 else listed.action_cursor_up)()

    def action_cancel(self) -> None:
        """Restore the previous value."""
        if self._preview is not None:
            self._preview(self._now)
        super().action_cancel()
