"""A note about the card."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Input

from workbench.tui.screens.modals.draft import DraftDialog, Save


class NoteModal(DraftDialog):
    """Closes once the note is kept."""

    def __init__(self, save: Save[str]) -> None:
        super().__init__("a note about this card")
        self._save = save

    def compose_body(self) -> ComposeResult:
        """One line to write in."""
        yield Input(placeholder="what should others know?", max_length=2_000, id="note")
        yield self.refusal()
        yield self.foot("enter keeps it · esc leaves")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter."""
        event.stop()
        words = event.value.strip()
        if words:
            self.write(self._save, words)
        else:
            self.action_cancel()
