"""Drawing of outlined shapes in percent of an instance's frame.

Polygons are outlined with lines for speed: Pillow's wide polygon outline composites a whole mask.
"""

from __future__ import annotations

from collections.abc import Sequence

from PIL import ImageDraw

from workbench.demo.world.world import RGB, Point

INK: RGB = (44, 38, 52)


def shade(rgb: RGB, factor: float) -> RGB:
    """Return `rgb` darker (factor < 1) or lighter (factor > 1)."""
    red, green, blue = (max(0, min(255, round(part * factor))) for part in rgb)
    return (red, green, blue)


class DrawingCanvas:
    """Draws on one instance's square frame."""

    __slots__ = ("_draw", "_k", "_ox", "_oy", "_width")

    def __init__(self, draw: ImageDraw.ImageDraw, scale: float, origin: Point, outline: float) -> None:
        self._draw = draw
        self._k = scale
        self._ox, self._oy = origin
        self._width = max(1, round(outline * scale))

    def _xy(self, points: Sequence[Point]) -> list[Point]:
        return [(self._ox + x * self._k, self._oy + y * self._k) for x, y in points]

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: RGB | None, *, ink: RGB | None = INK) -> None:
        """Draw an ellipse around (x, y)."""
        box = self._xy([(x - rx, y - ry), (x + rx, y + ry)])
        self._draw.ellipse(box, fill=fill, outline=ink, width=self._width if ink else 0)

    def ring(self, x: float, y: float, radius: float, *, fill: RGB, ink: RGB, width: float) -> None:
        """Draw a circle with a border of the given colour and width."""
        box = self._xy([(x - radius, y - radius), (x + radius, y + radius)])
        self._draw.ellipse(box, fill=fill, outline=ink, width=max(1, round(width * self._k)))

    def box(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        fill: RGB,
        *,
        radius: float = 0,
        ink: RGB | None = INK,
    ) -> None:
        """Draw a rectangle, with rounded corners if `radius` is not 0."""
        xy = self._xy([(x0, y0), (x1, y1)])
        width = self._width if ink else 0
        if radius:
            self._draw.rounded_rectangle(xy, radius * self._k, fill=fill, outline=ink, width=width)
        else:
            self._draw.rectangle(xy, fill=fill, outline=ink, width=width)

    def poly(self, points: Sequence[Point], fill: RGB, *, ink: RGB | None = INK) -> None:
        xy = self._xy(points)
        self._draw.polygon(xy, fill=fill)
        if ink:
            self._draw.line([*xy, xy[0], xy[1]], fill=ink, width=self._width, joint="curve")

    def line(self, points: Sequence[Point], colour: RGB, width: float) -> None:
        """Draw a line without an outline."""
        self._draw.line(self._xy(points), fill=colour, width=max(1, round(width * self._k)), joint="curve")

    def limb(self, points: Sequence[Point], fill: RGB, width: float) -> None:
        """Draw a thick line with round ends and an outline: an arm, a leg, a tail."""
        rim = 2 * self._width / self._k
        for colour, wide in ((INK, width + rim), (fill, width)):
            self.line(points, colour, wide)
            for x, y in (points[0], points[-1]):
                self.ellipse(x, y, wide / 2, wide / 2, colour, ink=None)

    def arc(self, x: float, y: float, rx: float, ry: float, *, span: Point, width: float) -> None:
        """Draw part of an ellipse's outline in ink; `span` is in degrees clockwise from the right."""
        box = self._xy([(x - rx, y - ry), (x + rx, y + ry)])
        self._draw.arc(box, *span, fill=INK, width=max(1, round(width * self._k)))

    def chord(self, x: float, y: float, rx: float, ry: float, *, span: Point, fill: RGB) -> None:
        """Draw the part of an ellipse that a straight line cuts off."""
        box = self._xy([(x - rx, y - ry), (x + rx, y + ry)])
        self._draw.chord(box, *span, fill=fill, outline=INK, width=self._width)
