"""Draws the boxes of a benchmark item into its image: the right box solid, the others dashed, each with a letter.

The colours are those of Okabe and Ito, which colour-blind readers can tell apart. Runs off the UI thread. Malformed
boxes in a result file are skipped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation_db.foreign_json import finite_number
from workbench.images.decode import Thumbnail, load_full, load_thumbnail

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

RIGHT, OTHER, _DARK = (86, 180, 233), (240, 160, 40), (16, 18, 22)
_SMALLEST = 320
"""Minimum length in pixels of the longer side, so that lines and letters do not hide a small image."""


def letter(place: int) -> str:
    """Return the letter of an option: A, B, … Z, 27, …"""
    return chr(ord("A") + place) if place < 26 else str(place + 1)


def picture_with_boxes(
    path: Path | None, size: tuple[int, int], options: Sequence[Any], target: int | None, *, name: str
) -> Thumbnail:
    """Return the image at `path` in at most `size` pixels with the options drawn in: boxes [x, y, width, height].

    The box `target` is solid, the others are dashed; without a target all are solid.
    """
    thumbnail = load_thumbnail(path, size, name=name)
    if thumbnail.image is None or thumbnail.size is None:
        return thumbnail
    canvas = enlarged(thumbnail.image)
    scale = canvas.width / thumbnail.size[0], canvas.height / thumbnail.size[1]
    last = canvas.width - 1, canvas.height - 1
    order = sorted(range(len(options)), key=lambda place: place == target)  # the target last, on top
    for place in order:
        if (corners := _corners(options[place], scale, last)) is not None:
            right, dashed = place == target, target not in (place, None)
            _draw(canvas, corners, letter(place), shown=max(8, max(size) // 2), right=right, dashed=dashed)
    return replace(thumbnail, image=canvas)


def picture_in_box(path: Path | None, size: tuple[int, int], box: object, *, name: str) -> Thumbnail:
    """Return what the image at `path` shows inside `box`, in at most `size` pixels; the whole image if it is no box."""
    thumbnail = load_full(path, name=name)
    if thumbnail.image is None or thumbnail.size is None:
        return thumbnail
    image = thumbnail.image
    scale = image.width / thumbnail.size[0], image.height / thumbnail.size[1]
    if (corners := _corners(box, scale, image.size)) is not None:
        left, top, right, bottom = corners
        image = image.crop((math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)))
    else:
        image = image.copy()
    image.thumbnail(size)
    return replace(thumbnail, image=image, size=image.size)


def enlarged(image: Image.Image) -> Image.Image:
    """Return a copy of an image, a small one enlarged so that lines and letters do not hide it."""
    times = max(1, math.ceil(_SMALLEST / max(image.size)))
    return image.resize((image.width * times, image.height * times)) if times > 1 else image.copy()


def _corners(
    box: object, scale: tuple[float, float], size: tuple[int, int]
) -> tuple[float, float, float, float] | None:
    """Return left, top, right and bottom within `size`; None if `box` is no valid box."""
    if not isinstance(box, list) or len(box) != 4:
        return None
    numbers = [finite_number(value) for value in box]
    x, y, width, height = (value if value is not None else math.nan for value in numbers)
    if not all(map(math.isfinite, (x, y, width, height))):
        return None
    left, right = (min(max(value * scale[0], 0), size[0]) for value in (x, x + width))
    top, bottom = (min(max(value * scale[1], 0), size[1]) for value in (y, y + height))
    return (left, top, right, bottom) if left < right and top < bottom else None


def _draw(
    canvas: Image.Image, corners: tuple[float, float, float, float], name: str, *, shown: int, right: bool, dashed: bool
) -> None:
    """Draw one box. `shown`: pixels of the longer side on the screen, at least; few in half cells."""
    from PIL import ImageDraw, ImageFont  # noqa: PLC0415 -- 10 ms, in a thread

    draw = ImageDraw.Draw(canvas)
    unit = max(canvas.size)
    thick, colour = max(3, unit // 90, unit // shown), RIGHT if right else OTHER
    for line in _sides(corners):
        _line(draw, line, thick, colour, dash=unit / 20 if dashed else None)
    font = ImageFont.load_default(size=max(18, unit // 10, 7 * unit // shown))
    left, top = corners[0] + thick, corners[1] + thick
    around = draw.textbbox((left + thick, top), name, font=font)
    draw.rectangle((left, top, around[2] + thick, around[3] + thick), fill=_DARK)
    draw.text((left + thick, top), name, font=font, fill=colour)


def _sides(corners: tuple[float, float, float, float]) -> list[tuple[float, float, float, float]]:
    left, top, right, bottom = corners
    return [
        (left, top, right, top),
        (right, top, right, bottom),
        (right, bottom, left, bottom),
        (left, bottom, left, top),
    ]


def _line(
    draw: ImageDraw.ImageDraw,
    line: tuple[float, float, float, float],
    thick: int,
    colour: tuple[int, int, int],
    *,
    dash: float | None,
) -> None:
    """Draw a line with a dark edge, so that it is visible on any image."""
    x0, y0, x1, y1 = line
    length = math.hypot(x1 - x0, y1 - y0)
    count = 1 if dash is None else max(1, round(length / dash))
    for part in range(0, count, 2):
        start, end = part / count, min(1.0, (part + 1) / count)
        ends = (x0 + (x1 - x0) * start, y0 + (y1 - y0) * start, x0 + (x1 - x0) * end, y0 + (y1 - y0) * end)
        draw.line(ends, fill=_DARK, width=thick + 4)
        draw.line(ends, fill=colour, width=thick)
