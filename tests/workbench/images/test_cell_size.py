"""The size of a terminal cell in pixels, and the aspect ratio of images on cells of any size."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image
from support.terminal import Terminal
from textual.app import App, ComposeResult

from workbench.images import terminal_graphics
from workbench.images.decode import Thumbnail, fit_cells
from workbench.images.terminal_graphics import USUAL_CELL, TerminalAnswer, canvas, cell_pixels, picture_box
from workbench.tui.widgets.picture import PicturePane


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a function that sets the size of stdout's terminal: rows, columns, width and height in pixels."""
    monkeypatch.setattr(terminal_graphics, "_answered", {})
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as end:
        monkeypatch.setattr(sys, "__stdout__", end)
        yield lambda *size: fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", *size))
    os.close(master)


@pytest.mark.parametrize(
    ("size", "cell"),
    [
        ((36, 120, 1080, 756), (9, 21)),
        ((36, 120, 2400, 1440), (20, 40)),
        ((36, 120, 0, 0), USUAL_CELL),
        ((0, 0, 0, 0), USUAL_CELL),
        ((36, 120, 120, 36), USUAL_CELL),  # some terminals report cells as pixels
        ((36, 120, 1200, 9_000), USUAL_CELL),  # implausible: 25 times as high as wide
    ],
)
def test_the_cell_size_is_computed_from_the_window_size(
    window: Any, size: tuple[int, ...], cell: tuple[int, int]
) -> None:
    window(*size)
    assert cell_pixels() == cell


def test_the_answer_of_the_terminal_is_used_until_the_window_has_a_pixel_size(
    window: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal_graphics, "ask_terminal", lambda _: TerminalAnswer(sixel=True, cell=(11, 24)))
    window(36, 120, 0, 0)
    assert terminal_graphics.detect({"TERM": "foot"}) == "sixel"
    assert cell_pixels() == (11, 24)
    assert picture_box(10, 10, "sixel") == (110, 240)
    window(36, 120, 1080, 756)
    assert cell_pixels() == (9, 21)
    assert (canvas(10, 5, "kitty").size, canvas(10, 5, "halfcell").size) == ((90, 105), (10, 10))


def test_the_answer_is_read_from_a_real_terminal() -> None:
    code = "from workbench.images.terminal_graphics import ask_terminal; print(ask_terminal(20.0).cell, flush=True)"
    with Terminal([sys.executable, "-c", code]) as terminal:
        terminal.wait_for(lambda: b"\x1b[16t" in terminal.output)
        terminal.press("\x1b[6;22;11t\x1b[?62;4c")
        terminal.wait_for(b"(11, 22)")
        assert terminal.end() == 0


@pytest.mark.parametrize(
    ("cell", "cells"), [((10, 20), (40, 20)), ((10, 15), (30, 20)), ((10, 30), (60, 20)), ((20, 50), (50, 20))]
)
def test_a_square_stays_square_on_any_cell(cell: tuple[int, int], cells: tuple[int, int]) -> None:
    columns, rows = fit_cells((500, 500), 100, 20, cell)
    assert (columns, rows) == cells
    assert columns * cell[0] == rows * cell[1]


class PaneApp(App[None]):
    """An app with only an image pane."""

    def compose(self) -> ComposeResult:
        yield PicturePane()


async def test_a_resize_lays_out_the_image_again(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = [(10, 20)]
    monkeypatch.setattr("workbench.tui.widgets.picture.cell_pixels", lambda: cell[0])
    app = PaneApp()
    async with app.run_test(size=(60, 20)) as pilot:
        pane = app.query_one(PicturePane)
        square = Image.new("RGB", (50, 50), "red")
        pane.show(Thumbnail(square, None, square.size))
        await pilot.pause()
        assert pane._place().size == (40, 20)
        cell[0] = (10, 15)  # another font
        await pilot.resize_terminal(90, 30)
        await pilot.pause()
        assert pane._place().size == (45, 30)
