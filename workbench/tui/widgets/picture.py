"""Pane that shows one image: in half cells at once, in the terminal's own graphics a moment later.

The UI thread only scales a thumbnail to cells (a few ms). Decoding happens before; encoding for Kitty or sixel happens
in a thread, once the image has been shown for a moment. textual-image does that encoding and is imported only there;
its widgets encode on the UI thread (sixel: 130-250 ms), so they are not used.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, groupby
from typing import TYPE_CHECKING

from rich.color import Color, ColorType
from rich.color_triplet import ColorTriplet
from rich.console import Console
from rich.segment import ControlType, Segment
from rich.style import Style
from textual import events, work
from textual.content import Content
from textual.filter import LineFilter, Monochrome, NoColor
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from curation_db.enums import PictureShown
from curation_db.language.sanitize import display_text
from workbench.images.decode import Thumbnail, fit_cells
from workbench.images.terminal_graphics import cell_pixels, choose_protocol
from workbench.tui.frame_diff import GRAPHIC

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["PicturePane", "choose_protocol", "half_cells"]

SETTLE_SECONDS = 0.08
"""Seconds in half cells before an image is encoded, so that paging through images costs nothing."""
_NO_STYLE = Style()
_graphic_numbers = count(1)
_NO_COLOR = (Monochrome, NoColor)
"""The filters that Textual adds if the environment has NO_COLOR."""


@lru_cache(maxsize=8192)
def _two_pixels(upper: bytes, lower: bytes) -> Style:
    return Style.from_color(_colour(upper), _colour(lower))


def _colour(pixel: bytes) -> Color:
    # Not Color.from_rgb: it formats a name that is never used, and takes three times as long.
    return Color("", ColorType.TRUECOLOR, None, ColorTriplet(*pixel))


def half_cells(image: Image.Image, columns: int, rows: int) -> list[Strip]:
    """Return `image` as `rows` strips of `columns` cells; a cell shows two pixels, the upper as foreground."""
    from PIL import Image as pillow  # noqa: N813  # already imported: the image was decoded

    scaled = image.convert("RGB").resize((columns, rows * 2), pillow.Resampling.BOX, reducing_gap=2.0)
    data, width = scaled.tobytes(), columns * 3
    lines = [data[start : start + width] for start in range(0, len(data), width)]
    return [_line(upper, lower) for upper, lower in zip(lines[::2], lines[1::2], strict=True)]


def _line(upper: bytes, lower: bytes) -> Strip:
    cells = [(upper[x : x + 3], lower[x : x + 3]) for x in range(0, len(upper), 3)]
    runs = ((pair, sum(1 for _ in same)) for pair, same in groupby(cells))
    # A blank where both pixels are equal: some fonts leave a seam around the half block.
    return Strip(
        [Segment((" " if pair[0] == pair[1] else "▀") * length, _two_pixels(*pair)) for pair, length in runs],
        len(cells),
    )


@dataclass(frozen=True, slots=True)
class Encoded:
    """An image in the terminal's own graphics."""

    strips: Sequence[Strip]
    """One per row of cells: Kitty's placeholders, or blanks below sixels."""
    overlay: str = ""
    """Sixel data, to be written with the cursor on the image's first cell."""


def encode(protocol: str, image: Image.Image, columns: int, rows: int) -> Encoded | None:
    """Encode for `protocol`; None if that fails. For Kitty this also sends the pixels to the terminal."""
    try:
        return (_encode_kitty if protocol == "kitty" else _encode_sixel)(image, columns, rows)
    except Exception:  # textual-image refuses some sizes, and a terminal may be gone: the half cells stay
        return None


def _console(columns: int, rows: int) -> Console:
    return Console(file=io.StringIO(), width=columns, height=rows, force_terminal=True, color_system="truecolor")


def _encode_kitty(image: Image.Image, columns: int, rows: int) -> Encoded:
    from textual_image.renderable import TGPImage  # deferred: 137 ms, and it asks the terminal

    # The terminal drops old images when its storage is full.
    console = _console(columns, rows)
    segments = list(console.render(TGPImage(image, columns, rows)))
    lines = [Strip([Segment(s.text.rstrip("\n"), s.style)], columns) for s in segments if s.text.strip("\n")]
    if len(lines) != rows:
        raise ValueError("the number of rows differs from the requested one")
    return Encoded(lines)


def _encode_sixel(image: Image.Image, columns: int, rows: int) -> Encoded:
    from textual_image.renderable import SixelImage  # deferred: 137 ms, and it asks the terminal

    console = _console(columns, rows)
    segments = console.render(SixelImage(image, columns, rows))
    overlay = next(segment.text for segment in segments if segment.text.startswith("\x1bP"))
    covered = Style.from_meta({GRAPHIC: next(_graphic_numbers)})
    return Encoded([Strip([Segment(" " * columns, covered)], columns)] * rows, overlay)


