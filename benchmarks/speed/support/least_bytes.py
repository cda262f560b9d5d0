"""The least bytes that change one screen into another: a lower bound for what an app sends to the terminal.

It counts the characters of the changed cells, the changes of style between them, and the movements of the cursor, each
in its shortest form. It shares no code with the app.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

Look = tuple[frozenset[str], str, str]
"""Attributes, foreground and background, as parameters of SGR sequences."""
Grid = list[list[tuple[str, Look]]]
"""The cells of a screen, row by row; the second cell of a wide character is empty."""
_PLAIN: Look = (frozenset(), "", "")
_ATTRIBUTES = {"bold": "1", "dim": "2", "italic": "3", "underline": "4", "reverse": "7", "strike": "9"}


def grid(lines: Iterable[Iterable[Segment]]) -> Grid:
    """Return the cells of a screen's lines."""
    return [[cell for segment in line if not segment.control for cell in _cells(segment)] for line in lines]


def _cells(segment: Segment) -> list[tuple[str, Look]]:
    look = _look(segment.style) if segment.style is not None else _PLAIN
    cells: list[tuple[str, Look]] = []
    for letter in segment.text:
        cells += [(letter, look), *[("", look)] * (cell_len(letter) - 1)]
    return cells


def _look(style: Style) -> Look:
    attributes = frozenset(code for name, code in _ATTRIBUTES.items() if getattr(style, name))
    colour, behind = style.color, style.bgcolor
    return (
        attributes,
        ";".join(colour.get_ansi_codes()) if colour is not None else "",
        ";".join(behind.get_ansi_codes(foreground=False)) if behind is not None else "",
    )


def least_bytes(before: Grid, after: Grid) -> int:
    """Return the number of bytes that the changed cells need at least."""
    total, active = 0, _PLAIN
    for y, (old, new) in enumerate(zip(before, after, strict=True)):
        last: int | None = None
        for x, (cell, now) in enumerate(zip(old, new, strict=True)):
            if cell == now or not now[0]:
                continue
            if last is None or x > last + 1:
                total += _movement(new, last, x, y)
            total += _style_bytes(active, now[1]) + len(now[0].encode())
            last, active = x, now[1]
    return total


def _movement(row: Sequence[tuple[str, Look]], last: int | None, x: int, y: int) -> int:
    """Return the bytes of the shortest way to a cell: a position, a distance, or the cells between once more."""
    position = len(f"\x1b[{y + 1};{x + 1}H")
    if last is None:
        return position
    gap = row[last + 1 : x]
    again = sum(len(letter.encode()) for letter, _ in gap) if all(look == row[last][1] for _, look in gap) else position
    return min(position, len(f"\x1b[{x - last - 1}C"), again)


def _style_bytes(before: Look, after: Look) -> int:
    if before == after:
        return 0
    changed = [new for old, new in zip(before[1:], after[1:], strict=True) if old != new]
    parameters = [*sorted(after[0] - before[0]), *(code or "39" for code in changed)]
    removed = len(before[0] - after[0])  # "22", "24" ...
    return len(f"\x1b[{';'.join([*parameters, *['22'] * removed])}m")
