"""Contrast (WCAG 2) and colour blindness (Machado et al. 2009, deuteranopia, severity 1) of negwb's themes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from textual.color import Color
from textual.theme import Theme

from workbench.tui.rendering.card_content import QUIET
from workbench.tui.themes import DARK, LIGHT

Floats = NDArray[np.float64]
_DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)
_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = np.array([0.9505, 1.0, 1.089])


def linear(color: Color) -> Floats:
    channels = np.array(color.rgb) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one: Color, other: Color) -> float:
    light, dark = sorted((float(_TO_XYZ[1] @ linear(color)) for color in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def lab(rgb: Floats) -> Floats:
    xyz = _TO_XYZ @ rgb / _WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def color(theme: Theme, name: str) -> Color:
    value = getattr(theme, name)
    assert isinstance(value, str)
    return Color.parse(value)


def test_the_contrast_is_that_of_wcag() -> None:
    assert contrast(Color.parse("#ffffff"), Color.parse("#000000")) == pytest.approx(21)
    assert contrast(Color.parse("#777777"), Color.parse("#ffffff")) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
@pytest.mark.parametrize("ground", ["background", "surface", "panel"])
def test_texts_can_be_read(theme: Theme, ground: str) -> None:
    behind, foreground = color(theme, ground), color(theme, "foreground")
    share = int(QUIET.removeprefix("$foreground ").removesuffix("%")) / 100
    assert contrast(behind.blend(foreground, share), behind) >= 4.5
    for name in ("accent", "success", "error", "warning"):
        assert contrast(color(theme, name), behind) >= (4.5 if ground == "background" else 3)


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_deuteranopes_tell_accept_and_reject_apart(theme: Theme) -> None:
    accept, reject = (lab(np.clip(_DEUTERANOPIA @ linear(color(theme, name)), 0, 1)) for name in ("success", "error"))
    assert float(np.linalg.norm(accept - reject)) > 40  # the former green and red had 5 and 14
