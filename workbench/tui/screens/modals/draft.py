"""Dialogs that write to the record: they close after the write, and keep the draft if the record refuses it.

The record may be busy for seconds, so the write runs in a worker. Until it ends no key is accepted, neither as a letter
nor as the escape that would discard the draft.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from textual.content import Content
from textual.widgets import Input, Static

from curation_db.language.sanitize import display_text
from workbench.tui.rendering.card_content import QUIET, WARN
from workbench.tui.screens.modals.dialog import Dialog

T = TypeVar("T")
_SLOW_SECONDS = 0.5

Save = Callable[[T], Awaitable[str | None]]
"""Writes a draft; returns a one-line reason if that fails, else None."""


class DraftDialog(Dialog[bool]):
    """Dismissed with True after the write, and with False on cancel after a refused write."""

    DEFAULT_CSS = "DraftDialog #refusal { display: none; }"

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self._writing = self._written = self._refused = False

    def refusal(self) -> Static:
        """Return the line for the reason of a refused write, for `compose_body`."""
        return Static(id="refusal", markup=False)

    def write(self, save: Save[T], draft: T) -> None:
        """Save `draft` and close, or show the reason of the failure; one write at a time."""
        if not (self._writing or self._written):
            self._writing = True
            self.run_worker(self._write(save, draft))

    async def _write(self, save: Save[T], draft: T) -> None:
        field = self.focused
        self.set_focus(None)
        slow = self.set_timer(_SLOW_SECONDS, lambda: self._show_line(Content.styled("waiting for the record …", QUIET)))
        problem = await save(draft)
        slow.stop()
        self._writing = False
        if problem is None:
            self._written = True
            self.leave(True)
            return
        self._refused = True
        self._show_line(Content.styled(f"⚠ not saved: {display_text(problem, limit=300)}", WARN))
        if isinstance(field, Input):
            field.select_on_focus = False  # or the next letter would replace the whole text
        self.set_focus(field)

    def action_cancel(self) -> None:
        """Cancel, except during a write, whose result would be unknown."""
        if not self._writing:
            self.leave(False if self._refused else None)

    def on_screen_resume(self) -> None:
        """Close if a screen above, such as the one for small terminals, prevented it."""
        if self._written:
            self.leave(True)

    def _show_line(self, content: Content) -> None:
        line = self.query_one("#refusal", Static)
        line.update(content)
        line.display = True
