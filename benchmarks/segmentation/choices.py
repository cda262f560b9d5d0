"""Choices of a segmentation run. Imports nothing, so that the command line can name them without loading numpy."""

from __future__ import annotations

from enum import StrEnum


class Subset(StrEnum):
    """Which phrases of the data set are scored."""

    NEGATED = "negated"
    """Those that negate something about the image, by `curation_db.language.negation_cues.negates`."""
    AFFIRMED = "affirmed"
    """The others."""
    ALL = "all"


class Route(StrEnum):
    """How a phrase becomes a mask; see `benchmarks.segmentation.segmenters`."""

    CLIPSEG = "clipseg"
    PROPOSALS = "proposals"
