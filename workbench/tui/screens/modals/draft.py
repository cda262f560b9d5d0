"""Dialogs that write to the record: they close after the write, and keep the draft if the record refuses it."""

from __future__ import annotations

from typing import TypeVar

from workbench.tui.screens.modals.dialog import Dialog
from workbench.tui.widgets.draft import DraftWriter, RefusalLine, Save

T = TypeVar("T")


class DraftDialog(Dialog[bool]):
    """Dismissed with True after the write, and with False on cancel after a refused write."""

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self._writer = DraftWriter(self, self.leave)

    def refusal(self) -> RefusalLine:
        """Return the line for the reason of a refused write, for `compose_body`."""
        return RefusalLine()

    def write(self, save: Save[T], draft: T) -> None:
        """Save `draft` and close, or show the reason of the failure."""
        self._writer.write(save, draft)

    def action_cancel(self) -> None:
        self._writer.cancel()

    def on_screen_resume(self) -> None:
        """Close if a screen above, such as the one for small terminals, prevented it."""
        if self._writer.is_written:
            self.leave(True)
