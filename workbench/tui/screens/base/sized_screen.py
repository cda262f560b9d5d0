"""A screen that ignores events about a size that the terminal has no longer.

Textual lays a screen out at the size of each Resize event, and each layout at another size posts the next event. Two
sizes in the queue at once, as while a window is dragged, would follow each other without end.
"""

from __future__ import annotations

from textual import events
from textual.screen import Screen

from workbench.tui.screens.base.removal_guard import RemovalGuard


class SizedScreen(RemovalGuard, Screen[None]):
    """Base class of screens."""

    def _on_resize(self, event: events.Resize) -> None:  # type: ignore[override]  # Textual calls those of all classes
        """Drop an event whose size is not that of the app."""
        if event.size != self.app.size:
            event.stop()
            event.prevent_default()
