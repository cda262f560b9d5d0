"""Screen that covers the app while the terminal is smaller than 60x20, where a card cannot be judged."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.geometry import Size
from textual.screen import Screen
from textual.widgets import Static

SMALLEST = Size(60, 20)


def too_small(size: Size) -> bool:
    """Return whether `size` is too small to work in."""
    return size.width < SMALLEST.width or size.height < SMALLEST.height


class TooSmallScreen(Screen[None]):
    """Covers the screen below; no key except quitting has an effect."""

    DEFAULT_CSS = "TooSmallScreen { align: center middle; } TooSmallScreen Static { width: auto; text-align: center; }"

    def compose(self) -> ComposeResult:
        yield Static(f"negwb needs {SMALLEST.width} × {SMALLEST.height}\nmake the window larger", markup=False)
