"""A list of any number of candidates: their ids in an array, and a few pages of rows, loaded as they come into sight.

Pages are loaded in a thread, one request at a time and always for what shows now, so that scrolling far leaves
nothing behind to be waited for. What belongs to a list that is no longer shown is dropped.
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
_MOST_PAGES = 48
"""Kept in memory: some three thousand rows."""
_CHOSEN = Column("", 1)

Load = Callable[[Sequence[int]], list[ListedCandidate]]
"""Reads rows; called in a thread."""


class RecordTable(Grid, can_focus=True):
    """Candidates by id, in the order of a view."""

    class PageCame(Message):
        """Rows are there that were not."""

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
        """Rows by their id, by page; the one used last at the end."""
        self._list = 0
        """Which list it is: counts up."""
        self._loading = False
        self._wanted: int | None = None
        """An id that the cursor goes to when it comes."""
        self._names: tuple[str, ...] = ()
        self._fitted_to = 0
        self._anchor: int | None = None
        """Where a range began."""

    # -- what is listed -----------------------------------------------------------------------------------------

    @property
    def row_count(self) -> int:
        """How many ids there are so far."""
        return len(self.ids)

    @property
    def chosen(self) -> int | None:
        """The id under the cursor."""
        return self.ids[self.cursor] if self.ids else None

    @property
    def row(self) -> ListedCandidate | None:
        """What is known of it; None: not loaded yet."""
        return self.row_at(self.cursor) if self.ids else None

    def begin(self, *, at: int | None = None, says: str = "") -> None:
        """Another list, which is empty until `extend`; `at`: the id that the cursor is to be on."""
        self._list += 1
        self.ids, self.cursor, self._wanted, self._anchor = array("q"), 0, at, None
        self._pages.clear()
        self._empty = says
        self._resized()
        self.scroll_to(y=0, animate=False, immediate=True)

    def extend(self, block: array[int], rows: Sequence[ListedCandidate] = ()) -> None:
        """More ids, and the rows of the first of them."""
        start = len(self.ids)
        self.ids.extend(block)
        for row, at in zip(rows, range(start, start + len(rows)), strict=False):
            self._pages.setdefault(at // PAGE, {})[row.id] = row
        self._resized()
        if self._wanted is not None:
            self._seek(self._wanted, block, start)
        if start == 0:
            self.post_message(self.RowMoved(self))

    def ends(self, says: str) -> None:
        """All ids are there; `says` stands where there are none."""
        self._empty, self._wanted = says, None
        self.refresh()

    def forget_rows(self) -> None:
        """What is in the record has changed: read it anew."""
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
        """The row there, if it is loaded; if not, it is asked for."""
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
            while len(self._pages) > _MOST_PAGES:
                self._pages.popitem(last=False)
        if self.is_mounted:
            self.post_message(self.PageCame())
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """With the columns that fit: a scroll view hears of its first size only."""
        width = self.scrollable_content_region.width
        if width != self._fitted_to:
            told = columns_for(width)
            self._fitted_to, self._names, self._columns = width, tuple(told), (_CHOSEN, *told.values())
        return super().render_line(y)

    def cells_at(self, row: int) -> Sequence[Content]:
        """What stands in a row; a row on its way has its place."""
        number, listed = self.ids[row], self.row_at(row)
        mark = Content.styled("●", f"bold {MARK}") if number in self.selection else Content("")
        if listed is None:
            return [mark, *(Content.styled("…" if name == "text" else "", QUIET) for name in self._names)]
        return [mark, *cells_of(listed, self._names)]

    def style_of(self, row: int) -> str:
        """The chosen ones, and the cursor's, which is plain to see only where keys go to."""
        if row == self.cursor:
            return "on $primary 28%" if self.has_focus else "on $primary 14%"
        return "on $accent 10%" if self.ids[row] in self.selection else ""

    # -- choosing -----------------------------------------------------------------------------------------------

    def toggle(self) -> None:
        """The row under the cursor, and on to the next."""
        if self.chosen is not None:
            self.selection.toggle(self.chosen)
            self._anchor = self.cursor
            self.refresh()
            self.go(self.cursor + 1)

    def action_move(self, by: int) -> None:
        """Up or down; a range begins anew."""
        self._anchor = None
        super().action_move(by)

    def action_page(self, by: int) -> None:
        """By what shows; a range begins anew."""
        self._anchor = None
        super().action_page(by)

    def extend_selection(self, by: int) -> None:
        """From where the range began to the next row."""
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
        """With shift up to here; in the first cells in or out; else as ever."""
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
            return  # what any table does
        event.prevent_default()
        self.go(row)
