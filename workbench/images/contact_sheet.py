"""A grid of images: one row per text, one column per model, with their names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from curation_db.language.sanitize import display_text
from workbench.images.decode import load_thumbnail

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

_GAP: Final = 6
_TEXT_HEIGHT: Final = 22
_FONT: Final = 13
_PAPER, _INK, _MISSING = (255, 255, 255), (24, 26, 30), (224, 226, 230)


class SheetRow(NamedTuple):
    text: str
    images: Sequence[Path]
    """One for each column."""


def contact_sheet(
    columns: Sequence[str], rows: Sequence[SheetRow], *, side: int = 160, across: int | None = 1
) -> Image.Image:
    """Return the images with the names of the columns above them and each row's text over its images.

    An image that cannot be read is a grey square. Small images are enlarged to `side` pixels, without interpolation.

    Args:
        across: Rows beside each other; None: as many as make the grid about square.
    """
    from PIL import Image as pillow  # noqa: N813, PLC0415
    from PIL import ImageDraw, ImageFont  # noqa: PLC0415

    width, tall = len(columns) * (side + _GAP) + _GAP, side + _TEXT_HEIGHT + _GAP
    across = max(1, across or round(math.sqrt(len(rows) * tall / width)))
    lines = -(-len(rows) // across)
    sheet = pillow.new("RGB", (width * min(across, max(1, len(rows))), _TEXT_HEIGHT + lines * tall), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=_FONT)
    for left in range(0, sheet.width, width):
        for place, name in enumerate(columns):
            _write(draw, font, name, (left + _GAP + place * (side + _GAP), 4), side)
    for at, row in enumerate(rows):
        left, top = at % across * width, _TEXT_HEIGHT + at // across * tall
        _write(draw, font, row.text, (left + _GAP, top + 4), width - 2 * _GAP)
        for place, path in enumerate(row.images):
            corner = left + _GAP + place * (side + _GAP), top + _TEXT_HEIGHT
            sheet.paste(_square(path, side), corner)
    return sheet


def _square(path: Path, side: int) -> Image.Image:
    from PIL import Image as pillow  # noqa: N813, PLC0415

    image = load_thumbnail(path, (side, side)).image
    square = pillow.new("RGB", (side, side), _MISSING)
    if image is not None:
        if (times := side // max(image.size)) > 1:
            image = image.resize((image.width * times, image.height * times), pillow.Resampling.NEAREST)
        square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def _write(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    text: str,
    at: tuple[int, int],
    width: int,
) -> None:
    """Write one line of at most `width` pixels; a longer text ends with an ellipsis."""
    shown = display_text(text, limit=200)
    while draw.textlength(shown, font=font) > width and len(shown) > 1:
        shown = f"{shown[: max(1, len(shown) - 2)].rstrip('…')}…" if len(shown) > 2 else shown[0]
    draw.text(at, shown, fill=_INK, font=font)
