"""Conversion of the pixels of a file for the screen: eight bits, upright, opaque."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

BEHIND = ((153, 153, 153), (102, 102, 102))
"""The two greys of the squares behind transparent pixels; black and white drawings are visible on both."""
_SQUARES = 8
"""Squares along the longer side; smaller ones would blend into stripes."""
_SHRINKS_AS_IS = {"L", "RGB", "RGBA", "CMYK", "YCbCr"}


def averageable(image: Image.Image) -> Image.Image:
    """Convert to a mode whose pixels can be averaged: no palette, no deep grey."""
    if image.mode in _SHRINKS_AS_IS and not _keyed(image):
        return image
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode == "F" or image.mode.startswith("I"):
        return _eight_bits(image)
    return image.convert("RGB")


def rows_alone(image: Image.Image, top: int, bottom: int) -> Image.Image:
    """Return the image with all rows but these transparent."""
    from PIL import Image  # noqa: PLC0415

    there = Image.new("L", image.size)
    there.paste(255, (0, top, image.width, bottom))
    seen = image.convert("RGB")
    seen.putalpha(there)
    return seen


def _keyed(image: Image.Image) -> bool:
    """Return whether one colour of an image without alpha means transparent; averaging would blend it."""
    return image.mode != "RGBA" and "transparency" in image.info


def _eight_bits(image: Image.Image) -> Image.Image:
    """Convert deep grey (16 or 32 bits, or floating point) to 8 bits; Pillow would clip most values to white."""
    grey = image.convert("F")
    low, high = (float(bound) for bound in grey.getextrema() if not isinstance(bound, tuple))
    if image.mode != "F":
        low, high = 0.0, 255.0 if high <= 255 else 65_535.0 if high <= 65_535 else high
    scale = 255 / (high - low) if high > low else 1.0
    scaled = grey.point(lambda value: value * scale + -low * scale)
    return scaled.convert("L")


def upright(image: Image.Image) -> Image.Image:
    """Rotate by the EXIF orientation, if it can be read."""
    from PIL import ImageOps  # noqa: PLC0415

    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # broken EXIF: show the image as it is
        image.load()
        return image


def opaque(image: Image.Image) -> Image.Image:
    """Convert to RGB, with grey squares behind transparent pixels."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    flat = _squares(image.size)
    flat.paste(image, mask=image.getchannel("A"))
    return flat


def _squares(size: tuple[int, int]) -> Image.Image:
    from PIL import Image  # noqa: PLC0415

    side = max(1, -(-max(size) // _SQUARES))
    columns, rows = (-(-length // side) for length in size)
    cells = b"".join(bytes(BEHIND[(x + y) % 2]) for y in range(rows) for x in range(columns))
    board = Image.frombytes("RGB", (columns, rows), cells)
    return board.resize((columns * side, rows * side), Image.Resampling.NEAREST).crop((0, 0, *size))
