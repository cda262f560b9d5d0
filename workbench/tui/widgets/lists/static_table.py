"""A table whose rows are all known; only visible rows are rendered, so ten thousand rows cost nothing."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.geometry import Size

from workbench.tui.widgets.lists.grid import Cells, Column, Grid

__all__ = ["Cells", "Column", "StaticTable"]


class StaticTable(Grid, can_focus=True):
    """Rows with string keys."""

    def __init__(self, *, id: str | None = None, classes: str | None = None, empty: str = "", gap: int = 2) -> None:
        """`empty`: text that is shown while there is no row; `gap`: cells between columns."""
        super().__init__(id=id, classes=classes, empty=empty, gap=gap)
        self._keys: Sequence[str] = ()
        self._cells: Cells = lambda row: ()

    @property
    def row_count(self) -> int:
        return len(self._keys)

    def cells_at(self, row: int) -> Sequence[Content]:
        return self._cells(row)

    def _widths(self, width: int) -> list[tuple[int, bool]]:
        # a cell between the last column, which often has numbers, and the scrollbar or the edge of the screen
        return super()._widths(width - 1)

    @property
    def chosen(self) -> str | None:
        """The key of the row under the cursor."""
        return self._keys[self.cursor] if self._keys else None

    def fill(self, columns: Sequence[Column], keys: Sequence[str], cells: Cells, *, empty: str | None = None) -> None:
        """Show these rows; the cursor stays on its key."""
        before, at = self.chosen, self.cursor
        self._columns, self._keys, self._cells = tuple(columns), keys, cells
        self._empty = self._empty if empty is None else empty
        self.cursor = keys.index(before) if before in keys else min(at, max(0, len(keys) - 1))
        self.virtual_size = Size(0, len(keys) + 1)
        self.refresh()
        self._scroll_to_cursor()
        if self.chosen != before:
            self.post_message(self.RowMoved(self))

    def choose(self, key: str | None) -> None:
        """Move the cursor to `key`, if it exists."""
        if key in self._keys:
            self.go(self._keys.index(key))


def titled(table: StaticTable, title: str) -> StaticTable:
    """Return the table with a title in its upper border."""
    table.border_title = title
    return table
