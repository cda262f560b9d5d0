"""One image on the whole screen, with zoom and pan. Decoding and drawing never block a key.

The decoded thumbnail shows at once; the full image replaces it once it is decoded.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from textual import events, work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.geometry import Offset
from textual.widgets import Static

from curation_db.language.sanitize import display_text
from workbench.annotation.text_spans import highlighted_spans
from workbench.images.decode import Thumbnail, load_full
from workbench.images.terminal_graphics import canvas
from workbench.images.viewport import Canvas, Pair, Viewport, drawn
from workbench.tui.rendering.card_content import marked
from workbench.tui.screens.base.action_screen import ActionScreen
from workbench.tui.screens.base.image_actions import open_outside, picture_name
from workbench.tui.screens.help import HelpScreen
from workbench.tui.threads import run_in_daemon_thread
from workbench.tui.widgets.key_hints import KeyHints
from workbench.tui.widgets.picture import PicturePane
from workbench.workspace.keymap import ActionMap, KeyScope

if TYPE_CHECKING:
    from PIL import Image
    from textual.screen import Screen

    from workbench.annotation.models import PreparedCard

LOADING_SECONDS = 0.1
"""Faster decoding shows no "loading" text."""
_STEP = 0.2
"""Share of the screen by which a key moves the image."""


def zoom_into(screen: Screen[Any], ready: PreparedCard, actions: ActionMap, *, protocol: str, viewer: str) -> None:
    """Show the image of a card on the whole screen. The decoded thumbnail is shown first."""
    screen.app.push_screen(
        ZoomScreen(
            ready.path,
            protocol,
            picture_name(ready),
            actions=actions,
            first=ready.thumbnail,
            viewer=viewer,
            sentence=marked(highlighted_spans(ready.card.text, ready.card.caption)),
        )
    )


class ZoomScreen(ActionScreen):
    """The image at `path`, at first as large as fits the terminal."""

    AUTO_FOCUS = None
    DEFAULT_CSS = """
    ZoomScreen > #zoom-sentence { height: auto; max-height: 3; padding: 0 1; }
    ZoomScreen > #zoom-foot { height: 1; padding: 0 1; background: $panel; }
    ZoomScreen #zoom-line { width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }
    ZoomScreen #zoom-hint { width: auto; color: $foreground 70%; }
    """

    def __init__(
        self,
        path: Path | None,
        protocol: str,
        name: str = "",
        *,
        actions: ActionMap | None = None,
        first: Thumbnail | None = None,
        viewer: str = "",
        sentence: Content | None = None,
    ) -> None:
        """Create the screen.

        Args:
            path: File of the image; None if it was not found.
            protocol: Image protocol, as `choose_protocol` returns it.
            first: Shown until the image is decoded in full.
            viewer: As `viewer_command` takes it.
            sentence: The negated caption, shown below the image; None: no line.
        """
        super().__init__(actions or ActionMap(), KeyScope.ZOOM)
        self._path = path
        self._protocol = protocol
        self._name_shown = name or (path.name if path is not None else "")
        self._first = first
        self._viewer = viewer
        self._sentence = sentence
        self._image: Image.Image | None = None
        self._note = ""
        self.viewport: Viewport | None = None
        """The visible part; None: no image is decoded."""
        self._shown: tuple[Viewport, Image.Image] | None = None
        self._drawing = False
        self._grabbed_at: Offset | None = None
        """Position at which the mouse grabbed the image."""

    def compose(self) -> ComposeResult:
        yield PicturePane(self._protocol, id="zoom-picture")
        if self._sentence is not None:
            yield Static(self._sentence, id="zoom-sentence", markup=False)
        with Horizontal(id="zoom-foot"):
            yield Static(self._line(), id="zoom-line", markup=False)
            yield Static(self._hint(), id="zoom-hint", markup=False)
        yield KeyHints(self.actions, KeyScope.ZOOM, id="keys")

    def on_mount(self) -> None:
        """Show the thumbnail once the size is known, and decode the full image."""
        if not self.is_whole:
            return
        self.set_timer(LOADING_SECONDS, self._show_loading)
        self.call_after_refresh(self._show_first)

    def on_resize(self) -> None:
        """Keep the view on the new canvas."""
        if not self.is_whole:
            return
        self._update_line()
        self.call_after_refresh(self._lay_out)

    def on_screen_suspend(self) -> None:
        self.query_one(PicturePane).hide_for_modal()

    def on_screen_resume(self) -> None:
        self.query_one(PicturePane).restore()

    # -- keys and mouse -----------------------------------------------------------------------------------------

    def action_step(self, by: int) -> None:
        self._step(by)

    def action_fit(self) -> None:
        if self.viewport is not None:
            self._set_viewport(self.viewport.fitted())

    def action_actual(self) -> None:
        """Show one dot per pixel."""
        if self.viewport is not None:
            self._set_viewport(self.viewport.scaled(1.0))

    def action_pan(self, right: int, down: int) -> None:
        if self.viewport is not None:
            width, height = self.viewport.canvas.size
            self._set_viewport(self.viewport.panned(right * width * _STEP, down * height * _STEP))

    def action_close(self) -> None:
        if self.is_active:  # a second key may come before the first has closed
            self.dismiss(None)

    def action_open_outside(self) -> None:
        """Open the image in an external viewer."""
        open_outside(self, self._viewer, self._path, self._name_shown)

    def action_show_help(self) -> None:
        self.app.push_screen(HelpScreen(self.actions, places=(KeyScope.ZOOM,)))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._step(1, event.screen_offset)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Zoom out around the pointer."""
        event.stop()
        self._step(-1, event.screen_offset)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        if self.query_one(PicturePane).region.contains_point(event.screen_offset):
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

    def _step(self, by: int, at: Offset | None = None) -> None:
        if self.viewport is not None:
            self._set_viewport(self.viewport.stepped(by, None if at is None else self._dots(self.viewport, at)))

    def _dots(self, viewport: Viewport, at: Offset) -> Pair:
        """Return a position on the screen in dots from the corner of the canvas."""
        inside = at - self.query_one(PicturePane).content_region.offset
        return (inside.x + 0.5) * viewport.canvas.dots[0], (inside.y + 0.5) * viewport.canvas.dots[1]

    # -- the picture --------------------------------------------------------------------------------------------

    def _show_first(self) -> None:
        if self._first is not None:
            self._take(self._first)
        self._load()

    @work(exclusive=True, group="load")
    async def _load(self) -> None:
        self._take(await run_in_daemon_thread(partial(load_full, self._path, name=self._name_shown)))

    def _take(self, picture: Thumbnail) -> None:
        """Show this image from now on. Without pixels, show its problem, unless an image is already shown."""
        pane = self.query_one(PicturePane)
        if picture.image is None or picture.size is None or self._protocol == "none":
            if self._image is None:
                pane.show(picture, alt="images are turned off")
            return
        self._image, self._note = picture.image, picture.note
        self._set_viewport(self.viewport or Viewport.fitting(picture.size, self._canvas()))

    def _show_loading(self) -> None:
        pane = self.query_one(PicturePane)
        if pane.thumbnail is None and self._image is None:
            pane.show(None, alt="loading …")

    def _canvas(self) -> Canvas:
        pane = self.query_one(PicturePane)
        return canvas(pane.content_size.width, pane.content_size.height, self._protocol)

    def _lay_out(self) -> None:
        if self.viewport is not None and self.is_mounted and (canvas := self._canvas()) != self.viewport.canvas:
            self._set_viewport(self.viewport.on(canvas))

    def _set_viewport(self, viewport: Viewport) -> None:
        self.viewport = viewport
        self._update_line()
        if not self._drawing:
            self._drawing = True
            self._draw()

    @work(group="draw")
    async def _draw(self) -> None:
        """Draw the newest view until it is on the screen, so that held keys do not queue draws."""
        try:
            while self.viewport is not None and self._image is not None:
                view = self.viewport, self._image
                if self._shown == view:
                    return
                image = await run_in_daemon_thread(partial(drawn, view[1], view[0]))
                self._shown = view
                self.query_one(PicturePane).show(Thumbnail(image, None, image.size), cells=view[0].cells)
        finally:
            self._drawing = False

    def _update_line(self) -> None:
        line, hint = self._line(), self.query_one("#zoom-hint", Static)
        self.query_one("#zoom-line", Static).update(line)
        hint.display = cell_len(line) + cell_len(self._hint()) + 4 <= self.size.width

    def _hint(self) -> str:
        """Return the keys for moving, which are not among the key hints."""
        caps = {action.id: self.actions.cap(action) for action in self.actions.at(KeyScope.ZOOM)}
        keys = " ".join(caps[f"pan-{direction}"] for direction in ("left", "down", "up", "right"))
        return f"{keys} or drag: move · wheel: zoom"

    def _line(self) -> str:
        parts = [display_text(self._name_shown, limit=80)]
        if self.viewport is not None:
            parts += ["{} × {}".format(*self.viewport.picture), f"{round(self.viewport.scale * 100)} %", self._note]
        return " · ".join(filter(None, parts))
