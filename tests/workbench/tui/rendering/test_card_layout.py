"""The layout of a card: whether the image is above or beside the text, and how many dots it gets."""

from __future__ import annotations

import pytest

from workbench.images.decode import fit_cells
from workbench.tui.rendering.card_layout import CardLayout, PanelRoom, card_layout, dots_label

CELL = (10, 20)
ROOMS = [(60, 17), (80, 21), (120, 33), (200, 47)]
SHAPES = [(640, 427), (640, 360), (640, 480), (427, 640), (640, 320), (960, 320), (512, 512), (1, 5000), (5000, 1)]


def at(room: tuple[int, int], image: tuple[int, int] | None, panel: PanelRoom = PanelRoom.LEFT_OVER) -> CardLayout:
    return card_layout(image, room, CELL, panel)


def dots_of_a_column_at_the_left(room: tuple[int, int], image: tuple[int, int]) -> int:
    """Return the dots of an image in the column that all images once had."""
    columns = min(100, int(room[0] * 0.46)) if room[0] >= 100 else min(33, int(room[0] * 0.42))
    cells = fit_cells(image, columns - 2, room[1] - 2 - (room[0] >= 100), CELL)
    return 2 * cells[0] * cells[1]


@pytest.mark.parametrize(
    ("image", "room", "above", "cells"),
    [
        ((640, 427), (80, 21), False, (31, 10)),
        ((640, 427), (120, 33), False, (53, 18)),
        ((640, 480), (200, 47), False, (90, 34)),
        ((427, 640), (120, 33), False, (40, 30)),
        ((640, 360), (120, 33), True, (68, 19)),
        ((640, 360), (200, 47), True, (117, 33)),
        ((640, 320), (80, 21), True, (36, 9)),
        ((960, 320), (80, 21), True, (54, 9)),
        ((960, 320), (120, 33), True, (114, 19)),
        ((960, 320), (60, 17), False, (23, 4)),
        ((512, 512), (80, 41), True, (54, 27)),
    ],
)
def test_an_image_stands_above_the_text_where_that_gives_clearly_more_dots(
    image: tuple[int, int], room: tuple[int, int], above: bool, cells: tuple[int, int]
) -> None:
    layout = at(room, image)
    assert (layout.above, layout.image) == (above, cells)


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("image", SHAPES)
def test_no_image_loses_dots_and_an_image_above_gains_a_quarter(image: tuple[int, int], room: tuple[int, int]) -> None:
    layout, before = at(room, image), dots_of_a_column_at_the_left(room, image)
    assert layout.dots >= (1.25 * before if layout.above else before)
    if layout.above and image[0] / image[1] >= 3:
        assert layout.dots >= 1.6 * before


@pytest.mark.parametrize("panel", list(PanelRoom))
@pytest.mark.parametrize("room", [*ROOMS, (20, 5), (1, 1)])
@pytest.mark.parametrize("image", [*SHAPES, None])
def test_all_parts_fit_into_the_room(image: tuple[int, int] | None, room: tuple[int, int], panel: PanelRoom) -> None:
    layout = at(room, image, panel)
    if room in ROOMS:
        assert layout.side[0] <= room[0]
        assert layout.side[1] <= room[1]
        extra = layout.panel or (0, 0)
        across, down = (layout.box[0] + extra[0], layout.box[1]) if layout.above else (
            layout.box[0], layout.box[1] + extra[1])  # fmt: skip
        assert (across, down) <= layout.side
        if layout.image is not None:
            assert layout.image[0] <= layout.box[0] - 2
            assert layout.image[1] <= layout.box[1] - 2
    assert layout.panel is None or panel is not PanelRoom.NONE
    assert layout == at(room, image, panel)


def test_the_panel_takes_what_the_image_leaves_or_what_the_annotator_chose() -> None:
    square = (512, 512)
    assert at((80, 21), square).panel is None
    assert at((80, 21), square, PanelRoom.CHOSEN).panel == (33, 10)
    assert at((80, 21), (640, 427)).panel == (33, 9)
    assert at((120, 33), (640, 427)).panel == (55, 12)
    assert at((120, 33), (640, 427), PanelRoom.CHOSEN).image == (53, 18)  # there was room
    assert at((120, 33), (640, 360)).panel == (48, 21)
    wide = at((120, 33), (960, 320), PanelRoom.CHOSEN)
    assert (wide.above, wide.panel) == (True, (28, 17))
    assert at((80, 9), square, PanelRoom.CHOSEN).panel is None


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("image", SHAPES)
def test_choosing_the_panel_does_not_move_the_image_to_another_side(
    image: tuple[int, int], room: tuple[int, int]
) -> None:
    assert len({at(room, image, panel).above for panel in PanelRoom}) == 1


def test_a_card_without_an_image_gives_its_box_all_rows() -> None:
    layout = at((120, 33), None)
    assert (layout.image, layout.box, layout.dots) == (None, (55, 32), 0)


def test_the_label_of_the_dots_is_the_longest_that_fits() -> None:
    assert dots_label((96, 27), (1, 2), (640, 360), 40) == "96x54 dots of 640x360 px"
    assert dots_label((54, 18), (10, 20), (640, 427), 40) == "540x360 dots of 640x427 px"
    assert dots_label((96, 27), (1, 2), (640, 360), 12) == "96x54 dots"
    assert dots_label((96, 27), (1, 2), (640, 360), 5) == ""
