"""Draws a scene: small and plain for the tiny CLIP, or large with a backdrop for annotators; the geometry is the same.

All jitter comes from the instance's seed; everything that a caption may state comes from the scene.
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
"""Width of outlines in percent of an instance's frame: one pixel of a small image."""
_JITTER = 1.5
TINT = 20
"""Maximum deviation of a signature colour, per channel."""
_BODY_TINT = 10


def _tinted(rng: random.Random, rgb: RGB, by: int) -> RGB:
    red, green, blue = (max(0, min(255, part + rng.randint(-by, by))) for part in rgb)
    return (red, green, blue)


@dataclass(frozen=True, slots=True)
class SceneLayout:
    """Geometry of an instance as its seed determines it."""

    scale: float
    """Scale of the frame: 0.88 to 1."""
    offset: Point
    """Offset of the frame's corner, in percent of the box."""
    body: RGB
    places: Mapping[str, tuple[Point, RGB]]
    """Centre of each possible thing in percent of the frame, and its colour."""


def _jittered(rng: random.Random, attachment: Attachment) -> Point:
    x, y = rng.uniform(-_JITTER, _JITTER), rng.uniform(-_JITTER, _JITTER)
    return attachment.x + x, attachment.y + y


def layout(instance: Instance) -> SceneLayout:
    """Compute the layout of `instance`; it does not depend on the instance's things."""
    rng = random.Random(instance.seed)
    scale = rng.uniform(0.88, 1.0)
    # any horizontal offset; a low vertical one, near the ground
    offset = (rng.uniform(0, 1 - scale) * 100, rng.uniform(0.5, 1) * (1 - scale) * 100)
    body = _tinted(rng, COLOURS[instance.anchor][instance.colour], _BODY_TINT)
    places = {
        thing: (_jittered(rng, attachment), _tinted(rng, object_shapes.SIGNATURE[thing], TINT))
        for thing, attachment in ATTACHMENTS[instance.anchor].items()
    }
    return SceneLayout(scale, offset, body, places)


def paint_instance(draw: ImageDraw.ImageDraw, instance: Instance, origin: Point, side: float) -> None:
    """Draw an anchor with its things on a square of `side` pixels at `origin`."""
    plan, unit = layout(instance), side / 100
    corner = (origin[0] + plan.offset[0] * unit, origin[1] + plan.offset[1] * unit)
    canvas = DrawingCanvas(draw, unit * plan.scale, corner, OUTLINE)
    scene_shapes.PAINTERS[instance.anchor](canvas, plan.body, random.Random(instance.seed + 1))
    for thing, (at, rgb) in plan.places.items():
        if thing in instance.things:
            attachment = ATTACHMENTS[instance.anchor][thing]
            object_shapes.paint_thing(canvas, thing, at, attachment.size, tie=attachment.tie, rgb=rgb)


def _paint(scene: Scene, image: Image.Image, side: float) -> None:
    draw = ImageDraw.Draw(image)
    for instance in scene.instances:
        x, y = instance.box[0] * len(scene.instances) * side, instance.box[1] * side
        paint_instance(draw, instance, (x, y), side)


def draw_small(scene: Scene) -> Image.Image:
    """Draw the image for the tiny CLIP: `SMALL` pixels per instance, plain background, 3x supersampled."""
    side = SMALL * 3
    image = Image.new("RGB", (side * len(scene.instances), side), PLAIN)
    _paint(scene, image, side)
    return image.reduce(3)


def draw_large(scene: Scene, size: int = LARGE) -> Image.Image:
    """Draw the image for annotators: `size` pixels per instance, with the scene's backdrop, 2x supersampled."""
    side = size * 2
    image = _backdrop(scene.setting, side * len(scene.instances), side).copy()
    _paint(scene, image, side)
    return image.reduce(2)


