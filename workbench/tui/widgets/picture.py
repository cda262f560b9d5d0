"""Pane that shows one image: in half cells at once, or in the terminal's own graphics.

Scaling an image to cells takes a few ms, encoding it for sixel some 100 ms. Both happen in a thread before the image is
shown (`prepare`). An image that was not prepared is shown in half cells until it is encoded.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, groupby
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from rich._palettes import STANDARD_PALETTE
from rich.color import Color, ColorSystem, ColorType
from rich.color_triplet import ColorTriplet
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
from workbench.images.terminal_graphics import cell_pixels, choose_protocol, reads_files
from workbench.tui.frame_diff import GRAPHIC, CellStrip, colour_system
from workbench.tui.kitty_store import kitty_store

if TYPE_CHECKING:
    from PIL import Image
    from textual.app import App

    from workbench.images.kitty import KittyImage

__all__ = ["PicturePane", "choose_protocol", "half_cells"]

T = TypeVar("T")
SETTLE_SECONDS = 0.08
"""Seconds in half cells before an image is encoded, so that paging through images costs nothing."""
_GRAPHICS = frozenset({"kitty", "sixel"})
_MOST_STRIPS, _MOST_ENCODED = 8, 6
"""Images that are ready to be drawn: the shown one, and some before and after it. One in half cells takes 1 MB."""
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


def half_cells(image: Image.Image, columns: int, rows: int, palette: Image.Image | None = None) -> list[CellStrip]:
    """Return `image` as `rows` strips of `columns` cells; a cell shows two pixels, the upper as foreground.

    Args:
        palette: An image whose colours are the only ones; others are mixed of neighbouring dots.
    """
    from PIL import Image as pillow  # noqa: N813  # already imported: the image was decoded

    scaled = image.convert("RGB").resize((columns, rows * 2), pillow.Resampling.BOX, reducing_gap=2.0)
    if palette is not None:
        scaled = scaled.quantize(palette=palette, dither=pillow.Dither.FLOYDSTEINBERG).convert("RGB")
    data, width = scaled.tobytes(), columns * 3
    lines = [data[start : start + width] for start in range(0, len(data), width)]
    return [_line(upper, lower) for upper, lower in zip(lines[::2], lines[1::2], strict=True)]


def has_sixteen_colours(app: App[Any]) -> bool:
    """Return whether the terminal of the app reports no more than 16 colours (TERM=linux, screen, no COLORTERM)."""
    return not app.is_headless and app.console._color_system is ColorSystem.STANDARD


def sixteen_colours() -> Image.Image:
    """Return an image with the colours of a terminal with 16 of them, which Rich then sends unchanged."""
    from PIL import Image as pillow  # noqa: N813

    image = pillow.new("P", (1, 1))
    image.putpalette([part for number in range(16) for part in STANDARD_PALETTE[number]])
    return image


def _line(upper: bytes, lower: bytes) -> CellStrip:
    cells = [(upper[x : x + 3], lower[x : x + 3]) for x in range(0, len(upper), 3)]
    runs = ((pair, sum(1 for _ in same)) for pair, same in groupby(cells))
    # A blank where both pixels are equal: some fonts leave a seam around the half block.
    return CellStrip(
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
    kitty: KittyImage | None = None
    """Kitty's image, which the terminal needs before it shows the placeholders."""

    @property
    def is_lost(self) -> bool:
        return self.kitty is not None and self.kitty.is_lost


def encode(
    protocol: str, image: Image.Image, columns: int, rows: int, stored: KittyImage | None = None
) -> Encoded | None:
    """Encode for `protocol` and so many cells; None if that fails. Not for the UI thread.

    Args:
        stored: The same image as it was prepared for another size, which need not be sent again.
    """
    try:
        return (
            _encode_kitty(image, columns, rows, stored) if protocol == "kitty" else _encode_sixel(image, columns, rows)
        )
    except Exception:  # no room for a file, an image of no pixels: the half cells stay
        return None


def _encode_kitty(image: Image.Image, columns: int, rows: int, stored: KittyImage | None) -> Encoded:
    from workbench.images.kitty import encode_kitty  # only for terminals with these graphics

    width, height = cell_pixels()
    most = columns * width, rows * height
    if stored is None or stored.pixels < min(image.size, most):
        stored = encode_kitty(image, by_file=reads_files(), most=most)
    name = Style(color=f"#{stored.number:06x}")
    return Encoded([CellStrip([Segment(line, name)], columns) for line in stored.lines(columns, rows)], kitty=stored)


