"""Draws the masks of a segmentation item into its image: the true one as an outline, the predicted one hatched.

The two differ by their pattern, and by the colours of Okabe and Ito, which colour-blind readers can tell apart. Runs
off the UI thread. Damaged masks in a result file are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.images.boxes import OTHER, RIGHT, enlarged
from workbench.images.decode import Thumbnail, load_thumbnail

if TYPE_CHECKING:
    from PIL import Image

LEGEND: Final = "— true mask   ╱╱ predicted mask"
_DARK: Final = (16, 18, 22)
_NO_FIT: Final = "the masks do not fit the image"
_HATCHES: Final = 22
"""Hatch lines along the longer side of an image."""


class MaskView(StrEnum):
    """Which masks are drawn."""

    BOTH = "both"
    TRUE = "true"
    PREDICTED = "predicted"


def picture_with_masks(
    path: Path | None, size: tuple[int, int], mask: Mapping[str, Any], *, view: MaskView = MaskView.BOTH, name: str
) -> Thumbnail:
    """Return the image at `path` in at most `size` pixels with its masks drawn in.

    Args:
        mask: A `benchmarks.schema.MaskFacts`.
        name: Name of the image in a problem.
    """
    thumbnail = load_thumbnail(path, size, name=name)
    if thumbnail.image is None or thumbnail.size is None:
        return thumbnail
    canvas = enlarged(thumbnail.image)
    if [thumbnail.size[1], thumbnail.size[0]] != list(mask["size"]):
        return replace(thumbnail, image=canvas, note=" · ".join(filter(None, (thumbnail.note, _NO_FIT))))
    thick = max(2, max(canvas.size) // 110, max(canvas.size) // max(8, max(size) // 2))
    if view is not MaskView.TRUE and (predicted := _stencil(mask, "predicted", canvas.size)) is not None:
        _hatch(canvas, predicted, thick)
    if view is not MaskView.PREDICTED and (true := _stencil(mask, "true", canvas.size)) is not None:
        _outline(canvas, true, thick)
    return replace(thumbnail, image=canvas)


def _stencil(mask: Mapping[str, Any], which: str, size: tuple[int, int]) -> Image.Image | None:
    """Return a mask as an image of `size` with the values 0 and 255; None if it is damaged or empty."""
    from PIL import Image  # noqa: PLC0415 -- in a thread

    from benchmarks.segmentation.masks import mask_from_text  # noqa: PLC0415 -- numpy, in a thread

    try:
        height, width = mask["size"]
        pixels = mask_from_text(mask[which], (height, width))
    except ValueError:
        return None
    if not pixels.any():
        return None
    return Image.fromarray(pixels).convert("L").resize(size, Image.Resampling.NEAREST)


def _hatch(canvas: Image.Image, stencil: Image.Image, thick: int) -> None:
    """Draw diagonal lines with a dark edge inside the stencil, and a thin edge around it."""
    from PIL import Image, ImageChops, ImageDraw  # noqa: PLC0415 -- in a thread

    width, height = canvas.size
    step = max(3 * thick, math.ceil(max(canvas.size) / _HATCHES))
    edge = _ring(stencil, max(1, thick // 2))
    for colour, wide in ((_DARK, thick + 2), (OTHER, thick)):
        lines = Image.new("L", canvas.size, 0)
        draw = ImageDraw.Draw(lines)
        for start in range(-height, width, step):
            draw.line((start, height, start + height, 0), fill=255, width=wide)
        canvas.paste(colour, mask=ImageChops.multiply(lines, stencil))
    canvas.paste(OTHER, mask=edge)


def _outline(canvas: Image.Image, stencil: Image.Image, thick: int) -> None:
    """Draw a line with a dark edge along the inside of the stencil."""
    canvas.paste(_DARK, mask=_ring(stencil, thick + 2))
    canvas.paste(RIGHT, mask=_ring(stencil, thick))


def _ring(stencil: Image.Image, thick: int) -> Image.Image:
    """Return the pixels of the stencil that are at most `thick` pixels from its edge or that of the image."""
    from PIL import ImageChops, ImageFilter, ImageOps  # noqa: PLC0415 -- in a thread

    padded = ImageOps.expand(stencil, border=thick, fill=0)
    inside = padded.filter(ImageFilter.MinFilter(2 * thick + 1))
    inside = inside.crop((thick, thick, thick + stencil.width, thick + stencil.height))
    return ImageChops.subtract(stencil, inside)
