"""Below 60x20 a card cannot be judged: this screen says so, and goes away when there is room again."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.geometry import Size
from textual.screen import Screen
from textual.widgets import Static

SMALLEST = Size(60, 20)


def too_small(size: Size) -> bool:
    """Whether `size` is too small to work in."""
    return size.width < SMALLEST.width or size.height < SMALLEST.height


class TooSmallScreen(Screen[None]):
    """Covers whatever is below; no key but quitting reaches it."""

    DEFAULT_CSS = "TooSmallScreen { align: center middle; } TooSmallScreen Static { width: auto; text-align: center; }"

    def compose(self) -> ComposeResult:
        """One sentence, two lines."""
        yield Static(f"negwb needs {SMALLEST.width} × {SMALLEST.height}\nmake the window larger", markup=False)