def jpeg(scene: Scene, size: int = LARGE) -> bytes:
    """Return the large image as the bytes of a JPEG file."""
    out = io.BytesIO()
    draw_large(scene, size).save(out, "JPEG", quality=90)
    return out.getvalue()


def pixel_box(scene: Scene, image: Image.Image, index: int) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of instance `index` in `image`."""
    x, y, width, height = scene.instances[index].box
    box = (x * image.width, y * image.height, (x + width) * image.width, (y + height) * image.height)
    left, top, right, bottom = (round(part) for part in box)
    return left, top, right, bottom


def crop(scene: Scene, image: Image.Image, index: int) -> Image.Image:
    """Return the part of `image` in the box of instance `index`."""
    return image.crop(pixel_box(scene, image, index))


def _gradient(width: int, height: int, top: RGB, bottom: RGB) -> Image.Image:
    strip = Image.new("RGB", (1, 2))
    strip.putpixel((0, 0), top)
    strip.putpixel((0, 1), bottom)
    # sample between the centres of the two pixels: the gradient covers the whole height
    return strip.resize((width, height), Image.Resampling.BILINEAR, box=(0, 0.5, 1, 1.5))


def _cloud(draw: ImageDraw.ImageDraw, x: float, y: float, size: float) -> None:
    for dx, dy, radius in ((-1.1, 0.25, 0.6), (0, 0, 0.85), (1.1, 0.25, 0.6)):
        cx, cy, r = x + dx * size, y + dy * size, radius * size
        draw.ellipse([cx - r, cy - r * 0.8, cx + r, cy + r * 0.8], fill=(250, 252, 254))


def _outdoors(width: int, side: int, sky: tuple[RGB, RGB], ground: tuple[RGB, RGB]) -> Image.Image:
    horizon = round(side * 0.76)
    image = _gradient(width, side, *sky)
    draw = ImageDraw.Draw(image)
    for left in range(0, width, side):
        _cloud(draw, left + side * 0.13, side * 0.36, side * 0.06)
        _cloud(draw, left + side * 0.88, side * 0.5, side * 0.045)
    image.paste(_gradient(width, side - horizon, *ground), (0, horizon))
    return image


def _park(width: int, side: int) -> Image.Image:
    image = _outdoors(width, side, ((160, 212, 246), (226, 242, 250)), ((158, 206, 118), (122, 178, 88)))
    draw = ImageDraw.Draw(image)
    for x, rise in ((0.12, 0.1), (0.55, 0.07), (0.95, 0.12)):
        box = [(x - 0.36) * width, (0.76 - rise) * side, (x + 0.36) * width, (0.76 + rise) * side]
        draw.chord(box, 180, 360, fill=(178, 218, 150))
    return image


def _beach(width: int, side: int) -> Image.Image:
    image = _outdoors(width, side, ((150, 212, 244), (222, 242, 250)), ((246, 226, 178), (232, 204, 148)))
    top, bottom = round(side * 0.62), round(side * 0.77)
    image.paste(_gradient(width, bottom - top, (96, 182, 214), (150, 214, 226)), (0, top))
    return image


def _evening(width: int, side: int) -> Image.Image:
    return _outdoors(width, side, ((250, 186, 160), (255, 236, 196)), ((164, 184, 120), (120, 150, 96)))


def _indoors(width: int, side: int, wall: RGB, floor: RGB) -> Image.Image:
    line = round(side * 0.78)
    image = _gradient(width, side, shade(wall, 1.03), wall)
    draw = ImageDraw.Draw(image)
    for x in range(0, width, max(1, side // 6)):
        draw.rectangle([x, 0, x + side // 14, line], fill=shade(wall, 0.975))
    image.paste(_gradient(width, side - line, floor, shade(floor, 0.86)), (0, line))
    draw.rectangle([0, line - side // 40, width, line], fill=(250, 248, 242))
    return image


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
    """Draw a backdrop once per setting and size; callers copy it."""
    return _BACKDROPS[setting](width, side)
