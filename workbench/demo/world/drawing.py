"""Draws a scene: small and plain for a tiny CLIP, large with a backdrop for people. Same geometry and truth.

Deterministic: all jitter comes from the instance's seed; nothing that a caption may speak of is chance here.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageDraw

from workbench.demo.world import object_shapes, scene_shapes
from workbench.demo.world.canvas import DrawingCanvas, shade
from workbench.demo.world.world import ATTACHMENTS, COLOURS, RGB, Attachment, Instance, Point, Scene

SMALL = 64
LARGE = 512
PLAIN: RGB = (232, 236, 240)
OUTLINE = 1.5
"""Of an instance's frame, in percent: one pixel of a small picture."""
_JITTER = 1.5
TINT = 20
"""How far a signature colour strays, per channel."""
_BODY_TINT = 10


def _tinted(rng: random.Random, rgb: RGB, by: int) -> RGB:
    red, green, blue = (max(0, min(255, part + rng.randint(-by, by))) for part in rgb)
    return (red, green, blue)


@dataclass(frozen=True, slots=True)
class SceneLayout:
    """Where everything of one instance goes this time: all that its seed decides about the geometry."""

    scale: float
    """Of the frame: 0.88 to 1."""
    offset: Point
    """Of the frame's corner, in percent of the box."""
    body: RGB
    places: Mapping[str, tuple[Point, RGB]]
    """Each thing's centre in percent of the frame and its tint, also for things that are not there."""

    def thing_box(self, instance: Instance, thing: str) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of a thing, in percent of the instance's box."""
        (x, y), half = self.places[thing][0], ATTACHMENTS[instance.anchor][thing].size
        left, top = self.offset
        corners = (x - half, y - half, x + half, y + half)
        x0, y0, x1, y1 = (corner * self.scale for corner in corners)
        return left + x0, top + y0, left + x1, top + y1


def _jittered(rng: random.Random, attachment: Attachment) -> Point:
    x, y = rng.uniform(-_JITTER, _JITTER), rng.uniform(-_JITTER, _JITTER)
    return attachment.x + x, attachment.y + y


def layout(instance: Instance) -> SceneLayout:
    """The layout of `instance`; the same whatever things it has."""
    rng = random.Random(instance.seed)
    scale = rng.uniform(0.88, 1.0)
    # Sideways anywhere; upright rather low, where the ground is.
    offset = (rng.uniform(0, 1 - scale) * 100, rng.uniform(0.5, 1) * (1 - scale) * 100)
    body = _tinted(rng, COLOURS[instance.anchor][instance.colour], _BODY_TINT)
    places = {
        thing: (_jittered(rng, attachment), _tinted(rng, object_shapes.SIGNATURE[thing], TINT))
        for thing, attachment in ATTACHMENTS[instance.anchor].items()
    }
    return SceneLayout(scale, offset, body, places)


def paint_instance(draw: ImageDraw.ImageDraw, instance: Instance, origin: Point, side: float) -> None:
    """One anchor with its things on a square of `side` pixels at `origin`."""
    plan, unit = layout(instance), side / 100
    corner = (origin[0] + plan.offset[0] * unit, origin[1] + plan.offset[1] * unit)
    pen = DrawingCanvas(draw, unit * plan.scale, corner, OUTLINE)
    scene_shapes.PAINTERS[instance.anchor](pen, plan.body, random.Random(instance.seed + 1))
    for thing, (at, rgb) in plan.places.items():
        if thing in instance.things:
            attachment = ATTACHMENTS[instance.anchor][thing]
            object_shapes.paint_thing(pen, thing, at, attachment.size, tie=attachment.tie, rgb=rgb)


def _paint(scene: Scene, canvas: Image.Image, side: float) -> None:
    draw = ImageDraw.Draw(canvas)
    for instance in scene.instances:
        x, y = instance.box[0] * len(scene.instances) * side, instance.box[1] * side
        paint_instance(draw, instance, (x, y), side)


def draw_small(scene: Scene, size: int = SMALL) -> Image.Image:
    """The picture a tiny CLIP sees: `size` pixels per instance, plain ground, drawn at 3x, averaged down."""
    side = size * 3
    canvas = Image.new("RGB", (side * len(scene.instances), side), PLAIN)
    _paint(scene, canvas, side)
    return canvas.reduce(3)


def draw_large(scene: Scene, size: int = LARGE) -> Image.Image:
    """The picture people see: `size` pixels per instance, with the scene's backdrop, antialiased."""
    side = size * 2
    canvas = _backdrop(scene.setting, side * len(scene.instances), side).copy()
    _paint(scene, canvas, side)
    return canvas.reduce(2)


