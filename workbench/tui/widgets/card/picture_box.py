"""The framed image of a card: its name or a warning above, the number of its dots below."""

from __future__ import annotations

from typing import Any

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.screen import Screen

from curation_db.language.sanitize import display_text
from workbench.annotation.models import PreparedCard
from workbench.images.decode import Thumbnail
from workbench.images.terminal_graphics import cell_pixels, dots_of_cell
from workbench.tui.rendering.card_content import QUIET, WARN
from workbench.tui.rendering.card_layout import CardLayout, PanelRoom, card_layout, dots_label
from workbench.tui.widgets.borders import set_border_labels
from workbench.tui.widgets.picture import PicturePane, has_sixteen_colours

_BORDER_LABEL = 6
"""Cells of a border beside its label: a corner, a line and a blank at each end."""
_SMALL_IMAGE = 60
"""Pixels; the box of a smaller image names the key that zooms in."""


FEW_COLOURS = "16 colours: images cannot be judged; COLORTERM=truecolor"
"""The message at the start, which fits 60 columns."""


def few_colours_note(most: int) -> str:
    """Return the longest note of at most `most` characters about a terminal with 16 colours."""
    notes = (
        "16 colours cannot be judged: COLORTERM=truecolor",
        "16 colours: images cannot be judged",
        "16 colours: set COLORTERM",
        "16 colours",
    )
    return next((note for note in notes if len(note) <= most), "")


class PictureBox(Vertical):
    DEFAULT_CSS = "PictureBox { border: round $border; border-subtitle-align: center; }"

    def __init__(self, protocol: str, *, id: str) -> None:
        """`protocol`: as `choose_protocol` returns it."""
        super().__init__(id=id)
        self._protocol = protocol
        self._pane = PicturePane(protocol, id="picture")
        self._room: tuple[tuple[int, int], PanelRoom] | None = None

    def compose(self) -> ComposeResult:
        yield self._pane

    def layout_of(self, ready: PreparedCard, room: tuple[int, int], panel: PanelRoom) -> CardLayout:
        """Return the layout of a card in so many columns and rows."""
        self._room = room, panel
        thumbnail = ready.thumbnail
        has_image = thumbnail is not None and thumbnail.image is not None and self._protocol != "none"
        return card_layout(thumbnail.size if has_image and thumbnail else None, room, cell_pixels(), panel)

    def prepare(self, thumbnail: Thumbnail) -> None:
        """Scale or encode an image for its place in the layout of the next cards. Not for the UI thread."""
        if self._room is not None and thumbnail.size is not None:
            room, panel = self._room
            layout = card_layout(thumbnail.size, room, cell_pixels(), panel)
            if layout.image is not None:
                self._pane.prepare(thumbnail, *layout.image)

    def show(self, ready: PreparedCard, layout: CardLayout, *, name: str, zoom_key: str) -> None:
        """Show the image of the card in its place of the layout."""
        thumbnail, most = ready.thumbnail, layout.box[0] - _BORDER_LABEL
        self._pane.show(thumbnail, alt="images are turned off", cells=layout.image)
        size = thumbnail.size if thumbnail is not None else None
        small = f"image {size[0]}x{size[1]} px: {zoom_key} zooms" if size and min(size) < _SMALL_IMAGE else ""
        few = few_colours_note(most) if self._protocol == "halfcell" and has_sixteen_colours(self.app) else ""
        warning = (thumbnail.note if thumbnail is not None else "") or few or small
        shown_name = Content.styled(display_text(name, limit=60), QUIET)
        title = Content.styled(warning, WARN) if warning else shown_name
        dots = dots_label(layout.image, dots_of_cell(self._protocol), size, most) if layout.image and size else ""
        set_border_labels(self, title=title, subtitle=Content.styled(dots, QUIET))


def lay_out_card(screen: Screen[Any], layout: CardLayout) -> None:
    """Give the parts of a card their sizes and places: `#main` with `#left` (image and panel) and the text."""
    screen.set_class(layout.above, "-above")
    for place, size in (("#left", layout.side), ("#picture-box", layout.box), ("#panel", layout.panel)):
        for part in screen.query(place):
            part.styles.width, part.styles.height = size or (0, 0)
