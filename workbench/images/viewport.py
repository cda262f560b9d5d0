"""Which part of a picture is seen, and how large: the arithmetic of zoom and pan. Knows no widget.

A picture is measured in its own pixels, a screen in dots: what the terminal draws with. A cell of half cells has
1 x 2 of them, one of Kitty's graphics as many as it has pixels. 100 % is a dot for each pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

Pair = tuple[float, float]
LADDER = (0.05, 0.1, 0.17, 0.25, 0.33, 0.5, 0.67, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
"""Where `+` and `-` stop, in dots a pixel."""
_PIXELS_SHOW = 4.0
"""From here on a pixel is a square; below it, blending looks better."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """What there is to draw on."""

    columns: int
    rows: int
    dots: tuple[int, int] = (1, 2)
    """Dots a cell, across and down."""
    cell: tuple[int, int] = (10, 20)
    """The shape of a cell."""

    @property
    def size(self) -> tuple[int, int]:
        """Dots across and down."""
        return max(1, self.columns * self.dots[0]), max(1, self.rows * self.dots[1])

    @property
    def tall(self) -> float:
        """How much taller than wide a dot is."""
        return (self.cell[1] / self.dots[1]) / (self.cell[0] / self.dots[0])


@dataclass(frozen=True, slots=True)
class Viewport:
    """A view of a picture."""

    picture: tuple[int, int]
    """Its size in pixels."""
    canvas: Canvas
    scale: float
    """Dots across for each pixel."""
    centre: Pair
    """The pixel in the middle."""

    @classmethod
    def fitting(cls, picture: tuple[int, int], canvas: Canvas) -> Viewport:
        """All of the picture, as large as it can be."""
        width, height = canvas.size
        scale = min(width / picture[0], height * canvas.tall / picture[1])
        return cls(picture, canvas, scale, (picture[0] / 2, picture[1] / 2))

    @property
    def seen(self) -> Pair:
        """How much of the picture is seen, in pixels."""
        width, height = self.canvas.size
        return min(self.picture[0], width / self.scale), min(self.picture[1], height * self.canvas.tall / self.scale)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of what is seen."""
        (width, height), (x, y) = self.seen, self.centre
        left, top = max(0.0, x - width / 2), max(0.0, y - height / 2)
        return left, top, min(self.picture[0], left + width), min(self.picture[1], top + height)

    @property
    def cells(self) -> tuple[int, int]:
        """Columns and rows that it takes."""
        width, height = self.seen
        columns = round(width * self.scale / self.canvas.dots[0])
        rows = round(height * self.scale / self.canvas.tall / self.canvas.dots[1])
        return max(1, min(self.canvas.columns, columns)), max(1, min(self.canvas.rows, rows))

    @property
    def fits(self) -> bool:
        """Whether it is as `fitting` makes it."""
        return abs(self.scale / Viewport.fitting(self.picture, self.canvas).scale - 1) < 1e-6

    def fitted(self) -> Viewport:
        """All of it."""
        return Viewport.fitting(self.picture, self.canvas)

    def stepped(self, by: int, at: Pair | None = None) -> Viewport:
        """The next larger stop (`by` > 0) or smaller one; all of the picture, where it is larger, is the last."""
        fit = Viewport.fitting(self.picture, self.canvas).scale
        stops = sorted({*LADDER, fit})
        if by > 0:
            wanted = next((stop for stop in stops if stop > self.scale * 1.001), max(self.scale, stops[-1]))
        else:
            wanted = next((stop for stop in reversed(stops) if stop < self.scale * 0.999), self.scale)
            wanted = max(wanted, min(fit, 1.0, self.scale))
        return self.scaled(wanted, at)

    def scaled(self, scale: float, at: Pair | None = None) -> Viewport:
        """At another scale; the pixel below `at` (dots from the canvas' corner; its middle unless told) stays there."""
        (x, y), (width, height) = self.centre, self.canvas.size
        right, down = (0.0, 0.0) if at is None else (at[0] - width / 2, (at[1] - height / 2) * self.canvas.tall)
        grown = 1 / self.scale - 1 / scale
        return replace(self, scale=scale, centre=(x + right * grown, y + down * grown))._inside()

    def panned(self, right: float, down: float) -> Viewport:
        """Moved by so many dots."""
        (x, y), tall = self.centre, self.canvas.tall
        return replace(self, centre=(x + right / self.scale, y + down * tall / self.scale))._inside()

    def on(self, canvas: Canvas) -> Viewport:
        """The same view on another canvas; all of the picture stays all of it."""
        moved = replace(self, canvas=canvas)
        return moved.fitted() if self.fits else moved._inside()

    def _inside(self) -> Viewport:
        (width, height), (x, y), (w, h) = self.seen, self.centre, self.picture
        return replace(self, centre=(min(max(x, width / 2), w - width / 2), min(max(y, height / 2), h - height / 2)))


def drawn(image: Image.Image, lens: Viewport) -> Image.Image:
    """What the lens shows, dot for dot. `image` is the picture, perhaps with fewer pixels than it really has."""
    from PIL import Image as pillow  # noqa: N813, PLC0415  # imported by whoever decoded the image

    detail = image.width / lens.picture[0], image.height / lens.picture[1]
    box = tuple(edge * detail[side % 2] for side, edge in enumerate(lens.box))
    columns, rows = lens.cells
    size = columns * lens.canvas.dots[0], rows * lens.canvas.dots[1]
    scale = lens.scale / detail[0]
    if scale >= _PIXELS_SHOW:
        return image.resize(size, pillow.Resampling.NEAREST, box=box)  # type: ignore[arg-type]
    how = pillow.Resampling.BICUBIC if scale >= 1 else pillow.Resampling.HAMMING  # Lanczos rings round every line
    return image.resize(size, how, box=box, reducing_gap=3.0)  # type: ignore[arg-type]
