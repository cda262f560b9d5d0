"""The two sizes of the terminal, and the two themes, with which screens are tested."""

from __future__ import annotations

from typing import Final

import pytest

SIZES: Final = [
    pytest.param((80, 24), id="80x24"),
    pytest.param((120, 36), id="120x36", marks=pytest.mark.long),  # a minute of the suite
]
THEMES: Final = [
    "negwb-dark",
    pytest.param("negwb-light", marks=pytest.mark.long),  # the same texts; the card is tested in all themes
]