class PicturePane(Widget):
    """Shows a thumbnail in its aspect ratio, as large as fits, centred; or a line of text."""

    DEFAULT_CSS = """
    PicturePane {
        width: 1fr;
        height: 1fr;
        content-align: center middle;
        text-align: center;
        color: $text-muted;
    }
    """

    def __init__(self, protocol: str = "halfcell", *, id: str | None = None, classes: str | None = None) -> None:
        """`protocol`: as `choose_protocol` returns it."""
        super().__init__(id=id, classes=classes)
        self._protocol = protocol
        self._thumbnail: Thumbnail | None = None
        self._cells: tuple[int, int] | None = None
        self._text = ""
        self._drawn: tuple[Thumbnail, int, int, list[Strip]] | None = None
        self._encoded: tuple[Thumbnail, int, int, Encoded] | None = None
        self._behind_modal = False
        self.is_stale = False
        """Whether its newest content is not in any frame yet."""

    @property
    def thumbnail(self) -> Thumbnail | None:
        return self._thumbnail

    def show(self, thumbnail: Thumbnail | None, alt: str = "", *, cells: tuple[int, int] | None = None) -> None:
        """Show `thumbnail`; if it has no image, its problem, else `alt` (data text is allowed).

        `cells`: columns and rows of the image; default: as many as fit.
        """
        self._thumbnail = thumbnail
        self._cells = cells
        self.is_stale = True
        problem = thumbnail.problem if thumbnail is not None else None
        self._text = display_text(problem or alt)
        self._redraw()

    @property
    def shown_as(self) -> PictureShown:
        """How the image was shown to the annotator; screens above do not matter."""
        if self._image() is None:
            return PictureShown.NONE
        sharp = self._encoded is not None and self._encoded[0] is self._thumbnail
        return PictureShown.PIXELS if sharp else PictureShown.CELLS

    def hide_for_modal(self) -> None:
        """Show half cells for now: a modal cannot cover the terminal's own graphics, and sixels leave residue.

        Call it from the screen's `on_screen_suspend`, and `restore` from `on_screen_resume`.
        """
        self._behind_modal = True
        self.refresh()

    def restore(self) -> None:
        """Show the terminal's own graphics again."""
        self._behind_modal = False
        self._redraw()

    def on_resize(self, event: events.Resize) -> None:
        self._redraw()

    def render(self) -> Content:
        """Return the text that is shown without an image."""
        return Content(self._text)

    def render_line(self, y: int) -> Strip:
        """Return one line of the image, or of the text."""
        image, place = self._image(), self._place()
        if image is None or self._thumbnail is None:
            return super().render_line(y)
        blank, width = self._style_beside(), self.content_size.width
        if not place.contains(place.x, y):
            return Strip.blank(width, blank)
        right = width - place.right
        strip = self._strips(self._thumbnail, image, place)[y - place.y]
        return Strip([*_blanks(place.x, blank), *strip, *_blanks(right, blank)], width)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return all lines, with the sixels in the image's last line: text drawn later would erase them."""
        self.is_stale = False
        strips = super().render_lines(crop)
        encoded = self._ready(self._place())
        if encoded is None or not encoded.overlay or not self.screen.is_active:
            return strips
        place = self._place().translate(self.content_region.offset)
        last = place.bottom - 1 - self.region.y - crop.y
        if 0 <= last < len(strips):
            strips[last] = Strip([*strips[last], _overlay(encoded.overlay, place)], strips[last].cell_length)
        return strips

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Return the filters of the app; for an image without the ones that NO_COLOR adds.

        NO_COLOR is about texts. A grey image hides what is decided about, and Kitty's placeholders identify their
        image by a colour.
        """
        filters = super().get_line_filters()
        return filters if self._image() is None else [each for each in filters if not isinstance(each, _NO_COLOR)]

    def _style_beside(self) -> Style:
        """Return the style of the cells beside the image, which have no colour if NO_COLOR is set."""
        cells = [Segment(" ", self.rich_style)]
        for each in super().get_line_filters():
            if isinstance(each, _NO_COLOR):
                cells = each.apply(cells, self.background_colors[1])
        return cells[0].style or _NO_STYLE

    def _image(self) -> Image.Image | None:
        return None if self._thumbnail is None or self._protocol == "none" else self._thumbnail.image

    def _place(self) -> Region:
        """Return the region of the image in the content."""
        image, (width, height) = self._image(), self.content_size
        if image is None or width < 1 or height < 1:
            return Region()
        columns, rows = self._cells or fit_cells(image.size, width, height, cell_pixels())
        columns, rows = min(columns, width), min(rows, height)
        return Region((width - columns) // 2, (height - rows) // 2, columns, rows)

    def _strips(self, thumbnail: Thumbnail, image: Image.Image, place: Region) -> Sequence[Strip]:
        encoded = self._ready(place)
        if encoded is not None:
            return encoded.strips
        if self._drawn is None or self._drawn[0] is not thumbnail or self._drawn[1:3] != place.size:
            drawn = half_cells(image, place.width, place.height)
            self._drawn = (thumbnail, place.width, place.height, drawn)
        return self._drawn[3]

    def _ready(self, place: Region) -> Encoded | None:
        """Return the encoded image if it fits the current thumbnail and size."""
        encoded = self._encoded
        if encoded is None or self._behind_modal or encoded[0] is not self._thumbnail or encoded[1:3] != place.size:
            return None
        return encoded[3]

    def _redraw(self) -> None:
        self.refresh()
        if self._protocol in {"kitty", "sixel"} and self.is_mounted and self._ready(self._place()) is None:
            self._sharpen()

    @work(exclusive=True, group="sharpen", exit_on_error=False)
    async def _sharpen(self) -> None:
        """Encode the current image after a moment; a newer call cancels this one."""
        await asyncio.sleep(SETTLE_SECONDS)
        thumbnail, image, place = self._thumbnail, self._image(), self._place()
        if thumbnail is None or image is None or not place:
            return
        encoded = await asyncio.to_thread(encode, self._protocol, image, place.width, place.height)
        if encoded is not None:
            self._encoded = (thumbnail, place.width, place.height, encoded)
            self.refresh()


def _blanks(length: int, style: Style) -> list[Segment]:
    return [Segment(" " * length, style)] if length else []


def _overlay(sixels: str, place: Region) -> Segment:
    """Return sixels as a control segment, which takes no cell; the cursor returns to its position."""
    there = f"\x1b[{place.y + 1};{place.x + 1}H"
    return Segment(f"\x1b7{there}{sixels}\x1b8", _NO_STYLE, [(ControlType.CURSOR_FORWARD, 0)])
