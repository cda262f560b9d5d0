"""How the eight anchors look: one painter each.

Shapes are bold: they must read at 46 x 44 pixels in a terminal, and at 64 for the tiny CLIP.
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


def _face(pen: DrawingCanvas, x: float, y: float, *, mouth: bool = True) -> None:
    for side in (-1, 1):
        pen.ellipse(x + side * 6, y + 1, 1.9, 2.3, INK, ink=None)
        pen.ellipse(x + side * 9.4, y + 6, 2.2, 1.5, BLUSH, ink=None)
    if mouth:
        pen.arc(x, y + 5, 5, 4.2, span=(20, 160), width=1.5)


def _arms(pen: DrawingCanvas, sleeve: RGB, skin: RGB) -> None:
    for side in (-1, 1):
        pen.limb([(50 + side * 12, 48), (50 + side * 23, 60)], sleeve, 7)
        pen.ellipse(50 + side * 24.5, 62, 4.4, 4.4, skin)


def man(pen: DrawingCanvas, rgb: RGB, rng: random.Random) -> None:
    """A man: short hair, shirt and trousers."""
    skin, hair = rng.choice(SKINS), rng.choice(HAIRS)
    for side in (-1, 1):
        pen.limb([(50 + side * 6.5, 74), (50 + side * 7.5, 91)], (74, 82, 108), 9)
        pen.ellipse(50 + side * 9.5, 95, 7, 3.6, (66, 48, 40))
    _arms(pen, rgb, skin)
    pen.box(35, 41, 65, 78, rgb, radius=8)
    for side in (-1, 1):
        pen.ellipse(50 + side * 15.5, 29, 3, 3.6, skin)
    pen.ellipse(50, 26, 16.5, 17, hair)
    pen.ellipse(50, 28.5, 15, 14.5, skin)
    pen.chord(50, 24, 15.8, 14, span=(196, 344), fill=hair)
    _face(pen, 50, 28)


def woman(pen: DrawingCanvas, rgb: RGB, rng: random.Random) -> None:
    """A woman: long hair and a wide dress."""
    skin, hair = rng.choice(SKINS), rng.choice(HAIRS)
    pen.box(31, 14, 69, 54, hair, radius=16)
    for side in (-1, 1):
        pen.limb([(50 + side * 6, 82), (50 + side * 6, 93)], skin, 5.5)
        pen.ellipse(50 + side * 8, 95.5, 6, 3.2, (170, 40, 60))
    _arms(pen, rgb, skin)
    pen.poly([(42, 41), (58, 41), (64, 52), (62, 60), (76, 85), (24, 85), (38, 60), (36, 52)], rgb)
    pen.line([(39, 61), (61, 61)], shade(rgb, 0.72), 3)
    pen.ellipse(50, 28.5, 15.5, 14.5, skin)
    pen.chord(50, 25, 17, 14.5, span=(186, 354), fill=hair)
    _face(pen, 50, 28, mouth=False)
    pen.ellipse(50, 37, 3.4, 1.8, (206, 40, 66), ink=None)


def dog(pen: DrawingCanvas, rgb: RGB, rng: random.Random) -> None:
    """A dog from the side: long snout, hanging ear, tail up."""
    dark = shade(rgb, 0.72) if sum(rgb) > 300 else shade(rgb, 1.5)
    pen.limb([(20, 60), (12, 52), (9, 44)], rgb, 5.5)
    for x in (26, 60):
        pen.limb([(x + 6, 72), (x + 6, 92)], shade(rgb, 0.8), 6.5)
    pen.poly([(56, 66), (54, 48), (66, 32), (80, 50), (70, 70)], rgb)
    pen.ellipse(43, 64, 28, 15, rgb)
    pen.poly([(56, 63), (58, 50), (68, 40), (76, 52), (68, 66)], rgb, ink=None)
    for x in (24, 58):
        pen.limb([(x, 70), (x, 92)], rgb, 7.5)
    pen.ellipse(85, 46, 12, 8, rgb)
    pen.ellipse(72, 38, 15, 14, rgb)
    pen.ellipse(83, 45.5, 9, 6.4, rgb, ink=None)
    pen.ellipse(95, 43, 4, 3.6, INK)
    pen.arc(86, 46, 8, 6, span=(30, 120), width=1.5)
    pen.ellipse(61, 42, 6.5, 13, dark)
    pen.ellipse(78, 35, 3.2, 3.6, (255, 255, 255), ink=None)
    pen.ellipse(79, 35.5, 2, 2.4, INK, ink=None)


def cat(pen: DrawingCanvas, rgb: RGB, rng: random.Random) -> None:
    """A cat from the front, sitting: pointed ears, whiskers, a curled tail."""
    light = (255, 236, 214) if sum(rgb) > 300 else (120, 114, 126)
    pen.limb([(64, 90), (80, 86), (86, 72), (82, 60)], rgb, 7.5)
    pen.ellipse(50, 74, 21, 23, rgb)
    pen.ellipse(50, 78, 11, 15, light, ink=None)
    for side in (-1, 1):
        pen.limb([(50 + side * 7, 78), (50 + side * 7, 93)], rgb, 8)
        pen.poly([(50 + side * 19, 10), (50 + side * 21, 34), (50 + side * 4, 24)], rgb)
        pen.poly([(50 + side * 17, 16), (50 + side * 18, 28), (50 + side * 9, 23)], (246, 150, 160), ink=None)
    pen.ellipse(50, 37, 22, 18, rgb)
    for side in (-1, 1):
        pen.ellipse(50 + side * 8.5, 35, 4.2, 4.8, (190, 232, 90))
        pen.ellipse(50 + side * 8.5, 35, 1.5, 4, INK, ink=None)
        for rise in (-2, 2):
            pen.line([(50 + side * 10, 43 + rise / 2), (50 + side * 27, 43 + rise * 1.5)], INK, 1)
    pen.ellipse(50, 46, 8, 5, light, ink=None)
    pen.poly([(47, 42), (53, 42), (50, 45.5)], (236, 110, 130))


def table(pen: DrawingCanvas, rgb: RGB, rng: random.Random) -> None:
    """A table from the front, wide enough for five things."""
    for x in (13, 81):
        pen.box(x, 58, x + 7, 96, shade(rgb, 0.8))
    pen.box(12, 58, 88, 67, shade(rgb, 0.86))
    pen.poly([(8, 46), (92, 46), (97, 55), (3, 55)], shade(rgb, 1.06))
    pen.box(3, 55, 97, 61, rgb)


def bench(pen: DrawingCanvas, rgb: RGB, rng: random.Random) -> None:
    """A park bench: two slats of a back, a seat, dark iron legs."""
    iron = (70, 72, 84)
    for x in (11, 83):
        pen.box(x, 32, x + 6, 95, iron)
    for y in (34, 46):
        pen.box(4, y, 96, y + 9, rgb, radius=2)
    pen.box(2, 62, 98, 71, shade(rgb, 1.08), radius=2)
    pen.box(5, 71, 95, 75, shade(rgb, 0.72))


def house(pen: DrawingCanvas, rgb: RGB, rng: random.Random) -> None:
    """A house: pitched roof, chimney, door and two windows."""
    roof = (112, 74, 84)
    pen.box(66, 18, 76, 42, (150, 110, 100))
    pen.box(20, 46, 80, 96, rgb)
    pen.poly([(11, 50), (50, 18), (89, 50)], roof)
    pen.box(43, 68, 57, 96, (122, 78, 48))
    pen.ellipse(54, 83, 1.5, 1.5, (250, 214, 90), ink=None)
    for x in (32, 68):
        pen.box(x - 9, 54, x + 9, 72, (112, 168, 206))
    pen.line([(68, 55), (68, 71)], (250, 250, 250), 1.8)
    pen.line([(60, 63), (76, 63)], (250, 250, 250), 1.8)


def tree(pen: DrawingCanvas, rgb: RGB, rng: random.Random) -> None:
    """A tree: brown trunk, a crown of five leafy balls."""
    pen.poly([(44, 50), (56, 50), (58, 88), (63, 96), (37, 96), (42, 88)], WOOD)
    balls = ((30, 42, 19), (70, 42, 19), (36, 25, 18), (64, 25, 18), (50, 36, 22))
    for x, y, radius in balls:
        pen.ellipse(x, y, radius, radius, rgb)
    for x, y, radius in balls:
        pen.ellipse(x, y, radius - 1.6, radius - 1.6, rgb, ink=None)
    for x, y in ((28, 33), (50, 16), (70, 36), (48, 46)):
        pen.arc(x, y, 6, 5, span=(20, 150), width=1.2)


# fmt: off
PAINTERS: Mapping[str, Callable[[DrawingCanvas, RGB, random.Random], None]] = {
    "man": man, "woman": woman, "dog": dog, "cat": cat,
    "table": table, "bench": bench, "house": house, "tree": tree,
}
# fmt: on
