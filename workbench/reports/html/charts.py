"""Charts as inline SVG: bars with intervals, and a scatter with intervals. Colours are CSS variables `--c0` to `--c7`.

Each series has a colour and a mark of its own, so that no figure depends on the colour. All texts are escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from curation_db.language.sanitize import display_text
from curation_db.stats.intervals import Interval
from workbench.console.number_format import percent, span

COLOURS = 8
_LABEL, _PLOT, _FIGURE, _ROW = 190, 420, 300, 24
"""Pixels of the labels, the plot, the figures, and a row of the bar plot."""
_SIDE, _MARGIN, _LEGEND = 420, 56, 340
"""Pixels of the scatter's plot, of its axes, and of the figures beside it."""
_MARKS = (
    "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0Z",
    "M-4.6,-4.6H4.6V4.6H-4.6Z",
    "M0,-6L5.6,4.4H-5.6Z",
    "M0,-6.4L5.4,0L0,6.4L-5.4,0Z",
    "M0,6L5.6,-4.4H-5.6Z",
    "M-2,-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z",
    "M0,-6L5.7,-1.8L3.5,4.9H-3.5L-5.7,-1.8Z",
)
"""Circle, square, triangle, diamond, triangle down, plus, pentagon. 7 marks and 8 colours give 56 pairs."""


@dataclass(frozen=True, slots=True)
class Bar:
    label: str
    accuracy: Interval
    series: int
    note: str = ""
    """Text after the figures."""
    figures: str = ""
    """The share and its interval as text; "": with one decimal."""


@dataclass(frozen=True, slots=True)
class Point:
    label: str
    x: Interval
    y: Interval
    series: int


def mark(series: int, x: float = 0, y: float = 0) -> str:
    """Return the mark of a series, centred at x, y."""
    shape, colour = _MARKS[series % len(_MARKS)], series % COLOURS
    return f'<path class="mark" d="{shape}" transform="translate({x:.1f},{y:.1f})" fill="var(--c{colour})"/>'


def bar_plot(bars: Sequence[Bar], *, title: str, chance: float | None, most: float = 1.0) -> str:
    """Return horizontal bars, each with its interval and mark.

    Args:
        chance: Where to draw a dashed line; None: nowhere.
        most: The share at the right end of the axis, which begins at 0.
    """
    height = _ROW * len(bars) + 34
    width = _LABEL + _PLOT + _FIGURE
    parts = [_axis_x(part * most, _LABEL + part * _PLOT, height - 26) for part in (0, 0.25, 0.5, 0.75, 1)]
    if chance is not None:
        at = _LABEL + chance / most * _PLOT
        parts.append(f'<line class="chance" x1="{at:.1f}" x2="{at:.1f}" y1="2" y2="{height - 28}"/>')
    for row, bar in enumerate(bars):
        y = _ROW * row + _ROW / 2 + 2
        low, middle, high = (_LABEL + min(value / most, 1) * _PLOT for value in _ends(bar.accuracy))
        colour = f"var(--c{bar.series % COLOURS})"
        parts.append(f'<text x="{_LABEL - 12}" y="{y + 4:.1f}" text-anchor="end">{_text(bar.label, 26)}</text>')
        parts.append(
            f'<rect x="{_LABEL}" y="{y - 7:.1f}" width="{middle - _LABEL:.1f}" height="14" rx="2" fill="{colour}" '
            f'opacity="0.35"/>'
        )
        parts.append(f'<line class="whisker" x1="{low:.1f}" x2="{high:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(mark(bar.series, middle, y))
        share = bar.figures or f"{percent(bar.accuracy.estimate)} % ({span(bar.accuracy)})"
        figures = " · ".join(filter(None, (share, bar.note)))
        parts.append(f'<text class="figure" x="{_LABEL + _PLOT + 14}" y="{y + 4:.1f}">{_text(figures, 80)}</text>')
    return _svg(width, height, title, parts)


def scatter_plot(
    points: Sequence[Point], *, title: str, x_name: str, y_name: str, columns: tuple[str, str] = ("x", "y")
) -> str:
    """Return the points on axes from 0 to 100 %, with both intervals, and their figures in columns beside the plot."""
    parts, ends = [], [_SIDE + 2 * _MARGIN + _LEGEND - 90, _SIDE + 2 * _MARGIN + _LEGEND]
    for end, name in zip(ends, columns, strict=True):
        parts.append(_right(_text(name, 20), end, _MARGIN / 2 + 16, "tick"))
    for share in (0, 0.25, 0.5, 0.75, 1):
        x, y = _MARGIN + share * _SIDE, _MARGIN / 2 + (1 - share) * _SIDE
        parts.append(_axis_x(share, x, _MARGIN / 2 + _SIDE, top=_MARGIN / 2))
        parts.append(f'<line class="grid" x1="{_MARGIN}" x2="{_MARGIN + _SIDE}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{_MARGIN - 8}" y="{y + 4:.1f}" text-anchor="end">{100 * share:.0f}</text>')
    for row, point in enumerate(points):
        x_low, x, x_high = (_MARGIN + value * _SIDE for value in _ends(point.x))
        y_low, y, y_high = (_MARGIN / 2 + (1 - value) * _SIDE for value in _ends(point.y))
        parts.append(f'<line class="whisker" x1="{x_low:.1f}" x2="{x_high:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{y_low:.1f}" y2="{y_high:.1f}"/>')
        figures = f"x {percent(point.x.estimate)}, y {percent(point.y.estimate)}"
        parts.append(f"<g><title>{_text(point.label, 80)}: {figures}</title>{mark(point.series, x, y)}</g>")
        left, line = _SIDE + 2 * _MARGIN, _MARGIN / 2 + 12 + _ROW * (row + 1)
        parts.append(mark(point.series, left, line))
        parts.append(f'<text x="{left + 14}" y="{line + 4}">{_text(point.label, 26)}</text>')
        parts += [
            _right(percent(share.estimate), end, line + 4, "figure")
            for share, end in zip((point.x, point.y), ends, strict=True)
        ]
    middle, below = _MARGIN + _SIDE / 2, _MARGIN / 2 + _SIDE + 38
    parts.append(f'<text x="{middle}" y="{below}" text-anchor="middle">{_text(x_name, 60)}, %</text>')
    turned = f"translate(14,{_MARGIN / 2 + _SIDE / 2}) rotate(-90)"
    parts.append(f'<text transform="{turned}" text-anchor="middle">{_text(y_name, 60)}, %</text>')
    height = max(below + 12, _MARGIN / 2 + _ROW * (len(points) + 2))
    return _svg(_SIDE + 2 * _MARGIN + _LEGEND, height, title, parts)


def _right(text: str, x: float, y: float, kind: str) -> str:
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="end">{text}</text>'


def _ends(interval: Interval) -> tuple[float, float, float]:
    return interval.low, interval.estimate, interval.high


def _axis_x(share: float, x: float, bottom: float, top: float = 2) -> str:
    return (
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>'
        f'<text class="tick" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{100 * share:.3g}</text>'
    )


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    name = _text(title, 160)
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{name}">'
        f"<title>{name}</title>{''.join(parts)}</svg>"
    )


def _text(text: str, limit: int) -> str:
    return escape(display_text(text, limit=limit))
