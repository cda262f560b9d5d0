"""Writing a draft to the record: the fields close after the write, and keep the draft if the record refuses it.

The record may be busy for seconds, so the write runs in a worker. Until it ends no key is accepted, neither as a letter
nor as the escape that would discard the draft.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from curation_db.language.sanitize import display_text
from workbench.tui.rendering.card_content import QUIET, WARN

T = TypeVar("T")
_SLOW_SECONDS = 0.5

Save = Callable[[T], Awaitable[str | None]]
"""Writes a draft; returns a one-line reason if that fails, else None."""


class RefusalLine(Static):
    """The reason of a refused write; hidden without one."""

    DEFAULT_CSS = "RefusalLine { height: auto; max-height: 3; display: none; }"

    def __init__(self) -> None:
        super().__init__(markup=False)

    def show(self, content: Content | None) -> None:
        self.display = content is not None
        self.update(content or Content(""))


class DraftWriter:
    """Writes the draft of one widget, one write at a time."""

    def __init__(self, owner: Widget, finish: Callable[[bool | None], None]) -> None:
        """Args:
        owner: The widget with the fields and a `RefusalLine`.
        finish: Closes the fields. True: written; False: cancelled after a refused write; None: cancelled.
        """
        self._owner, self._finish = owner, finish
        self.is_writing = self.is_written = self._is_refused = False

    def write(self, save: Save[T], draft: T) -> None:
        """Save `draft` and close, or show the reason of the failure."""
        if not (self.is_writing or self.is_written):
            self.is_writing = True
            self._owner.run_worker(self._write(save, draft))

    async def _write(self, save: Save[T], draft: T) -> None:
        screen, line = self._owner.screen, self._owner.query_one(RefusalLine)
        field = screen.focused
        screen.set_focus(None)
        slow = self._owner.set_timer(
            _SLOW_SECONDS, lambda: line.show(Content.styled("waiting for the record …", QUIET))
        )
        problem = await save(draft)
        slow.stop()
        self.is_writing = False
        if problem is None:
            self.is_written = True
            self._finish(True)
            return
        self._is_refused = True
        line.show(Content.styled(f"⚠ not saved: {display_text(problem, limit=300)}", WARN))
        if isinstance(field, Input):
            field.select_on_focus = False  # or the next letter would replace the whole text
        screen.set_focus(field)

    def cancel(self) -> None:
        """Cancel, except during a write, whose result would be unknown."""
        if not self.is_writing:
            self._finish(False if self._is_refused else None)
