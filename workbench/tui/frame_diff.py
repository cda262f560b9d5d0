"""Reduces a frame to the cells that differ from what the terminal shows.

Textual sends each widget that was refreshed as a whole: 58 kB for a card of the same image, of which 0.5 kB differ.
`DrawnScreen` knows the cells that were sent and returns the shortest text that changes them into those of the frame.
It knows nothing after `forget`, which is called whenever something else may have written to the terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import compress
from operator import ne
from typing import NamedTuple

from rich.cells import split_graphemes
from rich.color import Color, ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, Compositor, CompositorUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

GRAPHIC = "graphic"
"""Key in the meta data of a style: the number of the graphic (sixels) that covers a cell. A control segment that
follows such cells in a strip draws the graphic. It is sent again whenever one of its cells is sent."""
_GRAPHIC_BYTES = GRAPHIC.encode()
_BEHIND = "\0"
"""Start of the text of the second cell of a wide character; the character follows. So it changes with the first."""
_PLACEHOLDER = "\U0010eeee"
"""Kitty's placeholder for a part of an image: its combining characters need no caution."""
_BRIDGE = 4
"""So many equal cells between two changed ones are sent, too: moving the cursor takes more bytes."""
_WHOLE = 0.95
"""If so many of a strip's cells differ, all are sent: their text is ready (`CellStrip.written`)."""
_MOST_GRAPHICS = 8
_RISK = 2
"""A terminal may draw some characters wider or narrower than Textual measures: so many neighbours are sent, too."""


class Look(NamedTuple):
    """What is visible of a style: parameters of SGR sequences, and a link."""

    attributes: tuple[str, ...] = ()
    foreground: str = ""
    background: str = ""
    link: str = ""
    graphic: int = 0


Cell = tuple[str, Look]
_PLAIN = Look()


class CellStrip(Strip):
    """A strip that keeps its cells, for lines that are drawn often or prepared in advance."""

    __slots__ = ["_cells", "_written"]

    def __init__(self, segments: Iterable[Segment], cell_length: int | None = None) -> None:
        super().__init__(segments, cell_length)
        self._cells: tuple[ColorSystem, list[Cell]] | None = None
        self._written: tuple[ColorSystem, str] | None = None

    def cells(self, system: ColorSystem) -> list[Cell]:
        """Return the cells; a second call costs nothing."""
        if self._cells is None or self._cells[0] is not system:
            self._cells = (system, _cells(self, system))
        return self._cells[1]

    def written(self, system: ColorSystem) -> str:
        """Return the text that draws all cells, from no style to no style; "" if it depends on the cells around it.

        A second call costs nothing.
        """
        if self._written is None or self._written[0] is not system:
            cells = self.cells(system)
            is_simple = all(len(text) == 1 and not look.graphic for text, look in cells)
            self._written = (system, _written(cells) if is_simple else "")
        return self._written[1]


class PlacedStrip(NamedTuple):
    """A part of a line of the screen."""

    x: int
    y: int
    strip: Strip


