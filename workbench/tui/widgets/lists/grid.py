"""Base class of tables that draw only the visible rows: columns, a cursor, a fixed header.

Cells are Content, so data text is never parsed as markup, and colours come from the theme. A glyph marks the cursor's
row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

_MARK, _NO_MARK = "▸ ", "  "
_ARROW = "bold $text-accent"
Cells = Callable[[int], Sequence[Content]]
"""Returns the cells of a row."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column; a width of 0 means the remaining width."""

    title: str
    width: int = 0
    right: bool = False
    arrow: str = ""
    """The direction of the order, if the rows are ordered by this column."""


class Grid(ScrollView, can_focus=True, inherit_bindings=False):
    """Rows with a cursor below a fixed header. Subclasses define `row_count` and `cells_at`."""

    DEFAULT_CSS = """
    Grid { background: $background; scrollbar-size-vertical: 1; scrollbar-background: $background;
           scrollbar-color: $border; overflow-x: hidden; }
    """

    @dataclass
    class RowMoved(Message):
        """The cursor moved to another row."""

        table: Grid

        @property
        def control(self) -> Grid:
            """The sender, for `@on` with a selector."""
            return self.table

    class RowOpened(RowMoved):
        """A row that already had the cursor was clicked."""

    @dataclass
    class HeaderClicked(RowMoved):
        """The header of a column was clicked."""

        column: int

    def __init__(self, *, id: str | None = None, classes: str | None = None, empty: str = "", gap: int = 2) -> None:
        """`empty`: text that is shown while there is no row; `gap`: cells between columns."""
        super().__init__(id=id, classes=classes)
        self._gap = gap
        self._columns: tuple[Column, ...] = ()
        self._empty = empty
        self.cursor = 0

    @property
    def row_count(self) -> int:
        raise NotImplementedError

    def cells_at(self, row: int) -> Sequence[Content]:
        raise NotImplementedError

    def style_of(self, row: int) -> str:
        return "on $primary 18%" if row == self.cursor else ""

    def action_move(self, by: int) -> None:
        self.go(self.cursor + by)

    def action_page(self, by: int) -> None:
        """Move by a page of rows."""
        self.go(self.cursor + by * max(1, self.size.height - 2))

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the clicked row; a second click opens it."""
        row = self.scroll_offset.y + event.y - 1
        if event.y == 0 and (column := self._column_at(event.x)) is not None:
            self.post_message(self.HeaderClicked(self, column))
        if event.y < 1 or not 0 <= row < self.row_count:
            return
        if row == self.cursor:
            self.post_message(self.RowOpened(self))
        self.go(row)

    def _column_at(self, x: int) -> int | None:
        start = len(_MARK)
        for number, (width, _) in enumerate(self._widths(self.scrollable_content_region.width)):
            if self.row_count and start <= x < start + width:
                return number
            start += width + self._gap
        return None

    def on_resize(self) -> None:
        self._scroll_to_cursor()

    def go(self, row: int) -> None:
        """Move the cursor to `row`, limited to the existing rows."""
        row = max(0, min(row, self.row_count - 1))
        if row == self.cursor or not self.row_count:
            return
        self.cursor = row
        self._scroll_to_cursor()
        self.refresh()
        self.post_message(self.RowMoved(self))

    def _scroll_to_cursor(self) -> None:
        # The header covers the first visible line.
        top, shown = self.scroll_offset.y, max(1, self.size.height - 1)
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, immediate=True)
        elif self.cursor >= top + shown:
            self.scroll_to(y=self.cursor - shown + 1, animate=False, immediate=True)

    def watch_scroll_y(self, old: float, new: float) -> None:
        """Redraw all lines: Textual would move the header with the rows."""
        super().watch_scroll_y(old, new)
        self.refresh(Region(0, 0, *self.size))

    def render_line(self, y: int) -> Strip:
        """Render the header or a row."""
        width = self.scrollable_content_region.width
        if y == 0:
            return self._strip(self._header(width), width, "")
        row = self.scroll_offset.y + y - 1
        if not self.row_count and y == 2:
            return self._strip(Content.styled(_NO_MARK + self._empty, "$foreground 70%"), width, "")
        if not 0 <= row < self.row_count:
            return Strip.blank(width, self.rich_style)
        chosen = row == self.cursor
        content = Content.assemble((_MARK if chosen else _NO_MARK, "bold $text-accent"), self._row_content(row, width))
        return self._strip(content, width, self.style_of(row))

    def _strip(self, content: Content, width: int, style: str) -> Strip:
        filled = content.truncate(width, ellipsis=True, pad=True)
        styled = filled.stylize(style) if style else filled
        return Visual.to_strips(self, styled, width, 1, self.visual_style, pad=True)[0]

    def _header(self, width: int) -> Content:
        titles = [
            Content.assemble((column.title, "$foreground 70%"), (f" {column.arrow}" if column.arrow else "", _ARROW))
            for column in self._columns
        ]
        return Content(_NO_MARK) + self._joined(titles, width) if self.row_count else Content("")

    def _row_content(self, row: int, width: int) -> Content:
        return self._joined(self.cells_at(row), width)

    def _joined(self, cells: Sequence[Content], width: int) -> Content:
        parts = [_fitted(cell, *layout) for cell, layout in zip(cells, self._widths(width), strict=True)]
        return Content(" " * self._gap).join(parts)

    def _widths(self, width: int) -> list[tuple[int, bool]]:
        fixed = sum(column.width for column in self._columns) + self._gap * (len(self._columns) - 1) + len(_MARK)
        rest = max(6, width - fixed)
        return [(column.width or rest, column.right) for column in self._columns]


def _fitted(cell: Content, width: int, right: bool) -> Content:
    """Return `cell` in exactly `width` cells."""
    cut = cell.truncate(width, ellipsis=True)
    blank = " " * max(0, width - cut.cell_length)
    return Content.assemble(blank, cut) if right else Content.assemble(cut, blank)
