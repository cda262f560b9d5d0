"""One picture on the whole screen; any key or click goes back. The decoding never blocks a key."""

from __future__ import annotations

import asyncio
from pathlib import Path

from textual import events, work
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Static

from curation_db.text import display_text
from workbench.tui.pictures import load_thumbnail
from workbench.tui.terminal import picture_box
from workbench.tui.widgets.picture import PicturePane

LOADING_SECONDS = 0.1
"""Decoding that is faster than this says nothing of itself."""


class ZoomScreen(Screen[None]):
    """The picture at `path`, as large as the terminal."""

    DEFAULT_CSS = """
    ZoomScreen > #zoom-line {
        height: 1;
        padding: 0 1;
        color: $text-muted;
    }
    """

    def __init__(self, path: Path | None, protocol: str, name: str = "") -> None:
        """`protocol` is what `choose_protocol` returned; `name` is shown instead of the file's name."""
        super().__init__()
        self._path = path
        self._protocol = protocol
        self._called = name or (path.name if path is not None else "")

    def compose(self) -> ComposeResult:
        """The picture, and a quiet line below it."""
        yield PicturePane(self._protocol, id="zoom-picture")
        yield Static(self._line(None), id="zoom-line", markup=False)

    def on_mount(self) -> None:
        """Start decoding."""
        self.set_timer(LOADING_SECONDS, self._say_loading)
        self._load()

    def on_key(self, event: events.Key) -> None:
        """Any key closes, and does nothing else."""
        event.stop()
        event.prevent_default()
        self._close()

    def on_click(self, event: events.Click) -> None:
        """So does a click."""
        event.stop()
        self._close()

    def on_screen_suspend(self) -> None:
        """The palette, say, opens above."""
        self.query_one(PicturePane).hide_for_modal()

    def on_screen_resume(self) -> None:
        """And closes again."""
        self.query_one(PicturePane).restore()

    @work(exclusive=True)
    async def _load(self) -> None:
        box = picture_box(self.app.size.width, self.app.size.height, self._protocol)
        thumbnail = await asyncio.to_thread(load_thumbnail, self._path, box, name=self._called)
        self.query_one(PicturePane).show(thumbnail, alt="pictures are turned off")
        self.query_one("#zoom-line", Static).update(self._line(thumbnail.size))

    def _say_loading(self) -> None:
        pane = self.query_one(PicturePane)
        if pane.thumbnail is None:
            pane.show(None, alt="loading …")

    def _line(self, size: tuple[int, int] | None) -> str:
        measured = [f"{size[0]} × {size[1]}"] if size else []
        called = [display_text(self._called, limit=120)] if self._called else []
        return " · ".join([*called, *measured, "any key closes"])

    def _close(self) -> None:
        if self.is_active:  # a second key may come before the first has closed
            self.dismiss(None)