class DrawnScreen:
    """The cells that the terminal shows, as far as they are known."""

    def __init__(self) -> None:
        self._width = self._height = 0
        self._rows: list[list[Cell | None]] = []
        self._graphics: dict[int, str] = {}
        """The control text of the graphics that were sent last, by number."""

    def forget(self) -> None:
        """Take all cells as unknown: the terminal was resized, or another program wrote to it."""
        self._rows = [[None] * self._width for _ in range(self._height)]

    @property
    def text(self) -> str:
        """The characters that are drawn, one line per row; unknown cells are blank."""
        return "\n".join(
            "".join(" " if cell is None else "" if cell[0].startswith(_BEHIND) else cell[0] for cell in row)
            for row in self._rows
        )

    def draw(self, strips: Iterable[PlacedStrip], size: tuple[int, int], system: ColorSystem) -> str:
        """Return the text that makes the terminal show these strips; cells outside of them stay.

        The cursor may end anywhere; no style is left set.

        Args:
            strips: Non-overlapping parts of lines; parts outside the screen are left out.
            size: Width and height of the screen. After another size than before, all cells are unknown.
            system: The colours of the terminal.
        """
        if size != (self._width, self._height):
            self._width, self._height = size
            self.forget()
        changed: dict[int, set[int]] = {}
        whole: list[str] = []
        for x, y, strip in strips:
            if 0 <= y < self._height and 0 <= x < self._width:
                cells = strip.cells(system) if isinstance(strip, CellStrip) else _cells(strip, system)
                self._note_graphics(strip, cells)
                cells = cells[: self._width - x]
                before, differing = self._place(x, y, cells)
                if len(differing) >= _WHOLE * len(cells) and (text := _whole(strip, cells, before, system)):
                    whole.append(f"\x1b[{y + 1};{x + 1}H{text}")
                elif differing:
                    self._note_changed(x, y, cells, before, differing, changed)
        return "".join(whole) + self._text(changed)

    def _place(self, x: int, y: int, cells: list[Cell]) -> tuple[list[Cell | None], list[int]]:
        """Store cells; return those that were at their place, and the columns of those that differ."""
        row, end = self._rows[y], x + len(cells)
        before = row[x:end]
        if before == cells:
            return before, []
        row[x:end] = cells
        return before, list(compress(range(x, end), map(ne, before, cells)))

    def _note_changed(
        self,
        x: int,
        y: int,
        cells: Sequence[Cell],
        before: Sequence[Cell | None],
        differing: Sequence[int],
        changed: dict[int, set[int]],
    ) -> None:
        """Add the columns that have to be sent to `changed`."""
        columns = changed.setdefault(y, set())
        columns.update(differing)
        for at in differing:
            old, new = before[at - x], cells[at - x]
            if (len(new[0]) > 1 and _is_risky(new)) or (old is not None and len(old[0]) > 1 and _is_risky(old)):
                columns.update(range(max(0, at - _RISK), min(self._width, at + _RISK + 1)))

    def _note_graphics(self, strip: Strip, cells: Sequence[Cell]) -> None:
        for segment in strip:
            if segment.control and (number := _last_graphic(cells)):
                self._graphics[number] = segment.text
                while len(self._graphics) > _MOST_GRAPHICS:
                    del self._graphics[next(iter(self._graphics))]

    def _text(self, changed: dict[int, set[int]]) -> str:
        written: list[str] = []
        active = _PLAIN
        graphics: dict[int, None] = {}
        for y in sorted(changed):
            row = self._rows[y]
            for start, end in _spans(row, sorted(changed[y])):
                written.append(f"\x1b[{y + 1};{start + 1}H")
                for x in range(start, end):
                    cell = row[x]
                    if cell is None:
                        continue
                    text, look = cell
                    if look is not active and look != active:
                        written.append(_transition(active, look))
                        active = look
                    if look.graphic:
                        graphics[look.graphic] = None
                    if len(text) == 1:
                        written.append(text)
                    elif not text.startswith(_BEHIND):
                        written.append(text)
                        if x + 1 < end and _is_risky(cell):
                            written.append(f"\x1b[{y + 1};{x + _width(row, x) + 1}H")
        if active != _PLAIN:
            written.append(_transition(active, _PLAIN))
        written += [self._graphics[number] for number in graphics if number in self._graphics]
        return "".join(written)


def _whole(strip: Strip, cells: Sequence[Cell], before: Sequence[Cell | None], system: ColorSystem) -> str:
    """Return the text of all cells of a strip if it is ready; "" if the cells depend on others."""
    if not isinstance(strip, CellStrip) or len(cells) != strip.cell_length:
        return ""
    return strip.written(system) if all(cell is None or len(cell[0]) == 1 for cell in before) else ""


def _written(cells: Iterable[Cell]) -> str:
    """Return the text of cells of one character each, from no style to no style."""
    written: list[str] = []
    active = _PLAIN
    for text, look in cells:
        if look is not active and look != active:
            written.append(_transition(active, look))
            active = look
        written.append(text)
    if active != _PLAIN:
        written.append(_transition(active, _PLAIN))
    return "".join(written)


def _spans(row: Sequence[Cell | None], columns: Sequence[int]) -> list[tuple[int, int]]:
    """Return the ranges of cells to send: the changed columns, and short gaps that need no other style."""
    spans: list[tuple[int, int]] = []
    first = last = -1
    """The range that is being extended, with its end."""
    for column in columns:
        cell = row[column]
        if cell is None:
            continue
        start = column
        while start > 0 and cell is not None and len(cell[0]) > 1 and cell[0].startswith(_BEHIND):
            start -= 1
            cell = row[start]
        if last >= start or (last > 0 and start <= last + _BRIDGE and _is_bridge(row, last, start)):
            last = max(column + 1, last)
            continue
        if last > 0:
            spans.append((first, last))
        first, last = start, column + 1
    if last > 0:
        spans.append((first, last))
    return spans


