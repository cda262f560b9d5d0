"""A screen that ignores events about a size that the terminal has no longer.

Textual lays a screen out at the size of each Resize event, and each layout at another size posts the next event. Two
sizes in the queue at once, as while a window is dragged, would follow each other without end.
"""

from __future__ import annotations

from textual import events
from textual.screen import Screen


class SizedScreen(Screen[None]):
    """Base class of screens."""

    @property
    def is_whole(self) -> bool:
        """Whether all widgets are mounted.

        An app that is just ending opens a screen without any, and `display` is False while the widgets of a screen are
        removed one by one.
        """
        return bool(self.children) and self.display

    def _on_resize(self, event: events.Resize) -> None:  # type: ignore[override]  # Textual calls those of all classes
        """Drop an event whose size is not that of the app."""
        if event.size != self.app.size:
            event.stop()
            event.prevent_default()
