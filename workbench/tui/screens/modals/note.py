"""Dialog for a note about the card."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Input

from workbench.tui.screens.modals.draft import DraftDialog
from workbench.tui.widgets.draft import Save


class NoteModal(DraftDialog):
    """Closes once the note is stored."""

    def __init__(self, save: Save[str]) -> None:
        super().__init__("a note about this card")
        self._save = save

    def compose_body(self) -> ComposeResult:
        yield Input(placeholder="what should others know?", max_length=2_000, id="note")
        yield self.refusal()
        yield self.foot("enter save · esc cancel")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        note = event.value.strip()
        if note:
            self.write(self._save, note)
        else:
            self.action_cancel()
