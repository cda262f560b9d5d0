"""Shares and intervals drawn with characters: a bar with a mark where the target is, a whisker on a scale. Pure.

A number always stands beside a drawing, so none of them says anything alone.
"""

from __future__ import annotations

import math

from textual.content import Content

from curation_db.stats.intervals import Interval
from workbench.reports.progress_report import decimal
from workbench.tui.rendering.card_content import MARK, QUIET

_FULL, _EMPTY, _TARGET = "▓", "░", "┃"
_LINE, _DASH, _POINT = "─", "·", "●"


def share_bar(share: float | None, cells: int, *, target: float | None = None, tone: str = "$text-primary") -> Content:
    """A share of 1, and the target's place on it."""
    full = 0 if share is None else max(0, min(cells, round(share * cells)))
    if share and not full:
        full = 1  # little is not nothing
    at = None if target is None else max(0, min(cells - 1, round(target * cells)))
    parts = [((_FULL, tone) if cell < full else (_EMPTY, QUIET)) for cell in range(cells)]
    if at is not None:
        parts[at] = (_TARGET, f"bold {MARK}")
    return Content.assemble(*parts)


def whisker(interval: Interval, cells: int, *, low: float = 0.0, tone: str = "bold $text-primary") -> Content:
    """An estimate with its interval on the scale from `low` to 1."""
    if math.isnan(interval.estimate):
        return Content.styled(_DASH * cells, QUIET)

    def cell(value: float) -> int:
        return max(0, min(cells - 1, round((value - low) / (1 - low) * (cells - 1))))

    start, end = (cell(edge) for edge in (interval.low, interval.high)) if _known(interval) else (0, -1)
    parts = [(_LINE, tone) if start <= at <= end else (_DASH, QUIET) for at in range(cells)]
    parts[cell(interval.estimate)] = (_POINT, tone)
    return Content.assemble(*parts)


def _known(interval: Interval) -> bool:
    return not (math.isnan(interval.low) or math.isnan(interval.high))


def spanned(interval: Interval) -> str:
    """An interval's ends."""
    return f"{decimal(interval.low)} to {decimal(interval.high)}" if _known(interval) else ""
