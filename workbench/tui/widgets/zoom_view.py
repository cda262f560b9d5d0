"""One image as large as its space, with zoom and pan. Decoding and drawing never block a key.

The decoded thumbnail shows at once; the full image replaces it once it is decoded.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual import events, getters, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Offset
from textual.message import Message

from curation_db.language.sanitize import display_text
from workbench.images.decode import Thumbnail, load_full
from workbench.images.terminal_graphics import canvas
from workbench.images.viewport import Canvas, Pair, Viewport, drawn
from workbench.tui.rendering.line_cut import cut_lines
from workbench.tui.threads import run_in_daemon_thread
from workbench.tui.widgets.card.field import TrackedText
from workbench.tui.widgets.picture import PicturePane
from workbench.workspace.keymap import ActionMap

if TYPE_CHECKING:
    from PIL import Image

LOADING_SECONDS = 0.1
"""Faster decoding shows no "loading" text."""
_STEP = 0.2
"""Share of the screen by which a key moves the image."""
_TEXT_SHARE = 0.4
"""Share of the height that the text may take."""

_SCALING = {"zoom-in": "larger", "zoom-out": "smaller", "zoom-fit": "fit", "zoom-actual": "100 %"}


def moving_keys(actions: ActionMap) -> str:
    """Return the keys for moving, which are not among the key hints."""
    directions = ("left", "down", "up", "right")
    keys = " ".join(filter(None, (actions.cap_of(f"pan-{direction}") for direction in directions)))
    return f"{keys} or drag: move · wheel: zoom"


def zoom_keys(actions: ActionMap, without: Collection[str] = ()) -> str:
    """Return the keys of the view; `without`: the ids of actions that are left out."""
    scaling = [
        f"{cap} {label}" for each, label in _SCALING.items() if each not in without and (cap := actions.cap_of(each))
    ]
    return " · ".join([*scaling, moving_keys(actions)])


class ZoomPane(PicturePane):
    """A picture pane that posts a message when its size has changed."""

    class Resized(Message):
        """The pane has another size."""

    def on_resize(self, event: events.Resize) -> None:
        self.post_message(self.Resized())


class ZoomView(Vertical, can_focus=False):
    """The image, and below it the text that is decided about, if there is one."""

    DEFAULT_CSS = """
    ZoomView { height: 1fr; }
    ZoomView > #zoom-sentence { height: auto; max-height: 40%; padding: 0 1; }
    """

    pane = getters.query_one("#zoom-picture", PicturePane)
    sentence = getters.query_one("#zoom-sentence", TrackedText)

    class LineChanged(Message):
        """`line` has changed."""

    @dataclass(frozen=True, slots=True)
    class _Shown:
        """One image; another object for the same file is another request."""

        path: Path | None
        name: str

    def __init__(self, protocol: str, *, id: str | None = None) -> None:
        """`protocol`: Image protocol, as `choose_protocol` returns it."""
        super().__init__(id=id)
        self._protocol = protocol
        self._request: ZoomView._Shown | None = None
        self._first: Thumbnail | None = None
        self._image: Image.Image | None = None
        self._note = ""
        self._text = Content("")
        self.viewport: Viewport | None = None
        """The visible part; None: no image is decoded."""
        self._drawn: tuple[Viewport, Image.Image] | None = None
        self._drawing = False
        self._grabbed_at: Offset | None = None
        """Position at which the mouse grabbed the image."""

    def compose(self) -> ComposeResult:
        yield ZoomPane(self._protocol, id="zoom-picture")
        yield TrackedText(markup=False, id="zoom-sentence")

    def show(self, path: Path | None, name: str, *, first: Thumbnail | None = None, text: Content | None) -> None:
        """Show an image that fits the space, and a text; the image that is shown already keeps its view.

        Args:
            path: File of the image; None if it was not found.
            first: Shown until the image is decoded in full.
        """
        self.sentence.display = text is not None
        if text is not None:
            self._text = text
            self.sentence.set_content(self._fitted_text())
        before = self._request
        if before is not None and (before.path, before.name) == (path, name) and self._image is not None:
            return
        self._request, self._first = ZoomView._Shown(path, name), first
        self._image = self.viewport = self._drawn = None
        self._note = ""
        self.pane.show(first)  # the image before must not be seen with this text
        self.post_message(self.LineChanged())
        self.set_timer(LOADING_SECONDS, partial(self._show_loading, self._request))
        self.call_after_refresh(self._show_first, self._request)

    def _fitted_text(self) -> Content:
        """Return the text in the lines that it may take; what is left out has a mark."""
        width, lines = self.size.width - 2, int(self.size.height * _TEXT_SHARE)
        return cut_lines(self._text, width, lines) if width > 0 and lines > 0 else self._text

    def on_resize(self) -> None:
        if self.sentence.display:
            self.sentence.set_content(self._fitted_text())

    @property
    def line(self) -> str:
        """Name, size and scale of the image."""
        parts = [display_text(self._request.name if self._request else "", limit=80)]
        if self.viewport is not None:
            parts += ["{}x{} px".format(*self.viewport.picture), f"{round(self.viewport.scale * 100)} %", self._note]
        return " · ".join(filter(None, parts))

    @property
    def is_drawn(self) -> bool:
        """Whether the requested view is on the screen."""
        return self._drawn is not None and self._drawn == (self.viewport, self._image) and not self._drawing

    # -- keys and mouse -----------------------------------------------------------------------------------------

    def step(self, by: int, at: Offset | None = None) -> None:
        """Zoom in or out by one step, around a position on the screen."""
        if self.viewport is not None:
            self._set_viewport(self.viewport.stepped(by, None if at is None else self._dots(self.viewport, at)))

    def fit(self) -> None:
        if self.viewport is not None:
            self._set_viewport(self.viewport.fitted())

    def actual(self) -> None:
        """Show one dot per pixel."""
        if self.viewport is not None:
            self._set_viewport(self.viewport.scaled(1.0))

    def pan(self, right: int, down: int) -> None:
        if self.viewport is not None:
            width, height = self.viewport.canvas.size
            self._set_viewport(self.viewport.panned(right * width * _STEP, down * height * _STEP))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.step(1, event.screen_offset)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Zoom out around the pointer."""
        event.stop()
        self.step(-1, event.screen_offset)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        if self.pane.region.contains_point(event.screen_offset):
            self._grabbed_at = event.screen_offset
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._grabbed_at is not None and self.viewport is not None:
            moved, dots = self._grabbed_at - event.screen_offset, self.viewport.canvas.dots
            self._grabbed_at = event.screen_offset
            self._set_viewport(self.viewport.panned(moved.x * dots[0], moved.y * dots[1]))

    def on_mouse_up(self, event: events.MouseUp) -> None:
        if self._grabbed_at is not None:
            self._grabbed_at = None
            self.release_mouse()

    def _dots(self, viewport: Viewport, at: Offset) -> Pair:
        """Return a position on the screen in dots from the corner of the canvas."""
        inside = at - self.pane.content_region.offset
        return (inside.x + 0.5) * viewport.canvas.dots[0], (inside.y + 0.5) * viewport.canvas.dots[1]

    # -- the picture --------------------------------------------------------------------------------------------

    def _show_first(self, request: _Shown) -> None:
        if request is self._request:
            if self._first is not None:
                self._take(self._first)
            self._load(request)

    @work(exclusive=True, group="load")
    async def _load(self, request: _Shown) -> None:
        picture = await run_in_daemon_thread(partial(load_full, request.path, name=request.name))
        if request is self._request and self.is_mounted:
            self._take(picture)

    def _take(self, picture: Thumbnail) -> None:
        """Show this image from now on. Without pixels, show its problem, unless an image is already shown."""
        if picture.image is None or picture.size is None or self._protocol == "none":
            if self._image is None:
                self.pane.show(picture, alt="images are turned off")
            return
        self._image, self._note = picture.image, picture.note
        self._set_viewport(self.viewport or Viewport.fitting(picture.size, self._canvas()))

    def _show_loading(self, request: _Shown) -> None:
        if request is self._request and self.pane.thumbnail is None and self._image is None:
            self.pane.show(None, alt="loading …")

    def _canvas(self) -> Canvas:
        return canvas(self.pane.content_size.width, self.pane.content_size.height, self._protocol)

    def on_zoom_pane_resized(self) -> None:
        """Keep the view on the new canvas."""
        if self.viewport is not None and self.is_mounted and (canvas := self._canvas()) != self.viewport.canvas:
            self._set_viewport(self.viewport.on(canvas))

    def _set_viewport(self, viewport: Viewport) -> None:
        self.viewport = viewport
        self.post_message(self.LineChanged())
        if not self._drawing:
            self._drawing = True
            self._draw()

    @work(group="draw")
    async def _draw(self) -> None:
        """Draw the newest view until it is on the screen, so that held keys do not queue draws."""
        try:
            while self.viewport is not None and self._image is not None:
                view = self.viewport, self._image
                if self._drawn == view:
                    return
                image = await run_in_daemon_thread(partial(drawn, view[1], view[0]))
                if self._image is view[1]:  # else the next image is shown by now
                    self._drawn = view
                    self.pane.show(Thumbnail(image, None, image.size), cells=view[0].cells)
        finally:
            self._drawing = False
