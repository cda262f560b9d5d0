"""Painters of the twelve things, given a centre (x, y), half the extent `s` and the colour."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from workbench.demo.world.canvas import INK, DrawingCanvas, shade
from workbench.demo.world.world import RGB, Point

SIGNATURE: Mapping[str, RGB] = {
    "apple": (226, 36, 40),
    "bag": (146, 82, 34),
    "ball": (255, 128, 20),
    "balloon": (236, 40, 140),
    "bird": (30, 150, 236),
    "book": (0, 134, 128),
    "cup": (250, 250, 246),
    "flower": (255, 214, 30),
    "glasses": (24, 22, 34),
    "hat": (44, 54, 134),
    "scarf": (136, 206, 44),
    "umbrella": (134, 64, 198),
}
"""One colour per thing, varied by +-20 per image: makes twelve things learnable at 64 pixels."""
WHITE: RGB = (255, 255, 255)
LEAF: RGB = (60, 150, 60)


def apple(canvas: DrawingCanvas, x: float, y: float, s: float, rgb: RGB) -> None:
    """A round apple with a leaf."""
    canvas.ellipse(x, y + s * 0.12, s * 0.92, s * 0.86, rgb)
    canvas.line([(x, y - s * 0.55), (x + s * 0.1, y - s)], INK, s * 0.2)
    canvas.ellipse(x + s * 0.45, y - s * 0.85, s * 0.38, s * 0.2, LEAF)
    canvas.ellipse(x - s * 0.36, y - s * 0.16, s * 0.2, s * 0.24, shade(WHITE, 0.97), ink=None)


def bag(canvas: DrawingCanvas, x: float, y: float, s: float, rgb: RGB) -> None:
    """A handbag: two handles and a flap."""
    canvas.arc(x, y - s * 0.35, s * 0.52, s * 0.62, span=(180, 360), width=s * 0.26)
    canvas.box(x - s, y - s * 0.38, x + s, y + s * 0.95, rgb, radius=s * 0.26)
    canvas.box(x - s * 0.98, y - s * 0.36, x + s * 0.98, y + s * 0.16, shade(rgb, 1.3), radius=s * 0.24)
    canvas.box(x - s * 0.18, y, x + s * 0.18, y + s * 0.36, (250, 214, 90))


def ball(canvas: DrawingCanvas, x: float, y: float, s: float, rgb: RGB) -> None:
    """A beach ball: a broad white band across the colour."""
    canvas.ellipse(x, y, s, s, rgb)
    canvas.line([(x - s * 0.84, y + s * 0.28), (x, y - s * 0.04), (x + s * 0.84, y - s * 0.34)], WHITE, s * 0.34)
    canvas.ellipse(x, y, s, s, None)


def balloon(canvas: DrawingCanvas, x: float, y: float, s: float, rgb: RGB) -> None:
    """A shining balloon with its knot."""
    canvas.poly([(x - s * 0.2, y + s * 1.16), (x + s * 0.2, y + s * 1.16), (x, y + s * 0.8)], rgb)
    canvas.ellipse(x, y, s * 0.88, s, rgb)
    canvas.ellipse(x - s * 0.32, y - s * 0.42, s * 0.17, s * 0.26, WHITE, ink=None)


def bird(canvas: DrawingCanvas, x: float, y: float, s: float, rgb: RGB) -> None:
    """A round bird that looks to the right, on two legs."""
    canvas.line([(x - s * 0.15, y + s * 0.4), (x - s * 0.15, y + s * 0.95)], INK, s * 0.13)
    canvas.line([(x + s * 0.2, y + s * 0.4), (x + s * 0.2, y + s * 0.95)], INK, s * 0.13)
    canvas.poly([(x - s * 0.5, y), (x - s * 1.15, y - s * 0.3), (x - s * 0.95, y + s * 0.3)], shade(rgb, 0.8))
    canvas.poly([(x + s * 0.7, y - s * 0.55), (x + s * 1.25, y - s * 0.3), (x + s * 0.7, y - s * 0.1)], (255, 170, 0))
    canvas.ellipse(x - s * 0.1, y + s * 0.08, s * 0.72, s * 0.56, rgb)
    canvas.ellipse(x + s * 0.45, y - s * 0.42, s * 0.44, s * 0.42, rgb)
    canvas.ellipse(x - s * 0.24, y + s * 0.06, s * 0.36, s * 0.28, shade(rgb, 0.72), ink=None)
    canvas.ellipse(x + s * 0.55, y - s * 0.5, s * 0.13, s * 0.14, INK, ink=None)


def book(canvas: DrawingCanvas, x: float, y: float, s: float, rgb: RGB) -> None:
    """A standing book with a white label and the edge of its pages."""
    canvas.box(x - s * 0.7, y - s * 0.92, x + s * 0.86, y + s * 0.95, WHITE)
    canvas.box(x - s * 0.82, y - s * 0.95, x + s * 0.68, y + s * 0.95, rgb)
    canvas.box(x - s * 0.82, y - s * 0.95, x - s * 0.48, y + s * 0.95, shade(rgb, 0.7), ink=None)
    canvas.box(x - s * 0.28, y - s * 0.6, x + s * 0.44, y - s * 0.12, (255, 244, 190), ink=None)


def cup(canvas: DrawingCanvas, x: float, y: float, s: float, rgb: RGB) -> None:
    """A white mug with coffee, its handle to the right."""
    canvas.ring(x + s * 0.7, y + s * 0.2, s * 0.46, fill=(226, 226, 232), ink=INK, width=s * 0.22)
    canvas.poly(
        [
            (x - s * 0.8, y - s * 0.6),
            (x + s * 0.7, y - s * 0.6),
            (x + s * 0.54, y + s * 0.95),
            (x - s * 0.64, y + s * 0.95),
        ],
        rgb,
    )
    canvas.ellipse(x - s * 0.05, y - s * 0.6, s * 0.75, s * 0.24, (112, 66, 40))
    canvas.line([(x - s * 0.66, y + s * 0.24), (x + s * 0.55, y + s * 0.24)], (66, 190, 214), s * 0.3)


def flower(canvas: DrawingCanvas, x: float, y: float, s: float, rgb: RGB) -> None:
    """A flower on its stem: five petals around a brown heart."""
    canvas.limb([(x, y - s * 0.2), (x, y + s * 0.96)], LEAF, s * 0.14)
    canvas.ellipse(x + s * 0.38, y + s * 0.55, s * 0.36, s * 0.17, LEAF)
    cy, reach = y - s * 0.4, s * 0.42
    for petal in range(5):
        angle = math.radians(petal * 72 - 90)
        canvas.ellipse(x + reach * math.cos(angle), cy + reach * math.sin(angle), s * 0.33, s * 0.33, rgb)
    canvas.ellipse(x, cy, s * 0.27, s * 0.27, (150, 84, 30))


def glasses(canvas: DrawingCanvas, x: float, y: float, s: float, rgb: RGB) -> None:
    """Thick dark rims, pale lenses with the eye showing through."""
    canvas.line([(x - s, y), (x + s, y)], rgb, s * 0.2)
    for side in (-1, 1):
        cx = x + side * s * 0.52
        canvas.ring(cx, y, s * 0.48, fill=(186, 228, 250), ink=rgb, width=s * 0.19)
        canvas.ellipse(cx, y, s * 0.13, s * 0.13, INK, ink=None)


def hat(canvas: DrawingCanvas, x: float, y: float, s: float, rgb: RGB) -> None:
    """A hat with a broad brim and a light band."""
    canvas.box(x - s * 0.58, y - s * 0.68, x + s * 0.58, y + s * 0.3, rgb, radius=s * 0.24)
    canvas.box(x - s * 0.58, y - s * 0.14, x + s * 0.58, y + s * 0.16, (250, 226, 150), ink=None)
    canvas.ellipse(x, y + s * 0.3, s, s * 0.22, rgb)


def scarf(canvas: DrawingCanvas, x: float, y: float, s: float, rgb: RGB) -> None:
    """A scarf around a neck, one striped end hanging down."""
    canvas.box(x + s * 0.12, y, x + s * 0.6, y + s * 1.1, rgb, radius=s * 0.1)
    canvas.line([(x + s * 0.18, y + s * 0.72), (x + s * 0.54, y + s * 0.72)], WHITE, s * 0.16)
    canvas.box(x - s, y - s * 0.3, x + s, y + s * 0.24, rgb, radius=s * 0.27)
    canvas.line([(x - s * 0.45, y - s * 0.2), (x - s * 0.45, y + s * 0.14)], WHITE, s * 0.16)


def umbrella(canvas: DrawingCanvas, x: float, y: float, s: float, rgb: RGB) -> None:
    """An open umbrella's canopy with light panels and a scalloped rim."""
    top = y + s * 0.3
    canvas.line([(x, y - s * 0.95), (x, y - s * 0.5)], INK, s * 0.14)
    canvas.chord(x, top, s, s * 1.05, span=(180, 360), fill=rgb)
    canvas.chord(x, top, s * 0.36, s * 1.05, span=(180, 360), fill=shade(rgb, 1.32))


STICKS: Mapping[str, tuple[RGB, float]] = {"balloon": (INK, 1.2), "umbrella": (INK, 3.0)}
"""Colour and width of the line from a thing to its `tie` point."""
# fmt: off
PAINTERS: Mapping[str, Callable[[DrawingCanvas, float, float, float, RGB], None]] = {
    "apple": apple, "bag": bag, "ball": ball, "balloon": balloon, "bird": bird, "book": book,
    "cup": cup, "flower": flower, "glasses": glasses, "hat": hat, "scarf": scarf, "umbrella": umbrella,
}
# fmt: on


def paint_thing(canvas: DrawingCanvas, thing: str, at: Point, size: float, *, tie: Point | None, rgb: RGB) -> None:
    """Draw a thing at its place, with its string or stick."""
    x, y = at
    if tie is not None:
        ink, width = STICKS[thing]
        start = (x, y + size * 1.1) if thing == "balloon" else (x, y)
        canvas.line([start, tie], ink, width)
    PAINTERS[thing](canvas, x, y, size, rgb)
