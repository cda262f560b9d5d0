"""Dialog that shows the command line of an act that the app leaves to the shell."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.widgets import Static

from curation_db.language.sanitize import display_text
from workbench.tui.screens.modals.dialog import Dialog


class CommandLineModal(Dialog[None]):
    """The command line can be copied; it is not run."""

    DEFAULT_CSS = "CommandLineModal #command-line { color: $text-accent; text-style: bold; margin: 1 0 0 2; }"
    BINDINGS: ClassVar = [("y", "copy", "copy"), ("q,enter", "cancel", "close")]

    def __init__(self, title: str, line: str, help_text: str) -> None:
        super().__init__(title)
        self._line, self._help = line, help_text

    def compose_body(self) -> ComposeResult:
        yield Static(f"{self._help}. Run it in a shell; annotation can go on meanwhile:", markup=False)
        yield Static(display_text(self._line, limit=400), id="command-line", markup=False)
        yield self.foot("y copy the command line · esc close")

    def action_copy(self) -> None:
        """Copy the line to the clipboard of the terminal (OSC 52)."""
        self.app.copy_to_clipboard(self._line)
        self.query_one(".dialog-foot", Static).update("copied · esc close")
