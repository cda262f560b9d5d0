"""Enumerations that settings and command line share. Imports only the standard library."""

from __future__ import annotations

from enum import StrEnum


class PanelChoice(StrEnum):
    """What stands below the image of a card."""

    DECISIONS = "decisions"
    GUIDELINES = "guidelines"
    CAPTIONS = "captions"
    NONE = "none"


class ImageMode(StrEnum):
    """How images are drawn in a terminal."""

    AUTO = "auto"
    KITTY = "kitty"
    SIXEL = "sixel"
    HALFCELL = "halfcell"
    NONE = "none"