def _is_bridge(row: Sequence[Cell | None], start: int, end: int) -> bool:
    before = row[start - 1]
    gap = row[start:end]
    return before is not None and all(cell is not None and cell[1] == before[1] for cell in gap)


def _width(row: Sequence[Cell | None], x: int) -> int:
    behind = row[x + 1] if x + 1 < len(row) else None
    return 2 if behind is not None and behind[0].startswith(_BEHIND) else 1


def _is_risky(cell: Cell) -> bool:
    """Return whether terminals disagree on the width of the cell's character: it has several code points."""
    text = cell[0]
    return len(text) > 1 and text[0] != _PLACEHOLDER and not (text[0] == _BEHIND and len(text) == 2)


def _last_graphic(cells: Sequence[Cell]) -> int:
    return next((look.graphic for _, look in reversed(cells) if look.graphic), 0)


# -- cells of strips ------------------------------------------------------------------------------------------------


def _cells(strip: Strip, system: ColorSystem) -> list[Cell]:
    cells: list[Cell] = []
    for text, style, control in strip:
        if control:
            continue
        look = _look(style, system) if style is not None else _PLAIN
        if text.isascii() or _NARROW.issuperset(text):
            cells += [(letter, look) for letter in text]
        else:
            leading, listed = _graphemes(text)
            if leading and cells:  # combining characters whose base is in the segment before
                cells[-1] = (cells[-1][0] + leading, cells[-1][1])
            cells += [(each, look) for each in listed]
    return cells


_NARROW = frozenset(map(chr, [*range(0x20, 0x7F), *range(0xA0, 0xAD), *range(0xAE, 0x300), *range(0x2500, 0x25FD)]))
"""Characters that take one cell, and combine with none."""


@lru_cache(maxsize=1024)
def _graphemes(text: str) -> tuple[str, tuple[str, ...]]:
    """Return leading characters without a cell, and the text of each cell.

    The cell behind that of a wide character has `_BEHIND` and the character.
    """
    leading, cells = "", list[str]()
    for start, end, width in split_graphemes(text)[0]:
        grapheme = text[start:end]
        if width:
            cells += [grapheme, *[_BEHIND + grapheme] * (width - 1)]
        elif cells:
            cells[-1] += grapheme
        else:
            leading += grapheme
    return leading, tuple(cells)


_looks: dict[tuple[Color | None, Color | None, int, str | None, str, int, ColorSystem], Look] = {}
_MOST_LOOKS = 4_096


def _look(style: Style, system: ColorSystem) -> Look:
    """Return the look of a style. Textual adds to most styles where in the text they are, which is not looked at."""
    graphic = int(style.meta.get(GRAPHIC, 0)) if style._meta is not None and _GRAPHIC_BYTES in style._meta else 0
    link = style.link
    attributes = (style._attributes or 0) & (style._set_attributes or 0)
    key = (style._color, style._bgcolor, attributes, link, style.link_id if link else "", graphic, system)
    look = _looks.get(key)
    if look is None:
        if len(_looks) >= _MOST_LOOKS:
            _looks.clear()
        look = _looks[key] = _new_look(style, graphic, system)
    return look


def _new_look(style: Style, graphic: int, system: ColorSystem) -> Look:
    attributes = Strip.render_ansi(style.without_color, system) if style._attributes else ""
    colour, behind = style.color, style.bgcolor
    foreground = () if colour is None or colour.is_default else colour.downgrade(system).get_ansi_codes()
    background = (
        () if behind is None or behind.is_default else behind.downgrade(system).get_ansi_codes(foreground=False)
    )
    return Look(
        tuple(attributes.split(";")) if attributes else (),
        ";".join(foreground),
        ";".join(background),
        f"id={style.link_id};{style.link}" if style.link else "",
        graphic,
    )


def _transition(before: Look, after: Look) -> str:
    """Return the shortest sequence from one style to another."""
    link = ""
    if before.link != after.link:
        link = ("\x1b]8;;\x1b\\" if before.link else "") + (f"\x1b]8;{after.link}\x1b\\" if after.link else "")
    if before.attributes == after.attributes:
        parameters: list[str] = []
    elif set(before.attributes) <= set(after.attributes):
        parameters = [each for each in after.attributes if each not in before.attributes]
    else:  # attributes are only removed all together
        parameters = ["0", *after.attributes, *filter(None, (after.foreground, after.background))]
        return f"\x1b[{';'.join(parameters)}m{link}"
    if before.foreground != after.foreground:
        parameters.append(after.foreground or "39")
    if before.background != after.background:
        parameters.append(after.background or "49")
    return f"\x1b[{';'.join(parameters)}m{link}" if parameters else link