def jpeg(scene: Scene, size: int = LARGE, quality: int = 90) -> bytes:
    """The large picture as a JPEG file's bytes."""
    out = io.BytesIO()
    draw_large(scene, size).save(out, "JPEG", quality=quality)
    return out.getvalue()


def pixel_box(scene: Scene, picture: Image.Image, index: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of instance `index` in `picture`."""
    x, y, width, height = scene.instances[index].box
    box = (x * picture.width, y * picture.height, (x + width) * picture.width, (y + height) * picture.height)
    left, top, right, bottom = (round(part) for part in box)
    return left, top, right, bottom


def crop(scene: Scene, picture: Image.Image, index: int) -> Image.Image:
    """The part of `picture` in the box of instance `index`."""
    return picture.crop(pixel_box(scene, picture, index))


def _gradient(width: int, height: int, top: RGB, bottom: RGB) -> Image.Image:
    strip = Image.new("RGB", (1, 2))
    strip.putpixel((0, 0), top)
    strip.putpixel((0, 1), bottom)
    # Sampling between the two pixels' centres: the whole height is the ramp.
    return strip.resize((width, height), Image.Resampling.BILINEAR, box=(0, 0.5, 1, 1.5))


def _cloud(draw: ImageDraw.ImageDraw, x: float, y: float, size: float) -> None:
    for dx, dy, radius in ((-1.1, 0.25, 0.6), (0, 0, 0.85), (1.1, 0.25, 0.6)):
        cx, cy, r = x + dx * size, y + dy * size, radius * size
        draw.ellipse([cx - r, cy - r * 0.8, cx + r, cy + r * 0.8], fill=(250, 252, 254))


def _outdoors(width: int, side: int, sky: tuple[RGB, RGB], ground: tuple[RGB, RGB]) -> Image.Image:
    horizon = round(side * 0.76)
    picture = _gradient(width, side, *sky)
    draw = ImageDraw.Draw(picture)
    for left in range(0, width, side):
        _cloud(draw, left + side * 0.13, side * 0.36, side * 0.06)
        _cloud(draw, left + side * 0.88, side * 0.5, side * 0.045)
    picture.paste(_gradient(width, side - horizon, *ground), (0, horizon))
    return picture


def _park(width: int, side: int) -> Image.Image:
    picture = _outdoors(width, side, ((160, 212, 246), (226, 242, 250)), ((158, 206, 118), (122, 178, 88)))
    draw = ImageDraw.Draw(picture)
    for x, rise in ((0.12, 0.1), (0.55, 0.07), (0.95, 0.12)):
        box = [(x - 0.36) * width, (0.76 - rise) * side, (x + 0.36) * width, (0.76 + rise) * side]
        draw.chord(box, 180, 360, fill=(178, 218, 150))
    return picture


def _beach(width: int, side: int) -> Image.Image:
    picture = _outdoors(width, side, ((150, 212, 244), (222, 242, 250)), ((246, 226, 178), (232, 204, 148)))
    top, bottom = round(side * 0.62), round(side * 0.77)
    picture.paste(_gradient(width, bottom - top, (96, 182, 214), (150, 214, 226)), (0, top))
    return picture


def _evening(width: int, side: int) -> Image.Image:
    return _outdoors(width, side, ((250, 186, 160), (255, 236, 196)), ((164, 184, 120), (120, 150, 96)))


def _indoors(width: int, side: int, wall: RGB, floor: RGB) -> Image.Image:
    line = round(side * 0.78)
    picture = _gradient(width, side, shade(wall, 1.03), wall)
    draw = ImageDraw.Draw(picture)
    for x in range(0, width, max(1, side // 6)):
        draw.rectangle([x, 0, x + side // 14, line], fill=shade(wall, 0.975))
    picture.paste(_gradient(width, side - line, floor, shade(floor, 0.86)), (0, line))
    draw.rectangle([0, line - side // 40, width, line], fill=(250, 248, 242))
    return picture


def _room(width: int, side: int) -> Image.Image:
    return _indoors(width, side, (214, 226, 232), (206, 170, 128))


def _cabin(width: int, side: int) -> Image.Image:
    return _indoors(width, side, (214, 228, 204), (176, 148, 122))


_BACKDROPS: Mapping[str, Callable[[int, int], Image.Image]] = {
    "park": _park,
    "beach": _beach,
    "evening": _evening,
    "room": _room,
    "cabin": _cabin,
}


@cache
def _backdrop(setting: str, width: int, side: int) -> Image.Image:
    """Drawn once per setting and size; callers copy it."""
    return _BACKDROPS[setting](width, side)
