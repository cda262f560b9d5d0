"""The scatter of negated by affirmative accuracy, drawn with characters. Pure.

Each model has a mark of its own, and the legend names it, so that no figure depends on a colour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content

from curation_db.language.sanitize import display_text
from curation_db.stats.intervals import Interval
from workbench.console.number_format import percent
from workbench.console.scatter import OVERLAP, mark
from workbench.reports.retention import RetentionPlot, RetentionPoint
from workbench.tui.rendering.card_content import MARK, QUIET, plain

_AXIS_CELLS = 5
"""Cells of the numbers at the vertical axis, and of the axis."""
_NAME_CELLS, _FIGURE_CELLS = 24, 16
_STEP, _SHORTEST_AXIS = 10, 20
"""The axes end at multiples of the first, in percent, and are at least as long as the second."""
_MOST_INTERVALS = 12
"""With more models than this, only the chosen one is drawn with its intervals."""
_DETAILED = 64
"""Cells from which the legend has the figures."""


@dataclass(frozen=True, slots=True)
class _Axis:
    """A range in percent on a number of cells."""

    low: int
    high: int
    cells: int

    def cell(self, share: float) -> int:
        place = (100 * share - self.low) / (self.high - self.low) * (self.cells - 1)
        return min(max(round(place), 0), self.cells - 1)

    def span(self, interval: Interval) -> range:
        return range(self.cell(interval.low), self.cell(interval.high) + 1)


def retention_chart(plot: RetentionPlot, chosen: str | None, width: int, height: int) -> Content:
    """Return the plot with its legend beside it, in `width` cells and `height` lines.

    Args:
        plot: The models.
        chosen: Hash of the model whose mark is highlighted.
    """
    detailed = width >= _DETAILED
    names = [display_text(point.negated.model, limit=60) for point in plot.points]
    longest = min(_NAME_CELLS if detailed else 15, max(map(len, names)))
    legend_cells = longest + 4 + (_FIGURE_CELLS if detailed else 0)
    columns, rows = max(8, width - _AXIS_CELLS - legend_cells - 3), max(4, height - 4)
    x = _axis([point.affirmed.accuracy for point in plot.points], columns)
    y = _axis([point.negated.accuracy for point in plot.points], rows)
    field = _field(plot.points, chosen, x, y)
    at = next((place for place, point in enumerate(plot.points) if point.negated.model_hash == chosen), 0)
    legend = _legend(plot.points, names, at, longest, rows + 2, detailed=detailed)
    lines = [Content.assemble(("negated right %", QUIET))]
    for row in reversed(range(rows)):
        label = str(_tick(y, row)) if _tick(y, row) is not None else ""
        line = Content("").join(field.get((column, row), Content(" ")) for column in range(columns))
        lines.append(Content.assemble((f"{label:>3} {'┤' if label else '│'}", QUIET), line))
    ticks = [_tick(x, column) for column in range(columns)]
    rule = "".join("─" if tick is None else "┬" for tick in ticks)
    lines.append(Content.styled(f"    └{rule}", QUIET))
    lines.append(Content.styled(_tick_labels(x, ticks), QUIET))
    lines.append(Content.styled(f"{'affirmative right %':>{_AXIS_CELLS + columns}}", QUIET))
    return Content("\n").join(
        line if place == 0 or place > len(legend) else _beside(line, legend[place - 1], _AXIS_CELLS + columns + 3)
        for place, line in enumerate(lines)
    )


def _axis(intervals: Sequence[Interval], cells: int) -> _Axis:
    """Return an axis over the intervals, its ends at multiples of ten percent."""
    low = max(0, math.floor(100 * min(each.low for each in intervals) / _STEP) * _STEP)
    high = min(100, math.ceil(100 * max(each.high for each in intervals) / _STEP) * _STEP)
    if high - low < _SHORTEST_AXIS:
        low = max(0, min(low, 100 - _SHORTEST_AXIS))
        high = low + _SHORTEST_AXIS
    return _Axis(low, high, cells)


def _field(points: Sequence[RetentionPoint], chosen: str | None, x: _Axis, y: _Axis) -> dict[tuple[int, int], Content]:
    """Return the drawn cells by (column, row): intervals, then marks; the mark of the chosen model is on top."""
    cells: dict[tuple[int, int], Content] = {}
    for negated, affirmed in points:
        if len(points) > _MOST_INTERVALS and negated.model_hash != chosen:
            continue
        column, row = x.cell(affirmed.accuracy.estimate), y.cell(negated.accuracy.estimate)
        cells |= {(each, row): Content.styled("─", QUIET) for each in x.span(affirmed.accuracy)}
        cells |= {(column, each): Content.styled("│", QUIET) for each in y.span(negated.accuracy)}
    marked: dict[tuple[int, int], str] = {}
    for index, (negated, affirmed) in enumerate(points):
        place = x.cell(affirmed.accuracy.estimate), y.cell(negated.accuracy.estimate)
        marked[place] = OVERLAP if place in marked else mark(index)
    cells |= {place: Content.styled(text, "bold") for place, text in marked.items()}
    for index, (negated, affirmed) in enumerate(points):
        if negated.model_hash == chosen:
            place = x.cell(affirmed.accuracy.estimate), y.cell(negated.accuracy.estimate)
            cells[place] = Content.styled(mark(index), f"bold reverse {MARK}")
    return cells


def _tick(axis: _Axis, cell: int) -> int | None:
    """Return the percentage at a cell if it has a label: the ends and the middle."""
    marked = {axis.cell(value / 100): value for value in (axis.low, (axis.low + axis.high) // 2, axis.high)}
    return marked.get(cell)


def _tick_labels(axis: _Axis, ticks: Sequence[int | None]) -> str:
    """Return the numbers below the horizontal axis, each centred at its tick and within the line."""
    line = [" "] * (_AXIS_CELLS + axis.cells)
    for column, tick in enumerate(ticks):
        if tick is not None:
            start = min(_AXIS_CELLS + column - len(str(tick)) // 2, len(line) - len(str(tick)))
            line[start : start + len(str(tick))] = str(tick)
    return "".join(line)


def _legend(
    points: Sequence[RetentionPoint], names: Sequence[str], at: int, cells: int, lines: int, *, detailed: bool
) -> list[Content]:
    """Return `lines` lines at most: the models around the chosen one, each with its mark."""
    header = [Content.styled(f"{'':{cells + 4}}{'affirm':>7}{'negated':>9}", QUIET)] if detailed else []
    room = lines - len(header)
    first = 0 if len(points) <= room else max(0, min(at - room // 2, len(points) - room + 1))
    shown = range(first, min(len(points), first + (room if len(points) <= room else room - 1)))
    listed = []
    for place in shown:
        point, chosen = points[place], place == at
        figures = f"{percent(point.affirmed.accuracy.estimate):>7}{percent(point.negated.accuracy.estimate):>9}"
        name = plain(names[place]).truncate(cells, ellipsis=True, pad=True)
        head = (f"{'▸' if chosen else ' '} ", f"bold {MARK}"), (f"{mark(place)} ", "bold")
        listed.append(Content.assemble(*head, name, (figures if detailed else "", "" if chosen else QUIET)))
    left_out = len(points) - len(shown)
    return [*header, *listed, *([Content.styled(f"    {left_out:,} more", QUIET)] if left_out else [])]


def _beside(left: Content, right: Content, width: int) -> Content:
    return Content.assemble(left, " " * max(1, width - left.cell_length), right)