# -- frames of Textual ----------------------------------------------------------------------------------------------


class StripsUpdate(CompositorUpdate):
    """An update whose strips were not divided at the edges of widgets (see `changed_strips`)."""

    def __init__(self, strips: Sequence[PlacedStrip]) -> None:
        self.strips = strips

    def render_segments(self, console: Console) -> str:
        """Return the text for the terminal, with all cells."""
        return DrawnScreen().draw(self.strips, (console.width, console.height), colour_system(console))


Update = LayoutUpdate | ChopsUpdate | StripsUpdate
"""A frame, whole or in part."""


class ChangedCells(CompositorUpdate):
    """A frame that is sent as the cells that differ."""

    def __init__(self, update: Update, drawn: DrawnScreen, size: tuple[int, int]) -> None:
        self._update, self._drawn, self._size = update, drawn, size

    def render_segments(self, console: Console) -> str:
        """Return the text for the terminal; from then on these cells count as drawn."""
        return self._drawn.draw(placed_strips(self._update), self._size, colour_system(console))


def colour_system(console: Console) -> ColorSystem:
    """Return the colours in which cells are sent: as Textual does, true colour where the console has none."""
    return console._color_system or ColorSystem.TRUECOLOR


def placed_strips(update: Update) -> Sequence[PlacedStrip]:
    """Return the strips of an update with their places."""
    if isinstance(update, StripsUpdate):
        return update.strips
    if isinstance(update, LayoutUpdate):
        return _strips_of_lines(update)
    placed = []
    for y, start, end in update.spans:
        for stop, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            # A part of a line that the span does not touch may lack the widgets above it.
            if strip is not None and x < end and stop > start:
                placed.append(PlacedStrip(x, y, strip))
    return placed


def changed_strips(compositor: Compositor) -> list[PlacedStrip] | None:
    """Return the strips of the regions that have changed; from then on the compositor's regions are clean.

    The compositor would render all widgets within the bounds of all changed regions, and divide each line at the edges
    of all of them, which takes longer than what a card changes. Here each region is rendered by the widgets that are
    on top there, and by no other.

    Returns:
        None: the whole screen has changed, which is left to the compositor.
    """
    screen = compositor.size.region
    largest: list[Region] = []
    for changed in sorted(compositor._dirty_regions, key=lambda region: -region.area):
        if not any(other.contains_region(changed) for other in largest):
            largest.append(changed)
    if screen in largest:
        return None
    compositor._dirty_regions.clear()
    return [
        PlacedStrip(part.x, y, strip)
        for changed in largest
        for widget, region, part in _on_top(compositor, changed.intersection(screen))
        for y, strip in enumerate(widget.render_lines(part.translate(-region.offset)), part.y)
    ]


def _on_top(compositor: Compositor, region: Region) -> list[tuple[Widget, Region, Region]]:
    """Return the widgets that are visible in a region of the screen, with their regions and the parts they cover."""
    covering: list[tuple[Widget, Region, Region]] = []
    uncovered = [region] if region else []
    for widget, (whole, clip) in compositor.visible_widgets.items():  # from front to back
        place, rest = whole.intersection(clip), list[Region]()
        for part in uncovered:
            shared = part.intersection(place)
            if shared:
                covering.append((widget, whole, shared))
                rest += _without(part, shared)
            else:
                rest.append(part)
        uncovered = rest
        if not uncovered:
            break
    return covering


def _without(region: Region, hole: Region) -> list[Region]:
    """Return what is left of a region without a part of it: above, below, and at both sides."""
    around = (
        Region.from_corners(region.x, region.y, region.right, hole.y),
        Region.from_corners(region.x, hole.bottom, region.right, region.bottom),
        Region.from_corners(region.x, hole.y, hole.x, hole.bottom),
        Region.from_corners(hole.right, hole.y, region.right, hole.bottom),
    )
    return [part for part in around if part]


def _strips_of_lines(update: LayoutUpdate) -> list[PlacedStrip]:
    placed = []
    for y, line in enumerate(update.strips, update.region.y):
        x = update.region.x
        for strip in line:
            if strip is not None:
                placed.append(PlacedStrip(x, y, strip))
                x += strip.cell_length
    return placed
