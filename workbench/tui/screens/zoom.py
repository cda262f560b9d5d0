"""One image on the whole screen, with zoom and pan, above a screen on which nothing is decided meanwhile.

Curate shows the same view in its own screen, where the keys of the card stay in force.
"""

from __future__ import annotations

from pathlib import Path

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from workbench.images.decode import Thumbnail
from workbench.tui.screens.base.action_screen import ActionScreen
from workbench.tui.screens.base.image_actions import open_outside
from workbench.tui.screens.help import HelpScreen
from workbench.tui.widgets.key_hints import KeyHints
from workbench.tui.widgets.zoom_view import ZoomView, moving_keys
from workbench.workspace.keymap import ActionMap, KeyScope


class ZoomScreen(ActionScreen):
    """The image at `path`, at first as large as fits the terminal."""

    AUTO_FOCUS = None
    DEFAULT_CSS = """
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
        self._name_shown = name or (path.name if path is not None else "")
        self._first = first
        self._viewer = viewer
        self._sentence = sentence
        self.view = ZoomView(protocol, id="zoom")

    def compose(self) -> ComposeResult:
        yield self.view
        with Horizontal(id="zoom-foot"):
            yield Static(id="zoom-line", markup=False)
            yield Static(moving_keys(self.actions), id="zoom-hint", markup=False)
        yield KeyHints(self.actions, KeyScope.ZOOM, id="keys")

    def on_mount(self) -> None:
        if self.is_whole:
            self.view.show(self._path, self._name_shown, first=self._first, text=self._sentence)

    def on_resize(self) -> None:
        if self.is_whole:
            self._update_line()

    def on_screen_suspend(self) -> None:
        self.view.pane.hide_for_modal()

    def on_screen_resume(self) -> None:
        self.view.pane.restore()

    def on_zoom_view_line_changed(self) -> None:
        self._update_line()

    def action_step(self, by: int) -> None:
        self.view.step(by)

    def action_fit(self) -> None:
        self.view.fit()

    def action_actual(self) -> None:
        self.view.actual()

    def action_pan(self, right: int, down: int) -> None:
        self.view.pan(right, down)

    def action_close(self) -> None:
        if self.is_active:  # a second key may come before the first has closed
            self.dismiss(None)

    def action_open_outside(self) -> None:
        """Open the image in an external viewer."""
        open_outside(self, self._viewer, self._path, self._name_shown)

    def action_show_help(self) -> None:
        self.app.push_screen(HelpScreen(self.actions, places=(KeyScope.ZOOM,)))

    def _update_line(self) -> None:
        line, hint = self.view.line, self.query_one("#zoom-hint", Static)
        self.query_one("#zoom-line", Static).update(line)
        hint.display = cell_len(line) + cell_len(moving_keys(self.actions)) + 4 <= self.size.width
