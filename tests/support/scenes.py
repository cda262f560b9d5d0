"""Drawn images that differ as photographs do, and copies of them in another size and encoding."""

from __future__ import annotations

import io
import random

from PIL import Image, ImageDraw


def scene(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """An image of a few coloured shapes; another seed is another image."""
    draw = random.Random(seed)
    image = Image.new("RGB", size, tuple(draw.randrange(256) for _ in range(3)))
    pen = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = draw.randrange(size[0]), draw.randrange(size[1])
        colour = tuple(draw.randrange(256) for _ in range(3))
        pen.ellipse((x, y, x + draw.randrange(20, 140), y + draw.randrange(20, 140)), fill=colour)
    return image


def encoded_again(image: Image.Image) -> Image.Image:
    """The image at half its size, as a JPEG of quality 60."""
    buffer = io.BytesIO()
    image.resize((image.width // 2, image.height // 2)).save(buffer, "JPEG", quality=60)
    return Image.open(buffer)