def _encode_sixel(image: Image.Image, columns: int, rows: int) -> Encoded:
    from workbench.images.sixel import encode_sixels  # only for terminals with these graphics

    width, height = cell_pixels()
    sixels = encode_sixels(image, (columns * width, rows * height))
    covered = Style.from_meta({GRAPHIC: next(_graphic_numbers)})
    return Encoded([Strip([Segment(" " * columns, covered)], columns)] * rows, sixels)


class _Size(NamedTuple):
    """Size of a prepared image: cells, and the pixels of a cell, which change with the font."""

    columns: int
    rows: int
    cell: tuple[int, int]


class _Prepared(Generic[T]):
    """What is ready to be drawn of the images used last. Threads share it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._ready: OrderedDict[tuple[Thumbnail, _Size], T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, thumbnail: Thumbnail, size: _Size) -> T | None:
        with self._lock:
            if (thumbnail, size) in self._ready:
                self._ready.move_to_end((thumbnail, size))
            return self._ready.get((thumbnail, size))

    def all_of(self, thumbnail: Thumbnail) -> list[T]:
        """Return what is ready of this image in any size."""
        with self._lock:
            return [ready for (of, _), ready in self._ready.items() if of is thumbnail]

    def put(self, thumbnail: Thumbnail, size: _Size, ready: T) -> None:
        with self._lock:
            self._ready[thumbnail, size] = ready
            self._ready.move_to_end((thumbnail, size))
            while len(self._ready) > self._most:
                self._ready.popitem(last=False)


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
        self._palette: Image.Image | None = None
        """The colours of half cells; None: all colours."""
        self._strips = _Prepared[list[CellStrip]](_MOST_STRIPS)
        self._encoded = _Prepared[Encoded](_MOST_ENCODED)
        self._sharpening: tuple[Thumbnail, _Size] | None = None
        """The image that is being encoded, or could not be."""
        self._behind_modal = False
        self.is_stale = False
        """Whether its newest content is not in any frame yet."""

    def on_mount(self) -> None:
        if has_sixteen_colours(self.app):
            self._palette = sixteen_colours()

    @property
    def thumbnail(self) -> Thumbnail | None:
        return self._thumbnail

    def show(self, thumbnail: Thumbnail | None, alt: str = "", *, cells: tuple[int, int] | None = None) -> None:
        """Show `thumbnail`; if it has no image, its problem, else `alt` (data text is allowed).

        The same image in the same size draws nothing.

        `cells`: columns and rows of the image; default: as many as fit.
        """
        problem = thumbnail.problem if thumbnail is not None else None
        content = thumbnail, cells, display_text(problem or alt)
        if content == (self._thumbnail, self._cells, self._text):
            return
        self._thumbnail, self._cells, self._text = content
        self.is_stale = True
        self._redraw()

    def prepare(self, thumbnail: Thumbnail, columns: int, rows: int) -> None:
        """Scale or encode an image that will be shown in so many cells. Not for the UI thread."""
        size = _Size(columns, rows, cell_pixels())
        if thumbnail.image is None or self._protocol == "none" or columns < 1 or rows < 1:
            return
        if self._protocol in _GRAPHICS:
            self._encode(thumbnail, thumbnail.image, size)
        elif self._strips.get(thumbnail, size) is None:
            strips = half_cells(thumbnail.image, columns, rows, self._palette)
            system = colour_system(self.app.console)
            for strip in strips:
                strip.written(system)
            self._strips.put(thumbnail, size, strips)

    def _encode(self, thumbnail: Thumbnail, image: Image.Image, size: _Size) -> None:
        before = self._encoded.get(thumbnail, size)
        if before is None or before.is_lost:
            other = next((each.kitty for each in self._encoded.all_of(thumbnail) if not each.is_lost), None)
            encoded = encode(self._protocol, image, size.columns, size.rows, other)
            if encoded is not None:
                self._encoded.put(thumbnail, size, encoded)

    @property
    def shown_as(self) -> PictureShown:
        """How the image was shown to the annotator; screens above do not matter."""
        if self._image() is None:
            return PictureShown.NONE
        return PictureShown.PIXELS if self._encoding(self._place()) is not None else PictureShown.CELLS

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
        image = self._image()
        return super().render_line(y) if image is None else self._image_lines(image, [y])[0]

    def _image_lines(self, image: Image.Image, numbers: Iterable[int]) -> list[Strip]:
        """Return lines of the image with the blanks beside it."""
        assert self._thumbnail is not None
        place, width, blank = self._place(), self.content_size.width, self._style_beside()
        rows = self._rows(self._thumbnail, image, place) if place else []
        left, right = _blanks(place.x, blank), _blanks(width - place.right, blank)
        return [
            Strip.blank(width, blank)
            if not place.y <= y < place.bottom
            else rows[y - place.y]
            if place.width == width
            else Strip([*left, *rows[y - place.y], *right], width)
            for y in numbers
        ]

    def _lines(self, crop: Region) -> list[Strip]:
        """Return the lines of an image as they are, without Textual's work on styles, which changes none of them."""
        image = self._image()
        if image is None or self.gutter != (0, 0, 0, 0):
            return super().render_lines(crop)
        lines = self._image_lines(image, crop.line_range)
        return lines if crop.column_span == (0, self.size.width) else [each.crop(*crop.column_span) for each in lines]

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return all lines, with the sixels in the image's last line: text drawn later would erase them."""
        self.is_stale = False
        encoded = self._ready(self._place())
        if encoded is None and self._protocol in _GRAPHICS:
            self.call_later(self._encode_missing)  # the font has another size, or the terminal has lost the image
        if encoded is not None and encoded.kitty is not None:
            kitty_store(self.app).keep(encoded.kitty, self._place().size)
        strips = self._lines(crop)
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

    def _rows(self, thumbnail: Thumbnail, image: Image.Image, place: Region) -> Sequence[Strip]:
        encoded = self._ready(place)
        if encoded is not None:
            return encoded.strips
        size = _Size(place.width, place.height, cell_pixels())
        strips = self._strips.get(thumbnail, size)
        if strips is None:
            strips = half_cells(image, place.width, place.height, self._palette)
            self._strips.put(thumbnail, size, strips)
        return strips

    def _encoding(self, place: Region) -> Encoded | None:
        """Return the image in the terminal's graphics, if it is encoded for this size."""
        if self._thumbnail is None:
            return None
        encoded = self._encoded.get(self._thumbnail, _Size(place.width, place.height, cell_pixels()))
        return None if encoded is None or encoded.is_lost else encoded

    def _ready(self, place: Region) -> Encoded | None:
        """Return the image in the terminal's graphics, if it can be drawn now."""
        return None if self._behind_modal else self._encoding(place)

    def _redraw(self) -> None:
        self.refresh()
        self._encode_missing()

    def _encode_missing(self) -> None:
        """Start to encode the image, unless that is done, under way, or has failed."""
        thumbnail, image, place = self._thumbnail, self._image(), self._place()
        if thumbnail is None or image is None or not place or self._protocol not in _GRAPHICS or not self.is_mounted:
            return
        size = _Size(place.width, place.height, cell_pixels())
        if self._encoding(place) is None and self._sharpening != (thumbnail, size):
            self._sharpening = thumbnail, size
            self._sharpen(thumbnail, image, size)

    @work(exclusive=True, group="sharpen", exit_on_error=False)
    async def _sharpen(self, thumbnail: Thumbnail, image: Image.Image, size: _Size) -> None:
        """Encode the current image after a moment; a newer call cancels this one."""
        await asyncio.sleep(SETTLE_SECONDS)
        await asyncio.to_thread(self._encode, thumbnail, image, size)
        if self._encoded.get(thumbnail, size) is not None:
            self._sharpening = None
            self.refresh()


def _blanks(length: int, style: Style) -> list[Segment]:
    return [Segment(" " * length, style)] if length else []


def _overlay(sixels: str, place: Region) -> Segment:
    """Return sixels as a control segment, which takes no cell; the cursor returns to its position."""
    there = f"\x1b[{place.y + 1};{place.x + 1}H"
    return Segment(f"\x1b7{there}{sixels}\x1b8", _NO_STYLE, [(ControlType.CURSOR_FORWARD, 0)])
