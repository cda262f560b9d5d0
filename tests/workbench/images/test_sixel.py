"""Sixels, decoded by a decoder of the tests."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter
from support.sixels import decoded, psnr

from workbench.images.sixel import encode_sixels


def photograph(size: tuple[int, int]) -> Image.Image:
    """Return an image with as many colours as a photograph: gradients, edges and noise."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(0).normal(0, 6, (height, width, 3))
    base = np.stack([x * 255 / width, y * 255 / height, 128 + 100 * np.sin(x / 17) * np.cos(y / 23)], axis=2)
    base[(x - width // 2) ** 2 + (y - height // 2) ** 2 < (height // 4) ** 2] = (200, 40, 60)
    return Image.fromarray(np.clip(base + noise, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("size", [(200, 120), (97, 61), (6, 7), (1, 1)])
def test_the_decoded_sixels_look_like_the_scaled_image(size: tuple[int, int]) -> None:
    image = photograph((260, 160))
    shown = decoded(encode_sixels(image, size))
    wanted = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    assert shown.size == size
    assert (255, 0, 255) not in set(map(tuple, np.asarray(shown).reshape(-1, 3).tolist()))  # every pixel is drawn
    assert psnr(shown, wanted) > 26
    if min(size) > 30:
        # Error diffusion keeps the mean colour: at some distance the images look alike.
        blurred = [each.filter(ImageFilter.GaussianBlur(2)) for each in (shown, wanted)]
        assert psnr(*blurred) > 36


def test_an_image_of_few_colours_keeps_them() -> None:
    image = Image.new("RGB", (40, 12), (255, 0, 0))
    image.paste((0, 0, 255), (20, 0, 40, 12))
    sixels = encode_sixels(image, (40, 12))
    assert psnr(decoded(sixels), image) > 50
    assert len(sixels) < 200  # equal neighbours are counted


def test_a_dark_image_is_not_reduced_to_greys() -> None:
    """A palette of fixed colours has 16 greys and few dark colours."""
    y, x = np.mgrid[0:80, 0:120]
    dark = Image.fromarray(np.stack([x / 4, y / 3, 20 + (x + y) / 9], axis=2).astype(np.uint8))
    shown = decoded(encode_sixels(dark, dark.size))
    assert psnr(shown, dark) > 38
    assert len(set(map(tuple, np.asarray(shown).reshape(-1, 3).tolist()))) > 100
