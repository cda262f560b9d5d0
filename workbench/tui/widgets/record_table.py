"""Table of any number of candidates: ids in an array, and a few pages of rows, loaded when they become visible.

Pages are loaded in a thread, one request at a time and for what is visible now, so that scrolling far leaves no queue
of requests. Rows of a previous list are dropped.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from textual import events, work
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from curation_db.errors import RecordError
from curation_db.search.rows import ListedCandidate
from workbench.tui.rendering.candidate_rows import cells_of, columns_for
from workbench.tui.rendering.card_content import MARK, QUIET
from workbench.tui.threads import run_in_daemon_thread
from workbench.tui.widgets.grid import Column, Grid
from workbench.tui.widgets.row_selection import TableSelection

PAGE = 64
_MAX_PAGES = 48
"""Pages kept in memory: about three thousand rows."""
_CHOSEN = Column("", 1)

Load = Callable[[Sequence[int]], list[ListedCandidate]]
"""Reads rows; runs in a thread."""


class RecordTable(Grid, can_focus=True):
    """Candidates by id, in the order of a view."""

    class PageLoaded(Message):
        """A page of rows has been loaded."""

    @dataclass
    class PageFailed(Message):
        """The record could not be read."""

        error: RecordError

    def __init__(self, load: Load, *, id: str | None = None) -> None:
        super().__init__(id=id, gap=2)
        self._load = load
        self.ids: array[int] = array("q")
        self.selection = TableSelection()
        self._pages: OrderedDict[int, dict[int, ListedCandidate]] = OrderedDict()
        """Rows by id, per page; the page used last is at the end."""
        self._list = 0
        """Number of the current list; counts up."""
        self._loading = False
        self._wanted: int | None = None
        """The id that gets the cursor once it is loaded."""
        self._names: tuple[str, ...] = ()
        self._fitted_to = 0
        self._anchor: int | None = None
        """The row at which a range selection started."""

    # -- what is listed -----------------------------------------------------------------------------------------

    @property
    def row_count(self) -> int:
        return len(self.ids)

    @property
    def chosen(self) -> int | None:
        return self.ids[self.cursor] if self.ids else None

    @property
    def row(self) -> ListedCandidate | None:
        """The row under the cursor; None if it is not loaded."""
        return self.row_at(self.cursor) if self.ids else None

    def begin(self, *, at: int | None = None, empty: str = "") -> None:
        """Start another list; `at`: the id that gets the cursor; `empty`: text while there is no row."""
        self._list += 1
        self.ids, self.cursor, self._wanted, self._anchor = array("q"), 0, at, None
        self._pages.clear()
        self._empty = empty
        self._resized()
        self.scroll_to(y=0, animate=False, immediate=True)

    def extend(self, block: array[int], rows: Sequence[ListedCandidate] = ()) -> None:
        """Append ids, and the rows of the first of them."""
        start = len(self.ids)
        self.ids.extend(block)
        for row, at in zip(rows, range(start, start + len(rows)), strict=False):
            self._pages.setdefault(at // PAGE, {})[row.id] = row
        self._resized()
        if self._wanted is not None:
            self._seek(self._wanted, block, start)
        if start == 0:
            self.post_message(self.RowMoved(self))

    def finish(self, empty: str) -> None:
        """Mark the list as complete; `empty`: text of a list without rows."""
        self._empty, self._wanted = empty, None
        self.refresh()

    def forget_rows(self) -> None:
        """Drop the loaded rows because the record has changed."""
        self._list += 1
        self._pages.clear()
        self.refresh()

    def _seek(self, wanted: int, block: array[int], start: int) -> None:
        try:
            at = start + block.index(wanted)
        except ValueError:
            return
        self._wanted = None
        self.call_after_refresh(self.go, at)

    def _resized(self) -> None:
        self.virtual_size = Size(0, self.row_count + 1)
        self.refresh()

    # -- rows ---------------------------------------------------------------------------------------------------

    def row_at(self, at: int) -> ListedCandidate | None:
        """Return the row if it is loaded; otherwise request its page."""
        number = at // PAGE
        page = self._pages.get(number)
        row = page.get(self.ids[at]) if page is not None else None
        if row is not None:
            self._pages.move_to_end(number)
        elif not self._loading and (page is None or len(page) < min(PAGE, len(self.ids) - number * PAGE)):
            self._loading = True
            self._fetch(number, self._list)
        return row

    @work
    async def _fetch(self, number: int, of: int) -> None:
        ids = self.ids[number * PAGE : (number + 1) * PAGE]
        try:
            rows = await run_in_daemon_thread(partial(self._load, ids))
        except RecordError as error:
            self.post_message(self.PageFailed(error))
            return
        finally:
            self._loading = False
        if of == self._list:
            self._pages[number] = {row.id: row for row in rows}
            while len(self._pages) > _MAX_PAGES:
                self._pages.popitem(last=False)
        if self.is_mounted:
            self.post_message(self.PageLoaded())
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Choose the columns that fit before rendering: a ScrollView gets a resize event only for its first size."""
        width = self.scrollable_content_region.width
        if width != self._fitted_to:
            columns = columns_for(width)
            self._fitted_to, self._names, self._columns = width, tuple(columns), (_CHOSEN, *columns.values())
        return super().render_line(y)

    def cells_at(self, row: int) -> Sequence[Content]:
        """Return the cells of a row; a row that is still loading has placeholders."""
        number, listed = self.ids[row], self.row_at(row)
        mark = Content.styled("●", f"bold {MARK}") if number in self.selection else Content("")
        if listed is None:
            return [mark, *(Content.styled("…" if name == "text" else "", QUIET) for name in self._names)]
        return [mark, *cells_of(listed, self._names)]

    def style_of(self, row: int) -> str:
        """Return the background of selected rows and of the cursor's row; the latter is brighter with the focus."""
        if row == self.cursor:
            return "on $primary 28%" if self.has_focus else "on $primary 14%"
        return "on $accent 10%" if self.ids[row] in self.selection else ""

    # -- choosing -----------------------------------------------------------------------------------------------

    def toggle(self) -> None:
        """Select or deselect the row under the cursor, and move down."""
        if self.chosen is not None:
            self.selection.toggle(self.chosen)
            self._anchor = self.cursor
            self.refresh()
            self.go(self.cursor + 1)

    def action_move(self, by: int) -> None:
        """Move the cursor, and end a range selection."""
        self._anchor = None
        super().action_move(by)

    def action_page(self, by: int) -> None:
        """Move the cursor by a page, and end a range selection."""
        self._anchor = None
        super().action_page(by)

    def extend_selection(self, by: int) -> None:
        """Extend the range selection to the next row."""
        if not self.ids:
            return
        start = self._anchor if self._anchor is not None else self.cursor
        self._anchor = start
        self.go(self.cursor + by)
        self._take(start, self.cursor)

    def _take(self, start: int, end: int) -> None:
        self.selection.take(self.ids[min(start, end) : max(start, end) + 1])
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Select a range with shift, toggle a row in its first cells, otherwise move the cursor as any table does."""
        row = self.scroll_offset.y + event.y - 1
        if event.y < 1 or not 0 <= row < self.row_count:
            return
        if event.shift:
            self._take(self.cursor, row)
        elif event.x < len("▸ ● "):
            self.selection.toggle(self.ids[row])
            self._anchor = row
            self.refresh()
        else:
            self._anchor = None
            return  # default handling of Grid
        event.prevent_default()
        self.go(row)
