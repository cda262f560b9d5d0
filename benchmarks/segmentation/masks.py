"""Masks of regions: polygons and run lengths to pixels, and back to the text in which COCO stores run lengths.

A mask is a boolean array (H, W). Run lengths count pixels down each column, from the left column to the right one,
beginning with the pixels outside the region. Does not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Mask = NDArray[np.bool_]
Size = tuple[int, int]
"""Height and width in pixels."""
Point = tuple[float, float]
"""x and y in pixels."""

MOST_PIXELS: Final = 100_000_000
"""A mask with more pixels is refused: a damaged size must not exhaust the memory."""
_SCALE: Final = 5
"""COCO traces the outline of a polygon on a grid that is finer by this factor."""
_FIRST, _VALUE, _SIGN, _MORE, _BITS = 48, 0x1F, 0x10, 0x20, 5
"""Of a character of COCO's text: code of zero, bits of the number, its sign, whether another character follows."""
_MOST_CHARACTERS: Final = 8
"""Characters of one number; 7 hold 35 bits."""


def counts_of(mask: Mask) -> list[int]:
    """Return the run lengths of a mask."""
    flat = np.asarray(mask, dtype=bool).T.reshape(-1)
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])) if flat.size else np.zeros(0, dtype=np.int64)
    starts_inside = bool(flat.size and flat[0])
    return ([0] if starts_inside else []) + [int(run) for run in runs]


def mask_of(counts: Sequence[int], size: Size) -> Mask:
    """Return the mask with these run lengths.

    Raises:
        ValueError: The run lengths are negative or do not add up to the size, or the size is no valid one.
    """
    check_size(size)
    height, width = size
    if any(count < 0 for count in counts):
        raise ValueError("a run length is negative")
    if sum(counts) != height * width:
        raise ValueError(f"the run lengths cover {sum(counts):,} pixels of {height * width:,}")
    inside = np.arange(len(counts)) % 2 == 1
    return np.repeat(inside, counts).reshape(width, height).T


def check_size(size: Size) -> None:
    """Check that a mask of this size can be made.

    Raises:
        ValueError: A side is not positive, or there are more than `MOST_PIXELS` pixels.
    """
    height, width = size
    if height < 1 or width < 1 or height * width > MOST_PIXELS:
        raise ValueError(f"{width} x {height} is not the size of an image")


def rle_text(counts: Sequence[int]) -> str:
    """Return the run lengths as the text of COCO's JSON files.

    From the fourth number on, the difference from the number two before is written. A number is written in groups of
    five bits, the lowest first.
    """
    characters: list[str] = []
    for place, count in enumerate(counts):
        number = count - counts[place - 2] if place > 2 else count
        more = True
        while more:
            bits, number = number & _VALUE, number >> _BITS
            more = number != (-1 if bits & _SIGN else 0)
            characters.append(chr(_FIRST + (bits | (_MORE if more else 0))))
    return "".join(characters)


def counts_from_text(text: str) -> list[int]:
    """Return the run lengths that `rle_text` has written.

    Raises:
        ValueError: The text is not in this format.
    """
    counts: list[int] = []
    number = length = 0
    for character in text:
        code = ord(character) - _FIRST
        if not 0 <= code < 2 * _MORE or length == _MOST_CHARACTERS:
            raise ValueError("the run lengths are not in COCO's format")
        number |= (code & _VALUE) << (_BITS * length)
        length += 1
        if code & _MORE:
            continue
        if code & _SIGN:
            number -= 1 << (_BITS * length)
        counts.append(number + counts[-2] if len(counts) > 2 else number)
        number = length = 0
    if length:
        raise ValueError("the run lengths end within a number")
    return counts


def mask_from_text(text: str, size: Size) -> Mask:
    """Return the mask of COCO's text.

    Raises:
        ValueError: The text is damaged, or does not fit the size.
    """
    return mask_of(counts_from_text(text), size)


