"""Bars of characters for a share with its interval, for tables in a terminal and in a file. Pure."""

from __future__ import annotations

import math

from curation_db.stats.intervals import Interval

TITLE = "0 to 100 %"
"""Header of a column of bars."""
ASCII = {"━": "#", "═": "=", "●": "O", "─": "-", "┈": "."}
"""The same bar in ASCII."""


def interval_bar(accuracy: Interval, cells: int) -> str:
    """Return a bar from 0 to 100 % that ends in a point at the estimate.

    The bar is heavy up to the low end of the interval and double from there to the estimate; a thin line continues to
    the high end.
    """
    point = min(int(accuracy.estimate * cells), cells - 1)
    low, high = min(int(accuracy.low * cells), point), max(math.ceil(accuracy.high * cells - 1e-9), point + 1)
    return ("━" * low + "═" * (point - low) + "●" + "─" * (high - point - 1)).ljust(cells, "┈")
