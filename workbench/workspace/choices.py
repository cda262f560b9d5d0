"""The values of settings that the command line takes too. Imports only the standard library."""

from __future__ import annotations

from enum import StrEnum


class ImageMode(StrEnum):
    """How images are drawn in a terminal."""

    AUTO = "auto"
    KITTY = "kitty"
    SIXEL = "sixel"
    HALFCELL = "halfcell"
    NONE = "none"
