"""Safe decoding of image files to what a card shows: eight bits, upright, opaque. Used by screens and by features.

An image file is hostile input. Pillow is imported inside the functions, because that takes 25 to 40 ms.
"""

from __future__ import annotations

import stat
import warnings
from enum import Enum
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image, ImageFile

MAX_PIXELS = 89_478_485
"""The most pixels that are decoded: the limit of Pillow (a quarter of a GiB in RGB), here an error."""
MAX_JPEG_PIXELS = 500_000_000
"""The limit for a JPEG, which needs little memory when it is decoded at a half to an eighth of its size."""
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "TGA", "ICO", "JPEG2000", "WEBP", "AVIF")
"""The allowed formats. Pillow's other readers include one that starts a program (EPS)."""
BEHIND = ((153, 153, 153), (102, 102, 102))
"""The two greys of the squares behind transparent pixels; black and white drawings are visible on both."""
_SQUARES = 8
"""Squares along the longer side; smaller ones would blend into stripes."""
_SHRINKS_AS_IS = {"L", "RGB", "RGBA", "CMYK", "YCbCr"}
_JPEG_START = b"\xff\xd8\xff"


class ImageProblem(Enum):
    """Why a file was not decoded. The value is the message."""

    MISSING = "the image is missing"
    UNREADABLE = "the image may not be read"
    NOT_A_FILE = "not a file"
    EMPTY = "the image file is empty"
    NOT_AN_IMAGE = "not an image"
    NO_PIXELS = "the image has no pixels"
    TOO_LARGE = f"too large to decode (over {MAX_PIXELS // 1_000_000} megapixels)"
    NO_MEMORY = "not enough memory for the image"
    DAMAGED = "the image is damaged"


class RefusedImageError(Exception):
    """The file is not decoded."""

    def __init__(self, cause: ImageProblem) -> None:
        super().__init__(cause.value)
        self.cause = cause


def open_regular(path: Path | None) -> IO[bytes]:
    """Open the file of an image.

    Raises:
        RefusedImageError: it is not a regular file, or empty.
        OSError: it is missing or may not be read.
    """
    if path is None:
        raise FileNotFoundError
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe could block, and a device has no end
        raise RefusedImageError(ImageProblem.NOT_A_FILE)
    if status.st_size == 0:
        raise RefusedImageError(ImageProblem.EMPTY)
    return path.open("rb")


def open_image(file: IO[bytes]) -> ImageFile.ImageFile:
    """Read the header of an image of an allowed format and size; the pixels are not decoded yet.

    Raises:
        Exception: nearly any, see `cause_of`.
    """
    from PIL import Image, JpegImagePlugin  # noqa: PLC0415  # deferred: 25-40 ms

    # Pillow only warns up to twice its limit. Set each time, since test runners reset the filters.
    warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
    start = file.read(len(_JPEG_START))
    file.seek(0)
    opened: ImageFile.ImageFile
    try:
        # Not through `Image.open`, whose limit ignores that a JPEG can be decoded at a part of its size.
        opened = JpegImagePlugin.JpegImageFile(file) if start == _JPEG_START else Image.open(file, formats=FORMATS)
    except KeyError:  # no reader accepts the file
        raise RefusedImageError(ImageProblem.NOT_AN_IMAGE) from None
    if opened.width < 1 or opened.height < 1:
        raise RefusedImageError(ImageProblem.NO_PIXELS)
    # A progressive JPEG is always decoded whole.
    scalable = opened.format == "JPEG" and not opened.info.get("progressive")
    if opened.width * opened.height > (MAX_JPEG_PIXELS if scalable else MAX_PIXELS):
        raise Image.DecompressionBombError
    return opened


def decode_pixels(opened: ImageFile.ImageFile) -> tuple[Image.Image, bool]:
    """Return the pixels in a mode that can be averaged, and whether the file ends early."""
    if opened.width * opened.height > MAX_PIXELS:
        raise RefusedImageError(ImageProblem.TOO_LARGE)  # a JPEG that cannot be decoded at so small a scale
    try:
        opened.load()
    except (OSError, SyntaxError, EOFError):
        opened.tile = []  # the part before the end is the image from now on
        seen = opened.getbbox()
        if seen is None:  # no part was decoded
            raise
        return rows_alone(averageable(opened), seen[1], seen[3]), True
    return averageable(opened), False


_CAUSES: dict[str, ImageProblem] = {
    "FileNotFoundError": ImageProblem.MISSING,
    "NotADirectoryError": ImageProblem.MISSING,
    "PermissionError": ImageProblem.UNREADABLE,
    "UnidentifiedImageError": ImageProblem.NOT_AN_IMAGE,
    "DecompressionBombWarning": ImageProblem.TOO_LARGE,
    "DecompressionBombError": ImageProblem.TOO_LARGE,
    "MemoryError": ImageProblem.NO_MEMORY,
}
"""By the name of the exception class, since importing Pillow takes 25 to 40 ms."""


def cause_of(error: Exception) -> ImageProblem:
    """Return the problem behind an exception of this module or of Pillow."""
    if isinstance(error, RefusedImageError):
        return error.cause
    return _CAUSES.get(type(error).__name__, ImageProblem.DAMAGED)


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
