"""Decoding of images for CLIP: as the card shows them, or as the published code reads them. No torch.

Both give the same pixels for an ordinary image. They differ where Pillow's conversion to RGB loses what a person saw;
each such `Trait` of an image is returned with its pixels, whichever decoding is used.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from PIL import ExifTags, Image, ImageFile

from curation_db.image_decoding import cause_of, decode_pixels, opaque, open_image, open_regular, upright
from curation_db.language.sanitize import first_line
from trainers.errors import TrainerError

_MAX_ASPECT_RATIO = 1000
"""A larger aspect ratio makes the resized image larger than memory."""
_HOLE_BYTES = 2048
"""Zero bytes in a row that mark a hole in a JPEG. A block that a disk lost has 4096; one-coloured 640 x 480 pixels have
at most 1,800."""
_SCAN, _END = b"\xff\xda", b"\xff\xd9"
"""Markers of JPEG: start of a scan, end of the image."""


class Decoding(StrEnum):
    """How the pixels of a file become the input of the model."""

    AS_SHOWN = "as-shown"
    """As the card shows them: upright, deep grey scaled to 8 bits, grey squares behind transparent pixels, and the
    first part of a file that is cut off."""
    PUBLISHED = "published"
    """`Image.open(path).convert("RGB")`, as in the published NegationCLIP code."""


class Trait(StrEnum):
    """Property of an image by which the two decodings differ, or by which the file looks damaged."""

    DEEP_GREY = "deep-grey"
    TRANSPARENT = "transparent"
    ROTATED = "rotated"
    CUT_OFF = "cut-off"
    HOLE = "hole"


@dataclass(frozen=True, slots=True)
class DecodedImage:
    pixels: Image.Image
    """RGB"""
    traits: tuple[Trait, ...] = ()


def read_image(path: Path, decoding: Decoding = Decoding.AS_SHOWN) -> DecodedImage:
    """Decode the file at `path`.

    Raises:
        TrainerError: as of `read_file` and `decode_image`.
    """
    return decode_image(read_file(path), path, decoding)


def read_file(path: Path) -> bytes:
    """Return the content of an image file.

    Raises:
        TrainerError: the file is missing, empty, or not a regular file, or it may not be read.
    """
    try:
        with open_regular(path) as file:
            return file.read()
    except Exception as error:
        raise TrainerError(f"{path} cannot be read as an image: {cause_of(error).value}") from error


def decode_image(data: bytes, path: Path, decoding: Decoding) -> DecodedImage:
    """Decode the content of the file at `path`.

    Raises:
        TrainerError: the content cannot be decoded, is a decompression bomb, or is too narrow to be resized.
    """
    try:
        with open_image(io.BytesIO(data)) as opened:
            if decoding is Decoding.PUBLISHED:
                pixels, cut_off = opened.convert("RGB"), False  # raises where the file is cut off
                traits = _traits(opened, _is_transparent(opened), data)
            else:
                image, cut_off = decode_pixels(opened)
                traits = _traits(opened, not cut_off and _is_transparent(image), data)
                pixels = opaque(upright(image))
    except Exception as error:  # Pillow's readers raise nearly any exception on a hostile file
        reason = f"{cause_of(error).value}: {first_line(error)}" if str(error) else cause_of(error).value
        raise TrainerError(f"{path} cannot be read as an image: {reason}") from error
    if max(pixels.size) > _MAX_ASPECT_RATIO * min(pixels.size):
        width, height = pixels.size
        raise TrainerError(f"{path} cannot be read as an image: it is too narrow ({width} x {height})")
    return DecodedImage(pixels, (*traits, Trait.CUT_OFF) if cut_off else traits)


def _traits(opened: ImageFile.ImageFile, transparent: bool, data: bytes) -> tuple[Trait, ...]:
    """Return the traits of a decoded image, without `CUT_OFF`."""
    holds = {
        Trait.DEEP_GREY: opened.mode == "F" or opened.mode.startswith("I"),
        Trait.TRANSPARENT: transparent,
        Trait.ROTATED: _is_rotated(opened),
        Trait.HOLE: opened.format in ("JPEG", "MPO") and _has_hole(data),
    }
    return tuple(trait for trait, there in holds.items() if there)


def _is_transparent(image: Image.Image) -> bool:
    """Return whether a pixel is not opaque."""
    if not image.has_transparency_data:
        return False
    lowest = image.convert("RGBA").getchannel("A").getextrema()[0]
    return isinstance(lowest, (int, float)) and lowest < 255


def _is_rotated(opened: ImageFile.ImageFile) -> bool:
    """Return whether Pillow's pixels need a rotation or mirroring; of TIFF it applies the orientation itself."""
    if opened.format == "TIFF":
        return False
    try:
        return opened.getexif().get(ExifTags.Base.Orientation) in range(2, 9)
    except Exception:  # broken EXIF: the card shows the image as it is
        return False


def _has_hole(data: bytes) -> bool:
    """Return whether a JPEG has a run of zero bytes between its first scan and its end.

    The decoder skips such a run without an error. Zero bytes in the headers are padding, and those behind the last end
    marker are no part of the image.
    """
    start = data.find(_SCAN)
    run = data.find(bytes(_HOLE_BYTES), max(0, start))
    end = data.rfind(_END)
    return 0 <= start < run and (run < end or end < start)
