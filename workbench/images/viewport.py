"""Zoom and pan of an image: which part is visible, and at which scale. Uses no widget.

An image is measured in its pixels, the screen in dots. In half cells a cell has 1 x 2 dots, with graphics protocols as
many as it has pixels. At 100 % a dot shows one pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

Pair = tuple[float, float]
LADDER = (0.05, 0.1, 0.17, 0.25, 0.33, 0.5, 0.67, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
"""The scales of `+` and `-`, in dots per pixel."""
_PIXELS_SHOW = 4.0
"""From this scale on, pixels are drawn as squares; at smaller scales they are interpolated."""


@dataclass(frozen=True, slots=True)
class Canvas:
    columns: int
    rows: int
    dots: tuple[int, int] = (1, 2)
    """Dots of a cell, across and down."""
    cell: tuple[int, int] = (10, 20)
    """Width and height of a cell; only their ratio matters."""

    @property
    def size(self) -> tuple[int, int]:
        """Dots across and down."""
        return max(1, self.columns * self.dots[0]), max(1, self.rows * self.dots[1])

    @property
    def tall(self) -> float:
        """Height of a dot divided by its width."""
        return (self.cell[1] / self.dots[1]) / (self.cell[0] / self.dots[0])


@dataclass(frozen=True, slots=True)
class Viewport:
    picture: tuple[int, int]
    """Width and height of the image in pixels."""
    canvas: Canvas
    scale: float
    """Dots across for each pixel."""
    centre: Pair
    """The pixel in the middle of the view."""

    @classmethod
    def fitting(cls, picture: tuple[int, int], canvas: Canvas) -> Viewport:
        """Return a view of the whole image, as large as possible."""
        width, height = canvas.size
        scale = min(width / picture[0], height * canvas.tall / picture[1])
        return cls(picture, canvas, scale, (picture[0] / 2, picture[1] / 2))

    @property
    def seen(self) -> Pair:
        """Width and height of the visible part, in pixels."""
        width, height = self.canvas.size
        return min(self.picture[0], width / self.scale), min(self.picture[1], height * self.canvas.tall / self.scale)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the visible part, in pixels."""
        (width, height), (x, y) = self.seen, self.centre
        left, top = max(0.0, x - width / 2), max(0.0, y - height / 2)
        return left, top, min(self.picture[0], left + width), min(self.picture[1], top + height)

    @property
    def cells(self) -> tuple[int, int]:
        """Columns and rows of the drawn part."""
        width, height = self.seen
        columns = round(width * self.scale / self.canvas.dots[0])
        rows = round(height * self.scale / self.canvas.tall / self.canvas.dots[1])
        return max(1, min(self.canvas.columns, columns)), max(1, min(self.canvas.rows, rows))

    @property
    def fits(self) -> bool:
        """Whether the view shows the whole image, as `fitting` does."""
        return abs(self.scale / Viewport.fitting(self.picture, self.canvas).scale - 1) < 1e-6

    def fitted(self) -> Viewport:
        """Return a view of the whole image."""
        return Viewport.fitting(self.picture, self.canvas)

    def stepped(self, by: int, at: Pair | None = None) -> Viewport:
        """Return a view at the next larger scale (`by` > 0) or smaller one, at least with the whole image."""
        fit = Viewport.fitting(self.picture, self.canvas).scale
        stops = sorted({*LADDER, fit})
        if by > 0:
            target = next((stop for stop in stops if stop > self.scale * 1.001), max(self.scale, stops[-1]))
        else:
            target = next((stop for stop in reversed(stops) if stop < self.scale * 0.999), self.scale)
            target = max(target, min(fit, 1.0, self.scale))
        return self.scaled(target, at)

    def scaled(self, scale: float, at: Pair | None = None) -> Viewport:
        """Return a view at another scale; the pixel at `at` (in dots; by default the middle) stays in its place."""
        (x, y), (width, height) = self.centre, self.canvas.size
        right, down = (0.0, 0.0) if at is None else (at[0] - width / 2, (at[1] - height / 2) * self.canvas.tall)
        grown = 1 / self.scale - 1 / scale
        return replace(self, scale=scale, centre=(x + right * grown, y + down * grown))._inside()

    def panned(self, right: float, down: float) -> Viewport:
        """Return a view moved by so many dots."""
        (x, y), tall = self.centre, self.canvas.tall
        return replace(self, centre=(x + right / self.scale, y + down * tall / self.scale))._inside()

    def on(self, canvas: Canvas) -> Viewport:
        """Return the same view on another canvas; a view of the whole image stays one."""
        moved = replace(self, canvas=canvas)
        return moved.fitted() if self.fits else moved._inside()

    def _inside(self) -> Viewport:
        (width, height), (x, y), (w, h) = self.seen, self.centre, self.picture
        return replace(self, centre=(min(max(x, width / 2), w - width / 2), min(max(y, height / 2), h - height / 2)))


def drawn(image: Image.Image, viewport: Viewport) -> Image.Image:
    """Return the visible part of an image, with a pixel for each dot. `image` may be reduced."""
    from PIL import Image as pillow  # noqa: N813, PLC0415  # imported already when the image was decoded

    detail = image.width / viewport.picture[0], image.height / viewport.picture[1]
    box = tuple(edge * detail[side % 2] for side, edge in enumerate(viewport.box))
    columns, rows = viewport.cells
    size = columns * viewport.canvas.dots[0], rows * viewport.canvas.dots[1]
    scale = viewport.scale / detail[0]
    if scale >= _PIXELS_SHOW:
        return image.resize(size, pillow.Resampling.NEAREST, box=box)  # type: ignore[arg-type]
    filter_ = pillow.Resampling.BICUBIC if scale >= 1 else pillow.Resampling.HAMMING  # Lanczos draws rings at edges
    return image.resize(size, filter_, box=box, reducing_gap=3.0)  # type: ignore[arg-type]
