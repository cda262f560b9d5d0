"""The least bytes between two screens, counted by hand."""

from __future__ import annotations

import pytest
from rich.segment import Segment
from rich.style import Style

from benchmarks.speed.support.least_bytes import grid, least_bytes

RED = Style(color="#ff0000")


def row(*parts: tuple[str, Style | None]) -> list[Segment]:
    return [Segment(text, style) for text, style in parts]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("abcdef", "abcdef", ""),
        ("abcdef", "aXcdef", "\x1b[1;2HX"),
        ("abcdef", "XbcdeX", "\x1b[1;1HX\x1b[4CX"),
        ("abcdef", "XbXdef", "\x1b[1;1HXbX"),
        ("a      ", "狗     ", "\x1b[1;1H狗"),
    ],
)
def test_changed_cells_take_their_characters_and_a_movement(before: str, after: str, expected: str) -> None:
    assert least_bytes(grid([row((before, None))]), grid([row((after, None))])) == len(expected.encode())


def test_a_style_is_set_once_for_its_neighbours() -> None:
    before = grid([row(("abcd", None))])
    assert least_bytes(before, grid([row(("ab", RED), ("cd", None))])) == len("\x1b[1;1H\x1b[38;2;255;0;0mab")
