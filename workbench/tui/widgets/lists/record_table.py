"""Table of any number of candidates: ids in an array, and a few pages of rows, loaded when they become visible.

While another list is read, the rows of the old one stay, dimmed. Pages are loaded in a thread, one request at a time
and for what is visible now, so that scrolling far leaves no queue of requests. Rows of a previous list are dropped.
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
from curation_db.search.query_language import Sort, View
from curation_db.search.rows import ListedCandidate
from workbench.tui.rendering.candidate_rows import COLUMN_SORTS, cells_of, columns_for
from workbench.tui.rendering.card_content import MARK, QUIET
from workbench.tui.threads import run_in_daemon_thread
from workbench.tui.widgets.lists.grid import Column, Grid
from workbench.tui.widgets.lists.row_selection import TableSelection

PAGE = 64
_MAX_PAGES = 48
"""Pages kept in memory: about three thousand rows."""
_PATIENCE_SECONDS = 1.0
"""How long the first rows of a new list wait until the candidate under the cursor is found in it."""
_CHOSEN = Column("", 1)
_DIMMED = "$foreground 40%"

Load = Callable[[Sequence[int]], list[ListedCandidate]]
"""Reads rows; runs in a thread."""
_Pages = OrderedDict[int, dict[int, ListedCandidate]]
"""Rows by id, per page; the page used last is at the end."""


class RecordTable(Grid, can_focus=True):
    """Candidates by id, in the order of a view. Call `begin`, then `extend` for each block, then `finish`."""

    class ListShown(Message):
        """The rows of another list have replaced the old ones."""

    class PageLoaded(Message):
        """A page of rows has been loaded."""

    @dataclass
    class PageFailed(Message):
        """The record could not be read."""

        error: RecordError

    @dataclass
    class SortClicked(Message):
        """The header of a column was clicked."""

        sort: Sort

    def __init__(self, load: Load, *, id: str | None = None) -> None:
        super().__init__(id=id, gap=2)
        self._load = load
        self.ids: array[int] = array("q")
        """The ids of the list that is shown."""
        self.selection = TableSelection()
        self.is_stale = False
        """Whether the rows are those of the previous list, because another one is being read."""
        self.cursor_was_painted = False
        """Whether the row was on the screen before the cursor came to it."""
        self._view = View()
        self._pages: _Pages = OrderedDict()
        self._incoming: tuple[array[int], _Pages] = array("q"), OrderedDict()
        """Ids and rows of the list that is being read."""
        self._outdated: set[int] = set()
        """Pages that are shown until they have been read again."""
        self._reading = 0
        """Number of the current list and of its re-reads; counts up."""
        self._loading = False
        self._wanted: int | None = None
        """The id that gets the cursor in the list that is being read."""
        self._painted: dict[int, int] = {}
        """The ids of the loaded rows in the last frame, by line."""
        self._names: tuple[str, ...] = ()
        self._fitted_to = 0
        self._text_cells = 0
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
    def visible_ids(self) -> array[int]:
        """The ids of the rows on the screen."""
        return self.ids[self.scroll_offset.y : self.scroll_offset.y + self.size.height]

    @property
    def row(self) -> ListedCandidate | None:
        """The row under the cursor; None if it is not loaded."""
        return self.row_at(self.cursor) if self.ids else None

    def neighbour(self, by: int) -> ListedCandidate | None:
        """Return the row so many rows below the cursor; None if there is none or if it is not loaded."""
        at = self.cursor + by
        return self._pages.get(at // PAGE, {}).get(self.ids[at]) if 0 <= at < len(self.ids) else None

    def begin(self, view: View | None = None, *, at: int | None = None, empty: str = "") -> None:
        """Start to read another list; the rows stay, dimmed, until its first rows are there.

        Args:
            at: The id that gets the cursor.
            empty: Text while there is no row.
        """
        self._reading += 1
        self._incoming, self._outdated = (array("q"), OrderedDict()), set()
        self._wanted, self._empty, self.is_stale = at, empty, True
        self._view, self._fitted_to = view or View(), 0
        self._painted.clear()
        self.refresh()

    def extend(self, block: array[int], rows: Sequence[ListedCandidate] = (), rows_at: int = 0) -> None:
        """Append ids, and the rows of some of them; `rows_at`: the index in the list of the first row."""
        ids, pages = self._incoming if self.is_stale else (self.ids, self._pages)
        if self.is_stale and not ids:
            self.set_timer(_PATIENCE_SECONDS, partial(self._stop_waiting, self._reading))
        ids.extend(block)
        for at, row in enumerate(rows, rows_at):
            pages.setdefault(at // PAGE, {})[row.id] = row
        if not self.is_stale:
            self._resized()
        elif self._wanted is None or self._wanted in block:
            self._show_incoming()

    def finish(self, empty: str) -> None:
        """Mark the list as complete; `empty`: text of a list without rows."""
        self._empty = empty
        if self.is_stale:
            self._show_incoming()
        self.refresh()

    def _stop_waiting(self, reading: int) -> None:
        """Show the list from its first row if the wanted candidate is still not found."""
        if self.is_stale and reading == self._reading:
            self._wanted = None
            self._show_incoming()

    def _show_incoming(self) -> None:
        self.ids, self._pages = self._incoming
        self.is_stale, self._anchor = False, None
        wanted, self._wanted, self.cursor_was_painted = self._wanted, None, False
        self.cursor = self.ids.index(wanted) if wanted is not None and wanted in self.ids else 0
        self._resized()
        shown = max(1, self.size.height - 1)
        self.scroll_to(y=0 if self.cursor < shown else self.cursor - shown // 3, animate=False, immediate=True)
        self.post_message(self.ListShown())

    def reread(self) -> None:
        """Read the rows again because the record has changed; the list stays, and the old rows until then."""
        self._reading += 1
        self._outdated = set(self._pages)
        self.refresh()

    def replace_row(self, row: ListedCandidate) -> None:
        """Show this row in the place of the row of the same candidate."""
        self._reading += 1  # a page that is being read now may hold the row as it was
        for page in self._pages.values():
            if row.id in page:
                page[row.id] = row
        self.refresh()

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
        is_complete = page is not None and len(page) >= min(PAGE, len(self.ids) - number * PAGE)
        if not (self.is_stale or self._loading) and (number in self._outdated or (row is None and not is_complete)):
            self._loading = True
            self._fetch(number, self._reading)
        return row

    @work
    async def _fetch(self, number: int, reading: int) -> None:
        ids = self.ids[number * PAGE : (number + 1) * PAGE]
        try:
            rows = await run_in_daemon_thread(partial(self._load, ids))
        except RecordError as error:
            self._outdated.discard(number)
            self.post_message(self.PageFailed(error))
            return
        finally:
            self._loading = False
        if reading == self._reading and not self.is_stale:
            self._pages[number] = {row.id: row for row in rows}
            self._outdated.discard(number)
            while len(self._pages) > _MAX_PAGES:
                self._pages.popitem(last=False)
        if self.is_mounted:
            self.post_message(self.PageLoaded())
            self.refresh()

    def is_painted(self, candidate_id: int | None) -> bool:
        """Return whether the last frame holds the row of a candidate, and not dimmed."""
        return candidate_id in self._painted.values()

    def on_resize(self) -> None:
        self._painted.clear()

    def go(self, row: int) -> None:
        """Move the cursor; in the list that is being read it comes to the same candidate."""
        if not self.ids:
            return
        self.cursor_was_painted = self.is_painted(self.ids[max(0, min(row, self.row_count - 1))])
        super().go(row)
        if self.is_stale:
            self._wanted = self.chosen

    def find(self, candidate_id: int) -> None:
        """Move the cursor to a candidate, if it is in the list."""
        if candidate_id in self.ids:
            self.go(self.ids.index(candidate_id))

    def render_line(self, y: int) -> Strip:
        """Choose the columns that fit before rendering: a ScrollView gets a resize event only for its first size."""
        width = self.scrollable_content_region.width
        if width != self._fitted_to:
            columns = columns_for(width, self._view)
            self._fitted_to, self._names, self._columns = width, tuple(columns), (_CHOSEN, *columns.values())
            self._text_cells = self._widths(width)[1 + self._names.index("text")][0]
        strip = super().render_line(y)
        self._painted.pop(y, None)
        row = self.scroll_offset.y + y - 1
        if y > 0 and row < self.row_count and not self.is_stale and self.row_at(row) is not None:
            self._painted[y] = self.ids[row]
        return strip

    def cells_at(self, row: int) -> Sequence[Content]:
        """Return the cells of a row; a row that is still loading has placeholders."""
        number, listed = self.ids[row], self.row_at(row)
        mark = Content.styled("●", f"bold {MARK}") if number in self.selection else Content("")
        if listed is None:
            return [mark, *(Content.styled("…" if name == "text" else "", QUIET) for name in self._names)]
        cells = [mark, *cells_of(listed, self._names, self._text_cells)]
        return [cell.stylize(_DIMMED) for cell in cells] if self.is_stale else cells

    def style_of(self, row: int) -> str:
        """Return the background of selected rows and of the cursor's row; the latter is brighter with the focus."""
        if row == self.cursor:
            return "on $primary 28%" if self.has_focus and not self.is_stale else "on $primary 14%"
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
        if event.shift and not self.is_stale:
            self._take(self.cursor, row)
        elif event.x < len("▸ ● ") and not self.is_stale:
            self.selection.toggle(self.ids[row])
            self._anchor = row
            self.refresh()
        else:
            self._anchor = None
            return  # default handling of Grid
        event.prevent_default()
        self.go(row)

    def on_grid_header_clicked(self, event: Grid.HeaderClicked) -> None:
        """Ask for the order of the clicked column."""
        event.stop()
        sort = COLUMN_SORTS.get(self._names[event.column - 1]) if event.column else None
        if sort is not None:
            self.post_message(self.SortClicked(sort))
