"""Enumerations that settings and command line share. Imports only the standard library."""

from __future__ import annotations

from enum import StrEnum


class ImageMode(StrEnum):
    """How images are drawn in a terminal."""

    AUTO = "auto"
    KITTY = "kitty"
    SIXEL = "sixel"
    HALFCELL = "halfcell"
    NONE = "none"
