"""Painters of the eight anchors.

Shapes are simple: they must be recognisable at 46 x 44 pixels in a terminal and at 64 x 64 for the tiny CLIP.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from workbench.demo.world.canvas import INK, DrawingCanvas, shade
from workbench.demo.world.world import RGB

SKINS: tuple[RGB, ...] = ((255, 220, 188), (240, 192, 148), (198, 138, 94), (140, 90, 60))
HAIRS: tuple[RGB, ...] = ((62, 42, 32), (120, 70, 34), (32, 28, 34), (206, 150, 62))
BLUSH: RGB = (240, 140, 130)
WOOD: RGB = (134, 90, 56)


def _face(canvas: DrawingCanvas, x: float, y: float, *, mouth: bool = True) -> None:
    for side in (-1, 1):
        canvas.ellipse(x + side * 6, y + 1, 1.9, 2.3, INK, ink=None)
        canvas.ellipse(x + side * 9.4, y + 6, 2.2, 1.5, BLUSH, ink=None)
    if mouth:
        canvas.arc(x, y + 5, 5, 4.2, span=(20, 160), width=1.5)


def _arms(canvas: DrawingCanvas, sleeve: RGB, skin: RGB) -> None:
    for side in (-1, 1):
        canvas.limb([(50 + side * 12, 48), (50 + side * 23, 60)], sleeve, 7)
        canvas.ellipse(50 + side * 24.5, 62, 4.4, 4.4, skin)


def man(canvas: DrawingCanvas, rgb: RGB, rng: random.Random) -> None:
    """A man: short hair, shirt and trousers."""
    skin, hair = rng.choice(SKINS), rng.choice(HAIRS)
    for side in (-1, 1):
        canvas.limb([(50 + side * 6.5, 74), (50 + side * 7.5, 91)], (74, 82, 108), 9)
        canvas.ellipse(50 + side * 9.5, 95, 7, 3.6, (66, 48, 40))
    _arms(canvas, rgb, skin)
    canvas.box(35, 41, 65, 78, rgb, radius=8)
    for side in (-1, 1):
        canvas.ellipse(50 + side * 15.5, 29, 3, 3.6, skin)
    canvas.ellipse(50, 26, 16.5, 17, hair)
    canvas.ellipse(50, 28.5, 15, 14.5, skin)
    canvas.chord(50, 24, 15.8, 14, span=(196, 344), fill=hair)
    _face(canvas, 50, 28)


def woman(canvas: DrawingCanvas, rgb: RGB, rng: random.Random) -> None:
    """A woman: long hair and a wide dress."""
    skin, hair = rng.choice(SKINS), rng.choice(HAIRS)
    canvas.box(31, 14, 69, 54, hair, radius=16)
    for side in (-1, 1):
        canvas.limb([(50 + side * 6, 82), (50 + side * 6, 93)], skin, 5.5)
        canvas.ellipse(50 + side * 8, 95.5, 6, 3.2, (170, 40, 60))
    _arms(canvas, rgb, skin)
    canvas.poly([(42, 41), (58, 41), (64, 52), (62, 60), (76, 85), (24, 85), (38, 60), (36, 52)], rgb)
    canvas.line([(39, 61), (61, 61)], shade(rgb, 0.72), 3)
    canvas.ellipse(50, 28.5, 15.5, 14.5, skin)
    canvas.chord(50, 25, 17, 14.5, span=(186, 354), fill=hair)
    _face(canvas, 50, 28, mouth=False)
    canvas.ellipse(50, 37, 3.4, 1.8, (206, 40, 66), ink=None)


def dog(canvas: DrawingCanvas, rgb: RGB, rng: random.Random) -> None:
    """A dog from the side: long snout, hanging ear, tail up."""
    dark = shade(rgb, 0.72) if sum(rgb) > 300 else shade(rgb, 1.5)
    canvas.limb([(20, 60), (12, 52), (9, 44)], rgb, 5.5)
    for x in (26, 60):
        canvas.limb([(x + 6, 72), (x + 6, 92)], shade(rgb, 0.8), 6.5)
    canvas.poly([(56, 66), (54, 48), (66, 32), (80, 50), (70, 70)], rgb)
    canvas.ellipse(43, 64, 28, 15, rgb)
    canvas.poly([(56, 63), (58, 50), (68, 40), (76, 52), (68, 66)], rgb, ink=None)
    for x in (24, 58):
        canvas.limb([(x, 70), (x, 92)], rgb, 7.5)
    canvas.ellipse(85, 46, 12, 8, rgb)
    canvas.ellipse(72, 38, 15, 14, rgb)
    canvas.ellipse(83, 45.5, 9, 6.4, rgb, ink=None)
    canvas.ellipse(95, 43, 4, 3.6, INK)
    canvas.arc(86, 46, 8, 6, span=(30, 120), width=1.5)
    canvas.ellipse(61, 42, 6.5, 13, dark)
    canvas.ellipse(78, 35, 3.2, 3.6, (255, 255, 255), ink=None)
    canvas.ellipse(79, 35.5, 2, 2.4, INK, ink=None)


def cat(canvas: DrawingCanvas, rgb: RGB, rng: random.Random) -> None:
    """A cat from the front, sitting: pointed ears, whiskers, a curled tail."""
    light = (255, 236, 214) if sum(rgb) > 300 else (120, 114, 126)
    canvas.limb([(64, 90), (80, 86), (86, 72), (82, 60)], rgb, 7.5)
    canvas.ellipse(50, 74, 21, 23, rgb)
    canvas.ellipse(50, 78, 11, 15, light, ink=None)
    for side in (-1, 1):
        canvas.limb([(50 + side * 7, 78), (50 + side * 7, 93)], rgb, 8)
        canvas.poly([(50 + side * 19, 10), (50 + side * 21, 34), (50 + side * 4, 24)], rgb)
        canvas.poly([(50 + side * 17, 16), (50 + side * 18, 28), (50 + side * 9, 23)], (246, 150, 160), ink=None)
    canvas.ellipse(50, 37, 22, 18, rgb)
    for side in (-1, 1):
        canvas.ellipse(50 + side * 8.5, 35, 4.2, 4.8, (190, 232, 90))
        canvas.ellipse(50 + side * 8.5, 35, 1.5, 4, INK, ink=None)
        for rise in (-2, 2):
            canvas.line([(50 + side * 10, 43 + rise / 2), (50 + side * 27, 43 + rise * 1.5)], INK, 1)
    canvas.ellipse(50, 46, 8, 5, light, ink=None)
    canvas.poly([(47, 42), (53, 42), (50, 45.5)], (236, 110, 130))


def table(canvas: DrawingCanvas, rgb: RGB, rng: random.Random) -> None:
    """A table from the front, wide enough for five things."""
    for x in (13, 81):
        canvas.box(x, 58, x + 7, 96, shade(rgb, 0.8))
    canvas.box(12, 58, 88, 67, shade(rgb, 0.86))
    canvas.poly([(8, 46), (92, 46), (97, 55), (3, 55)], shade(rgb, 1.06))
    canvas.box(3, 55, 97, 61, rgb)


def bench(canvas: DrawingCanvas, rgb: RGB, rng: random.Random) -> None:
    """A park bench: two slats of a back, a seat, dark iron legs."""
    iron = (70, 72, 84)
    for x in (11, 83):
        canvas.box(x, 32, x + 6, 95, iron)
    for y in (34, 46):
        canvas.box(4, y, 96, y + 9, rgb, radius=2)
    canvas.box(2, 62, 98, 71, shade(rgb, 1.08), radius=2)
    canvas.box(5, 71, 95, 75, shade(rgb, 0.72))


def house(canvas: DrawingCanvas, rgb: RGB, rng: random.Random) -> None:
    """A house: pitched roof, chimney, door and two windows."""
    roof = (112, 74, 84)
    canvas.box(66, 18, 76, 42, (150, 110, 100))
    canvas.box(20, 46, 80, 96, rgb)
    canvas.poly([(11, 50), (50, 18), (89, 50)], roof)
    canvas.box(43, 68, 57, 96, (122, 78, 48))
    canvas.ellipse(54, 83, 1.5, 1.5, (250, 214, 90), ink=None)
    for x in (32, 68):
        canvas.box(x - 9, 54, x + 9, 72, (112, 168, 206))
    canvas.line([(68, 55), (68, 71)], (250, 250, 250), 1.8)
    canvas.line([(60, 63), (76, 63)], (250, 250, 250), 1.8)


def tree(canvas: DrawingCanvas, rgb: RGB, rng: random.Random) -> None:
    """A tree: brown trunk, a crown of five leafy balls."""
    canvas.poly([(44, 50), (56, 50), (58, 88), (63, 96), (37, 96), (42, 88)], WOOD)
    balls = ((30, 42, 19), (70, 42, 19), (36, 25, 18), (64, 25, 18), (50, 36, 22))
    for x, y, radius in balls:
        canvas.ellipse(x, y, radius, radius, rgb)
    for x, y, radius in balls:
        canvas.ellipse(x, y, radius - 1.6, radius - 1.6, rgb, ink=None)
    for x, y in ((28, 33), (50, 16), (70, 36), (48, 46)):
        canvas.arc(x, y, 6, 5, span=(20, 150), width=1.2)


# fmt: off
PAINTERS: Mapping[str, Callable[[DrawingCanvas, RGB, random.Random], None]] = {
    "man": man, "woman": woman, "dog": dog, "cat": cat,
    "table": table, "bench": bench, "house": house, "tree": tree,
}
# fmt: on
