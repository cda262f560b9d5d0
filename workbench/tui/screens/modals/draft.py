"""Dialogs that write into the record: they close once it has what was typed, and keep every letter while it refuses.

The record may be busy for seconds, so the writing runs beside the dialog's own messages; meanwhile no key is taken,
neither as a letter nor as the escape that would throw the draft away.
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
"""Writes what was typed; returns why that could not be done, in a line, or None."""


class DraftDialog(Dialog[bool]):
    """Dismissed with True when what was typed is on the disk, with False when it was given up after a refusal."""

    DEFAULT_CSS = "DraftDialog #refusal { display: none; }"

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self._writing = self._written = self._refused = False

    def refusal(self) -> Static:
        """The line that says why the record refused, for `compose_body`."""
        return Static(id="refusal", markup=False)

    def write(self, save: Save[T], draft: T) -> None:
        """Save `draft` and close, or say why not; once at a time, however often the key is pressed."""
        if not (self._writing or self._written):
            self._writing = True
            self.run_worker(self._write(save, draft))

    async def _write(self, save: Save[T], draft: T) -> None:
        field = self.focused
        self.set_focus(None)
        slow = self.set_timer(_SLOW_SECONDS, lambda: self._say(Content.styled("waiting for the record …", QUIET)))
        refused = await save(draft)
        slow.stop()
        self._writing = False
        if refused is None:
            self._written = True
            self.leave(True)
            return
        self._refused = True
        self._say(Content.styled(f"⚠ not saved: {display_text(refused, limit=300)}", WARN))
        if isinstance(field, Input):
            field.select_on_focus = False  # or the next letter would replace all of it
        self.set_focus(field)

    def action_cancel(self) -> None:
        """Leave without it; not while it is being written, for nobody would know whether it was."""
        if not self._writing:
            self.leave(False if self._refused else None)

    def on_screen_resume(self) -> None:
        """Something that lay above, such as a window too small, kept it from closing."""
        if self._written:
            self.leave(True)

    def _say(self, content: Content) -> None:
        line = self.query_one("#refusal", Static)
        line.update(content)
        line.display = True
