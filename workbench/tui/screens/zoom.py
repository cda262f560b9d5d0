"""One picture on the whole screen, to zoom into and to move about in. Decoding and drawing never block a key.

What is decoded already shows at once; all the detail of the file takes its place as soon as it is there.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from textual import events, work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.geometry import Offset
from textual.widgets import Static

from curation_db.language.sanitize import display_text
from workbench.images.decode import Thumbnail, load_full
from workbench.images.terminal_graphics import canvas
from workbench.images.viewport import Canvas, Pair, Viewport, drawn
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
"""Decoding that is faster than this says nothing of itself."""
_STEP = 0.2
"""How much of the screen a key moves the picture."""


def zoom_into(screen: Screen[Any], ready: PreparedCard, actions: ActionMap, *, protocol: str, viewer: str) -> None:
    """Show the picture of a card on the whole screen. The decoded thumbnail is shown first."""
    screen.app.push_screen(
        ZoomScreen(ready.path, protocol, picture_name(ready), actions=actions, first=ready.thumbnail, viewer=viewer)
    )


class ZoomScreen(ActionScreen):
    """The picture at `path`, as large as the terminal at first."""

    AUTO_FOCUS = None
    DEFAULT_CSS = """
    ZoomScreen > #zoom-foot { height: 1; padding: 0 1; background: $panel; }
    ZoomScreen #zoom-line { width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }
    ZoomScreen #zoom-hint { width: auto; color: $foreground 60%; }
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
    ) -> None:
        """`protocol` is what `choose_protocol` returned; `name` is shown instead of the file's name.

        `first`: what is shown until the picture is decoded in full. `viewer`: as `viewer_command` takes it.
        """
        super().__init__(actions or ActionMap(), KeyScope.ZOOM)
        self._path = path
        self._protocol = protocol
        self._called = name or (path.name if path is not None else "")
        self._first = first
        self._viewer = viewer
        self._image: Image.Image | None = None
        self._note = ""
        self.lens: Viewport | None = None
        """What is seen; None: nothing is decoded."""
        self._shown: tuple[Viewport, Image.Image] | None = None
        self._drawing = False
        self._held: Offset | None = None
        """Where the mouse took hold of the picture."""

    def compose(self) -> ComposeResult:
        """The picture, what it is and how large, the keys."""
        yield PicturePane(self._protocol, id="zoom-picture")
        with Horizontal(id="zoom-foot"):
            yield Static(self._line(), id="zoom-line", markup=False)
            yield Static(self._hint(), id="zoom-hint", markup=False)
        yield KeyHints(self.actions, KeyScope.ZOOM, id="keys")

    def on_mount(self) -> None:
        """Show what is there, once there is a size, and decode the rest."""
        if not self.is_whole:
            return
        self.set_timer(LOADING_SECONDS, self._say_loading)
        self.call_after_refresh(self._begin)

    def on_resize(self) -> None:
        """The same view on another canvas."""
        if not self.is_whole:
            return
        self._say_line()
        self.call_after_refresh(self._lay_out)

    def on_screen_suspend(self) -> None:
        """The palette, say, opens above."""
        self.query_one(PicturePane).hide_for_modal()

    def on_screen_resume(self) -> None:
        """And closes again."""
        self.query_one(PicturePane).restore()

    # -- keys and mouse -----------------------------------------------------------------------------------------

    def action_step(self, by: int) -> None:
        """Larger or smaller."""
        self._step(by)

    def action_fit(self) -> None:
        """All of it."""
        if self.lens is not None:
            self._look(self.lens.fitted())

    def action_actual(self) -> None:
        """A dot for each pixel."""
        if self.lens is not None:
            self._look(self.lens.scaled(1.0))

    def action_pan(self, right: int, down: int) -> None:
        """Move about."""
        if self.lens is not None:
            width, height = self.lens.canvas.size
            self._look(self.lens.panned(right * width * _STEP, down * height * _STEP))

    def action_close(self) -> None:
        """Back."""
        if self.is_active:  # a second key may come before the first has closed
            self.dismiss(None)

    def action_open_outside(self) -> None:
        """In a program of its own."""
        open_outside(self, self._viewer, self._path, self._called)

    def action_show_help(self) -> None:
        """What the keys do here."""
        self.app.push_screen(HelpScreen(self.actions, places=(KeyScope.ZOOM,)))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Larger, round the pointer."""
        event.stop()
        self._step(1, event.screen_offset)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Smaller."""
        event.stop()
        self._step(-1, event.screen_offset)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Take hold of the picture."""
        if self.query_one(PicturePane).region.contains_point(event.screen_offset):
            self._held = event.screen_offset
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Draw it along."""
        if self._held is not None and self.lens is not None:
            moved, dots = self._held - event.screen_offset, self.lens.canvas.dots
            self._held = event.screen_offset
            self._look(self.lens.panned(moved.x * dots[0], moved.y * dots[1]))

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """Let go."""
        if self._held is not None:
            self._held = None
            self.release_mouse()

    def _step(self, by: int, at: Offset | None = None) -> None:
        if self.lens is not None:
            self._look(self.lens.stepped(by, None if at is None else self._dots(self.lens, at)))

    def _dots(self, lens: Viewport, at: Offset) -> Pair:
        """A place on the screen, in dots from the picture's corner of the canvas."""
        inside = at - self.query_one(PicturePane).content_region.offset
        return (inside.x + 0.5) * lens.canvas.dots[0], (inside.y + 0.5) * lens.canvas.dots[1]

    # -- the picture --------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._first is not None:
            self._take(self._first)
        self._load()

    @work(exclusive=True, group="load")
    async def _load(self) -> None:
        self._take(await run_in_daemon_thread(partial(load_full, self._path, name=self._called)))

    def _take(self, picture: Thumbnail) -> None:
        """Show this picture from now on; without pixels it only says what is wrong, where nothing else is shown."""
        pane = self.query_one(PicturePane)
        if picture.image is None or picture.size is None or self._protocol == "none":
            if self._image is None:
                pane.show(picture, alt="pictures are turned off")
            return
        self._image, self._note = picture.image, picture.note
        self._look(self.lens or Viewport.fitting(picture.size, self._canvas()))

    def _say_loading(self) -> None:
        pane = self.query_one(PicturePane)
        if pane.thumbnail is None and self._image is None:
            pane.show(None, alt="loading …")

    def _canvas(self) -> Canvas:
        pane = self.query_one(PicturePane)
        return canvas(pane.content_size.width, pane.content_size.height, self._protocol)

    def _lay_out(self) -> None:
        if self.lens is not None and self.is_mounted and (room := self._canvas()) != self.lens.canvas:
            self._look(self.lens.on(room))

    def _look(self, lens: Viewport) -> None:
        self.lens = lens
        self._say_line()
        if not self._drawing:
            self._drawing = True
            self._draw()

    @work(group="draw")
    async def _draw(self) -> None:
        """Draw what is wanted by then, until nothing else is: keys held down never pile up."""
        try:
            while self.lens is not None and self._image is not None:
                wanted = self.lens, self._image
                if self._shown == wanted:
                    return
                made = await run_in_daemon_thread(partial(drawn, wanted[1], wanted[0]))
                self._shown = wanted
                self.query_one(PicturePane).show(Thumbnail(made, None, made.size), cells=wanted[0].cells)
        finally:
            self._drawing = False

    def _say_line(self) -> None:
        line, hint = self._line(), self.query_one("#zoom-hint", Static)
        self.query_one("#zoom-line", Static).update(line)
        hint.display = cell_len(line) + cell_len(self._hint()) + 4 <= self.size.width

    def _hint(self) -> str:
        """The ways to move about, which have no place among the keys."""
        caps = {action.id: self.actions.cap(action) for action in self.actions.at(KeyScope.ZOOM)}
        keys = " ".join(caps[f"pan-{way}"] for way in ("left", "down", "up", "right"))
        return f"{keys} or drag: move · wheel: zoom"

    def _line(self) -> str:
        parts = [display_text(self._called, limit=80)]
        if self.lens is not None:
            parts += ["{} × {}".format(*self.lens.picture), f"{round(self.lens.scale * 100)} %", self._note]
        return " · ".join(filter(None, parts))