def mask_text(mask: Mask) -> str:
    """Return a mask as COCO's text; its size has to be stored beside it."""
    return rle_text(counts_of(mask))


def coco_polygons_mask(polygons: Sequence[Sequence[float]], size: Size) -> Mask:
    """Return the union of polygons [x, y, x, y, ...], rasterised as by COCO's mask API (`rleFrPoly`).

    The outline is traced on a grid that is finer by `_SCALE`; a pixel column is inside between the points where the
    outline crosses its centre line.

    Raises:
        ValueError: A polygon has less than three points, or a coordinate is not finite.
    """
    check_size(size)
    mask = np.zeros(size, dtype=bool)
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2:
            raise ValueError("a polygon needs three points or more")
        points = np.array(polygon, dtype=np.float64).reshape(-1, 2)
        if not np.isfinite(points).all() or np.abs(points).max() > MOST_PIXELS:
            raise ValueError("a coordinate of a polygon is not a number of pixels")
        mask |= _coco_polygon_mask(points, size)
    return mask


def _coco_polygon_mask(points: NDArray[np.float64], size: Size) -> Mask:
    height, width = size
    along, down = _outline(np.trunc(_SCALE * points + 0.5).astype(np.int64))
    steps = np.flatnonzero(along[1:] != along[:-1])
    before, after = along[steps], along[steps + 1]
    column = (np.where(after < before, after, after - 1) + 0.5) / _SCALE - 0.5
    row = (np.minimum(down[steps], down[steps + 1]) + 0.5) / _SCALE - 0.5
    kept = (np.floor(column) == column) & (column >= 0) & (column <= width - 1)
    columns = column[kept].astype(np.int64)
    rows = np.ceil(np.clip(row[kept], 0, height)).astype(np.int64)
    crossings = np.bincount(columns * height + rows, minlength=height * width + 1)[: height * width]
    inside: Mask = np.cumsum(crossings) % 2 == 1
    return inside.reshape(width, height).T


def _outline(corners: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return x and y of the points of a closed outline on the fine grid, one per step along the longer axis."""
    xs: list[NDArray[np.int64]] = []
    ys: list[NDArray[np.int64]] = []
    for (x0, y0), (x1, y1) in zip(corners.tolist(), np.roll(corners, -1, axis=0).tolist(), strict=True):
        width, height = abs(x1 - x0), abs(y1 - y0)
        wide = width >= height
        flipped = (x0 > x1) if wide else (y0 > y1)
        left, top, right, bottom = (x1, y1, x0, y0) if flipped else (x0, y0, x1, y1)
        length = width if wide else height
        steps = np.arange(length + 1)[:: -1 if flipped else 1]
        slope = ((bottom - top) if wide else (right - left)) / length if length else 0.0
        if wide:
            xs.append(steps + left)
            ys.append(np.trunc(top + slope * steps + 0.5).astype(np.int64))
        else:
            xs.append(np.trunc(left + slope * steps + 0.5).astype(np.int64))
            ys.append(steps + top)
    return np.concatenate(xs), np.concatenate(ys)


def points_mask(polygons: Sequence[Sequence[Point]], size: Size) -> Mask:
    """Return the union of polygons [[x, y], ...] as the published code of PhraseCut draws it.

    Coordinates are cut to integers and Pillow fills the polygon with its outline. A polygon with a single point is
    left out.

    Raises:
        ValueError: A coordinate is not finite.
    """
    check_size(size)
    height, width = size
    canvas = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(canvas)
    for polygon in polygons:
        if not all(math.isfinite(value) and abs(value) <= MOST_PIXELS for point in polygon for value in point):
            raise ValueError("a coordinate of a polygon is not a number of pixels")
        if len(polygon) > 1:
            draw.polygon([(int(x), int(y)) for x, y in polygon], outline=1, fill=1)
    return np.array(canvas, dtype=bool)
