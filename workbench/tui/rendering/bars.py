"""Bars for shares, whiskers for intervals and texts of fixed width, drawn with characters. Pure.

The number is always printed beside the drawing.
"""

from __future__ import annotations

import math

from rich.cells import cell_len, set_cell_size
from textual.content import Content

from curation_db.language.sanitize import display_text
from curation_db.stats.intervals import Interval
from workbench.console.number_format import decimal
from workbench.tui.rendering.card_content import MARK, QUIET

_FULL, _EMPTY, _TARGET = "▓", "░", "┃"
_LINE, _DASH, _POINT = "─", "·", "●"
_INTERVAL_STYLE = "bold $text-primary"


def fixed_cell(text: str, cells: int, *, right: bool = False) -> str:
    """Return `text` in exactly `cells` cells; a cut ends with an ellipsis."""
    shown = display_text(text, limit=200)
    if cell_len(shown) > cells:
        return set_cell_size(shown, cells - 1) + "…"
    blank = " " * (cells - cell_len(shown))
    return blank + shown if right else shown + blank


def share_bar(share: float | None, cells: int, *, target: float | None = None, tone: str = "$text-primary") -> Content:
    """Return a bar for a share in [0, 1], with a mark at `target`."""
    full = 0 if share is None else max(0, min(cells, round(share * cells)))
    if share and not full:
        full = 1  # a share above 0 shows at least one cell
    at = None if target is None else max(0, min(cells - 1, round(target * cells)))
    parts = [((_FULL, tone) if cell < full else (_EMPTY, QUIET)) for cell in range(cells)]
    if at is not None:
        parts[at] = (_TARGET, f"bold {MARK}")
    return Content.assemble(*parts)


def whisker(interval: Interval, cells: int, *, low: float = 0.0) -> Content:
    """Return a point estimate with its interval on a scale from `low` to 1, `cells` wide."""
    if math.isnan(interval.estimate):
        return Content.styled(_DASH * cells, QUIET)

    def cell(value: float) -> int:
        return max(0, min(cells - 1, round((value - low) / (1 - low) * (cells - 1))))

    start, end = (cell(edge) for edge in (interval.low, interval.high)) if _known(interval) else (0, -1)
    parts = [(_LINE, _INTERVAL_STYLE) if start <= at <= end else (_DASH, QUIET) for at in range(cells)]
    parts[cell(interval.estimate)] = (_POINT, _INTERVAL_STYLE)
    return Content.assemble(*parts)


def _known(interval: Interval) -> bool:
    return not (math.isnan(interval.low) or math.isnan(interval.high))


def spanned(interval: Interval) -> str:
    """Return both ends of the interval as text; "" if they are not known."""
    return f"{decimal(interval.low)} to {decimal(interval.high)}" if _known(interval) else ""
