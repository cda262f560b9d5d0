"""Sixel encoding of images: a palette that is fitted to the image, and error diffusion.

Encoding takes some 100 ms for an image of half a screen, so it is not called in the UI thread.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from PIL import Image

_COLOURS = 256
"""The colours of a palette; all known terminals with sixels have as many registers."""
_BAND = 6
"""Rows of pixels of a band."""
_REPEATED = re.compile(rb"(.)\1{3,}", re.DOTALL)
_SIXEL = bytes((value & 63) + 63 for value in range(256))
"""The character of six pixels, by their bits."""


def encode_sixels(image: Image.Image, size: tuple[int, int]) -> str:
    """Return the sequence that draws `image`, scaled to `size` pixels, from the cursor on."""
    import numpy as np  # noqa: PLC0415  # 0.1 s, and only for terminals with sixels
    from PIL import Image as pillow  # noqa: N813, PLC0415

    scaled = image.convert("RGB").resize(size, pillow.Resampling.LANCZOS, reducing_gap=2.0)
    quantized = with_own_palette(scaled)
    width, height = size
    colours = np.frombuffer(quantized.tobytes(), dtype=np.uint8).reshape(height, width)
    used = np.flatnonzero(np.bincount(colours.ravel(), minlength=_COLOURS))
    palette = (quantized.getpalette() or []) + [0] * (3 * _COLOURS)
    registers = "".join(f"#{n};2;{';'.join(str(_percent(palette[3 * n + at])) for at in range(3))}" for n in used)
    return f'\x1bP0;1;0q"1;1;{width};{height}{registers}{"-".join(_bands(colours))}\x1b\\'


def with_own_palette(image: Image.Image, colours: int = _COLOURS) -> Image.Image:
    """Return the RGB image in the colours of a palette fitted to it, with error diffusion."""
    from PIL import Image as pillow  # noqa: N813, PLC0415

    palette = image.quantize(colours, method=pillow.Quantize.MEDIANCUT)
    return image.quantize(palette=palette, dither=pillow.Dither.FLOYDSTEINBERG)


def _percent(value: int) -> int:
    return (value * 100 + 127) // 255


def _bands(colours: np.ndarray) -> Iterator[str]:
    import numpy as np  # noqa: PLC0415

    height, width = colours.shape
    columns = np.arange(width)
    bits = np.zeros((_COLOURS, width), dtype=np.uint8)
    for top in range(0, height, _BAND):
        rows = colours[top : top + _BAND]
        for y, row in enumerate(rows):
            bits[row, columns] |= 1 << y
        counts = np.bincount(rows.ravel(), minlength=_COLOURS)
        there, most = np.flatnonzero(counts), counts.argmax()
        # The commonest colour fills the band first, and the others are drawn over it: fewer bytes.
        filled = f"#{most}!{width}{chr(63 + (1 << len(rows)) - 1)}"
        yield "$".join([filled, *(_run(int(number), bits[number]) for number in there if number != most)])
        bits[there] = 0


def _run(number: int, bits: np.ndarray) -> str:
    """Return one colour of a band; equal neighbours are counted."""
    line = bits.tobytes().rstrip(b"\0").translate(_SIXEL)
    return f"#{number}{_REPEATED.sub(_counted, line).decode('ascii')}"


def _counted(run: re.Match[bytes]) -> bytes:
    return b"!%d%b" % (len(run[0]), run[1])
