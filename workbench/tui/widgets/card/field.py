"""A text of a card that knows whether it was drawn."""

from __future__ import annotations

from textual.content import Content
from textual.geometry import Region
from textual.strip import Strip
from textual.widgets import Static


class TrackedText(Static):
    """A text that knows whether its newest content has been drawn."""

    is_stale = False
    """Whether its newest content is not in any frame yet."""

    def set_content(self, content: Content) -> None:
        self.is_stale = True
        self.update(content)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the lines of the next frame."""
        self.is_stale = False
        return super().render_lines(crop)
