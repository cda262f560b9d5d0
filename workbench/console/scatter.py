"""A plot of a few points as text, each with a mark of one character."""

from __future__ import annotations

from collections.abc import Sequence

OVERLAP = "*"
"""Mark of a cell with several points."""
_MIN_RANGE = 10.0
"""Shortest axis, in percentage points: a difference of tenths must not look large."""
_MARKS = "0123456789abcdefghijklmnopqrstuvwxyz"


def mark(index: int) -> str:
    """Return the mark of the point with this index: 0 to 9, then a to z, then again from 0."""
    return _MARKS[index % len(_MARKS)]


def scatter(
    points: Sequence[tuple[float, float]], *, x_name: str, y_name: str, width: int = 60, height: int = 16
) -> list[str]:
    """Return the lines of a plot of `points` (x, y), in percent, with the ranges of the data.

    Args:
        width: Cells of the plot itself, without the axis.
        height: Lines of the plot itself.
    """
    columns, x_ends = _cells([x for x, _ in points], width)
    rows, y_ends = _cells([y for _, y in points], height)
    cells: dict[tuple[int, int], str] = {}
    for index, (column, row) in enumerate(zip(columns, rows, strict=True)):
        cells[column, row] = OVERLAP if (column, row) in cells else mark(index)
    lines = [f"{y_name}, %"]
    for row in reversed(range(height)):
        label = {height - 1: f"{y_ends[1]:.1f}", 0: f"{y_ends[0]:.1f}"}.get(row, "")
        line = "".join(cells.get((column, row), " ") for column in range(width))
        lines.append(f"{label:>6} |{line}".rstrip())
    lines.append(f"{'':>6} +{'-' * width}")
    low, high = f"{x_ends[0]:.1f}", f"{x_ends[1]:.1f}"
    lines.append(f"{'':>8}{low}{high:>{max(1, width - len(low))}}")
    lines.append(f"{'':>8}{f'{x_name}, %':>{width}}")
    return lines


def _cells(shares: Sequence[float], count: int) -> tuple[list[int], tuple[float, float]]:
    """Return the cell of each share, and the ends of the axis in percent."""
    low, high = _range(100 * min(shares), 100 * max(shares))
    return [round((100 * share - low) / (high - low) * (count - 1)) for share in shares], (low, high)


def _range(low: float, high: float) -> tuple[float, float]:
    """Return the range of an axis, widened to `_MIN_RANGE`, within 0 and 100."""
    missing = max(0.0, _MIN_RANGE - (high - low))
    low = min(max(0.0, low - missing / 2), 100 - _MIN_RANGE) if missing else low
    return low, max(high, low + _MIN_RANGE)
