"""A small sixel decoder, written from the description of the VT340 and independent of the encoder."""

from __future__ import annotations

import math
import re

import numpy as np
from PIL import Image

SIXELS = re.compile(rb"\x1bP[0-9;]*q(.*?)\x1b\\", re.DOTALL)
"""One image in the output of a terminal."""
_TOKEN = re.compile(r'"(\d+);(\d+);(\d+);(\d+)|#(\d+);2;(\d+);(\d+);(\d+)|#(\d+)|!(\d+)([?-~])|([?-~])|([$-])')


def decoded(sixels: str) -> Image.Image:
    """Return the image that `ESC P ... q DATA ESC \\` draws; undrawn pixels are magenta.

    Raises:
        ValueError: the data has an unknown command, an undefined colour, or pixels outside its size.
    """
    body = SIXELS.fullmatch(sixels.encode("ascii"))
    if body is None:
        raise ValueError("no sixel sequence")
    data = body[1].decode("ascii")
    palette: dict[int, tuple[int, ...]] = {}
    pixels = np.empty((0, 0, 3), dtype=np.uint8)
    colour, x, y, at = 0, 0, 0, 0
    while at < len(data):
        token = _TOKEN.match(data, at)
        if token is None:
            raise ValueError(f"unknown command at {at}: {data[at : at + 10]!r}")
        at = token.end()
        _, _, width, height, number, red, green, blue, chosen, times, repeated, single, move = token.groups()
        if width:
            pixels = np.full((int(height), int(width), 3), (255, 0, 255), dtype=np.uint8)
        elif number:
            palette[int(number)] = tuple(round(int(part) * 2.55) for part in (red, green, blue))
            colour = int(number)
        elif chosen:
            colour = int(chosen)
        elif move:
            x, y = 0, y + (6 if move == "-" else 0)
        else:
            bits, length = ord(repeated or single) - 63, int(times or 1)
            for row in range(6):
                if bits >> row & 1:
                    if y + row >= pixels.shape[0] or x + length > pixels.shape[1]:
                        raise ValueError(f"pixel outside the image: {x + length}, {y + row}")
                    pixels[y + row, x : x + length] = palette[colour]
            x += length
    return Image.fromarray(pixels)


def psnr(one: Image.Image, other: Image.Image) -> float:
    """Return the peak signal-to-noise ratio of two images of one size, in decibels."""
    difference = np.asarray(one.convert("RGB"), dtype=float) - np.asarray(other.convert("RGB"), dtype=float)
    return 10 * math.log10(255**2 / max(1e-9, float((difference**2).mean())))
