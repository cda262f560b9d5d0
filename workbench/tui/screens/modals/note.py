"""A note about the card."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Input

from workbench.tui.screens.modals.dialog import Dialog


class NoteModal(Dialog[str]):
    """Dismissed with the words."""

    def __init__(self) -> None:
        super().__init__("a note about this card")

    def compose_body(self) -> ComposeResult:
        """One line to write in."""
        yield Input(placeholder="what should others know?", max_length=2_000, id="note")
        yield self.foot("enter keeps it · esc leaves")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter."""
        event.stop()
        self.leave(event.value.strip() or None)
