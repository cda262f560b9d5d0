"""Where the image of a card stands, beside or above the text, and how large it is. Pure functions on cells.

A layout depends only on the screen and the aspect ratio of the image, so cards with equal images move nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from workbench.images.decode import fit_cells

NARROW = 100
"""A card on fewer columns is laid out for a narrow screen."""
BORDER = 2
"""Cells that a box needs for its border, across and down."""
_MARGIN = 1
"""Cells at the left of and above the image on a wide screen."""
_SIDE_SHARE, _SIDE_MOST = (0.42, 0.46), (33, 100)
"""Share of the columns for the image beside the text, and the most columns, on a narrow and on a wide screen."""
_TALL_SCREEN, _TEXT_ROWS = 30, (10, 12)
"""Rows for the text below an image, on a low and on a tall screen: a usual card with its warnings has as many."""
_CLEARLY_MORE = 1.25
"""An image stands above the text if that gives this many times the dots; beside it, the text has more rows."""
_LEAST_COLUMNS_ABOVE, _LEAST_ROWS_ABOVE = 70, 5
"""On fewer columns most texts need a second row below the image."""
PANEL_LEAST_ROWS, PANEL_CHOSEN_ROWS, PANEL_LEAST_COLUMNS = 5, 10, 28

Cells = tuple[int, int]
"""Columns and rows."""


class PanelRoom(Enum):
    """How much room the panel gets."""

    NONE = "none"
    LEFT_OVER = "left over"
    """What the image leaves."""
    CHOSEN = "chosen"
    """The annotator has chosen what the panel shows: the image gets smaller for it, if necessary."""


@dataclass(frozen=True, slots=True)
class CardLayout:
    above: bool
    """The image is above the text; otherwise beside it."""
    image: Cells | None
    """Cells of the image; None: there is no image, and the box takes all room."""
    side: Cells
    """Size of the part with the image and the panel, without margins."""
    box: Cells
    """Size of the image's box, with its border."""
    panel: Cells | None
    """Size of the panel, with its border; below the image, or at its right if the image is above the text."""

    @property
    def dots(self) -> int:
        """Dots of the image in half cells."""
        return 2 * self.image[0] * self.image[1] if self.image else 0


def card_layout(
    image: tuple[int, int] | None, room: Cells, cell: tuple[int, int], panel: PanelRoom = PanelRoom.LEFT_OVER
) -> CardLayout:
    """Return the layout that gives the image clearly more dots.

    Args:
        image: Width and height of the image in pixels; None: no image.
        room: Cells for image, panel and text together.
        cell: Width and height of a cell in pixels.
    """
    rows = room[1] - _text_rows(room[1]) - BORDER
    if image is None or room[0] < _LEAST_COLUMNS_ABOVE or rows < _LEAST_ROWS_ABOVE:
        return _beside(image, room, cell, panel)
    # Without regard to the panel, so that its key does not move the image to another side.
    above, beside = (place(image, room, cell, PanelRoom.NONE) for place in (_above, _beside))
    return (_above if above.dots >= _CLEARLY_MORE * beside.dots else _beside)(image, room, cell, panel)


def _text_rows(rows: int) -> int:
    return _TEXT_ROWS[rows >= _TALL_SCREEN]


def _beside(image: tuple[int, int] | None, room: Cells, cell: tuple[int, int], panel: PanelRoom) -> CardLayout:
    wide = room[0] >= NARROW
    columns = min(_SIDE_MOST[wide], int(room[0] * _SIDE_SHARE[wide]))
    rows = room[1] - (_MARGIN if wide else 0)
    cells = None if image is None else _fitted(image, columns - BORDER, rows - BORDER, cell)
    free = rows - cells[1] - BORDER if cells is not None else 0
    if panel is PanelRoom.CHOSEN and free < (least := min(PANEL_CHOSEN_ROWS, rows // 2)):
        free = least
        cells = None if image is None else _fitted(image, columns - BORDER, rows - free - BORDER, cell)
    if panel is PanelRoom.NONE or free < PANEL_LEAST_ROWS:
        free = 0
    box_rows = rows - free if cells is None else cells[1] + BORDER
    return CardLayout(False, cells, (columns, rows), (columns, box_rows), (columns, free) if free else None)


def _above(image: tuple[int, int], room: Cells, cell: tuple[int, int], panel: PanelRoom) -> CardLayout:
    columns, rows = room[0] - 2 * _MARGIN, room[1] - _text_rows(room[1])
    most = columns - PANEL_LEAST_COLUMNS if panel is PanelRoom.CHOSEN else columns
    cells = _fitted(image, most - BORDER, rows - BORDER, cell)
    box = cells[0] + BORDER, cells[1] + BORDER
    free = columns - box[0]
    has_panel = panel is not PanelRoom.NONE and free >= PANEL_LEAST_COLUMNS and box[1] >= PANEL_LEAST_ROWS
    return CardLayout(True, cells, (columns, box[1]), box, (free, box[1]) if has_panel else None)


def _fitted(image: tuple[int, int], columns: int, rows: int, cell: tuple[int, int]) -> Cells:
    return fit_cells(image, max(1, columns), max(1, rows), cell)


def dots_label(cells: Cells, dots_per_cell: tuple[int, int], pixels: tuple[int, int], most: int) -> str:
    """Return how many dots the image has on the screen, and of how many pixels, in at most `most` characters."""
    dots = f"{cells[0] * dots_per_cell[0]}x{cells[1] * dots_per_cell[1]} dots"
    whole = f"{dots} of {pixels[0]}x{pixels[1]} px"
    return next((label for label in (whole, dots) if len(label) <= most), "")
