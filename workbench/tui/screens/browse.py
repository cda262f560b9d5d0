"""Browse: a filtered list of any number of candidates; enter opens one as a card, and bulk actions decide many at once.

Ids and pages of rows are read in threads. Results of an earlier query are recognised by their query number and dropped.
Query, cursor and selection outlive the screen in the navigation memory.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from textual import getters, on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.widgets import Static

from curation_db.enums import Kind
from curation_db.errors import RecordError
from curation_db.search.query_language import QueryField, View, parse_view
from curation_db.search.rows import ListedCandidate
from workbench.annotation.background import IndexingThread
from workbench.annotation.wording import reversed_line
from workbench.tui.rendering.candidate_rows import ListPosition, detail, list_status
from workbench.tui.screens.base.navigation import MainView, NavigationContext
from workbench.tui.screens.base.side_screen import SideScreen
from workbench.tui.screens.browse_reads import (
    NAMED,
    BrowseMemory,
    blocks_of,
    facet_values,
    names_of,
    no_result_reason,
    rows_of,
)
from workbench.tui.threads import run_in_daemon_thread
from workbench.tui.widgets.facet_panel import FacetPanel
from workbench.tui.widgets.filter_bar import FilterBar
from workbench.tui.widgets.grid import Grid
from workbench.tui.widgets.header_bar import HeaderBar
from workbench.tui.widgets.record_table import RecordTable
from workbench.workspace.keymap import Tab

_BULK = {"accept": Kind.ACCEPT, "reject": Kind.REJECT, "requeue": Kind.REQUEUE}


class BrowseScreen(SideScreen):
    """The filter bar, the list, and the candidate under the cursor."""

    VIEW = MainView.BROWSE
    TAB = Tab.BROWSE
    CSS_PATH = "browse.tcss"
    AUTO_FOCUS = "#records"

    table = getters.query_one("#records", RecordTable)
    bar = getters.query_one("#bar", FilterBar)
    panel = getters.query_one("#panel", FacetPanel)

    @dataclass
    class IdsLoaded(Message):
        """A block of ids that match the query."""

        question: int
        ids: array[int]
        rows: Sequence[ListedCandidate] = ()

    @dataclass
    class ListEnded(Message):
        """All ids are loaded; `empty`: why there are none."""

        question: int
        empty: str = ""

    class ChecksIndexed(Message):
        """The lint index has made progress."""

        def can_replace(self, message: Message) -> bool:
            """Keep only the newest message."""
            return isinstance(message, BrowseScreen.ChecksIndexed)

    def __init__(self, navigation: NavigationContext) -> None:
        super().__init__(navigation)
        self.memory: BrowseMemory = navigation.memory.setdefault(self.VIEW, BrowseMemory(parse_view(navigation.view)))
        self.store = navigation.session.store.lean()
        self._question = 0
        self._counting = False
        self._facet_question = 0
        self._known: dict[QueryField, list[str]] = {}
        checks = navigation.session.settings.checks
        self._indexing = IndexingThread(navigation.session.store, self._indexing_progressed, checks)

    def compose(self) -> ComposeResult:
        yield HeaderBar(id="top")
        yield FilterBar(self._values, id="bar")
        with Horizontal(id="lists"):
            yield RecordTable(partial(rows_of, self.store, self.memory), id="records")
            yield FacetPanel(id="panel")
        with VerticalScroll(id="detail", can_focus=False):
            yield Static(id="about-record", markup=False)
        yield from self.compose_foot()

    def on_mount(self) -> None:
        """Show the last view, and continue indexing the checks."""
        if not self.is_whole:
            return
        self.query_one(HeaderBar).show("browse", right=self.navigation.session.actor.name)
        self.table.selection = self.memory.selection
        self.panel.field, self.panel.display = self.memory.facet, self.memory.facets
        self.show_view(self.memory.view, at=self.memory.at)
        self._indexing.start()

    def on_unmount(self) -> None:
        """Drop pending results and stop the threads."""
        self._question += 1
        self._indexing.close()
        self.store.close()

    def on_resize(self) -> None:
        self._paint_detail()

    # -- the list -----------------------------------------------------------------------------------------------

    @property
    def view(self) -> View:
        """The query and order of the list."""
        return self.memory.view

    def show_view(self, view: View, *, at: int | None = None) -> None:
        """List another view; `at`: the candidate for the cursor."""
        if view != self.memory.view:
            self.memory.selection.clear()
        self.memory.view, self.memory.at = view, at
        self._question += 1
        self._counting = True
        self.table.begin(at=at, empty="searching …")
        self.bar.show(view)
        self._update_status()
        self._paint_detail()
        self._gather(self._question, view)

    @work
    async def _gather(self, question: int, view: View) -> None:
        try:
            await run_in_daemon_thread(partial(self._ask, question, view))
        except RecordError as error:
            if question == self._question and self.is_mounted:
                self.show_message(error.message, hint=error.hint, trouble=True)
                self.post_message(self.ListEnded(question, "the record could not be read"))

    def _ask(self, question: int, view: View) -> None:
        """Post the ids as they are read, with the first rows. Runs in a thread."""
        has_rows = False
        for ids, rows in blocks_of(self.store, view):
            if question != self._question:
                return
            self.post_message(self.IdsLoaded(question, ids, rows))
            has_rows = True
        self.post_message(self.ListEnded(question, "" if has_rows else no_result_reason(self.store, view)))

    def on_browse_screen_ids_loaded(self, event: IdsLoaded) -> None:
        if event.question == self._question:
            self.table.extend(event.ids, event.rows)
            self._update_status()

    def on_browse_screen_list_ended(self, event: ListEnded) -> None:
        if event.question == self._question:
            self._counting = False
            self.table.finish(event.empty)
            self._update_status()
            self._count_facets()

    @on(RecordTable.PageFailed)
    def _failed(self, event: RecordTable.PageFailed) -> None:
        self.show_message(event.error.message, hint=event.error.hint, trouble=True)

    @on(Grid.RowMoved, "#records")
    def _moved(self, event: Grid.RowMoved) -> None:
        if type(event) is not Grid.RowMoved:
            return
        self.memory.at = self.navigation.candidate = self.table.chosen  # for the history screen
        self._update_status()
        self._paint_detail()

    @on(RecordTable.PageLoaded)
    def _paint_detail(self) -> None:
        row = self.table.row
        content = detail(row, narrow=self.app.size.width < 100) if row is not None else ""
        self.query_one("#about-record", Static).update(content)

    def _update_status(self) -> None:
        """Show position, selection and progress of the checks above the list."""
        ids = self.table.ids
        position = ListPosition(
            at=self.table.cursor,
            count=len(ids),
            counting=self._counting,
            chosen=self.memory.selection.count(ids) if self.memory.selection else 0,
            checks=self._indexing.progress,
        )
        self.bar.show_status(list_status(position, self.view))

    def _indexing_progressed(self) -> None:
        self.post_message(self.ChecksIndexed())

    def on_browse_screen_checks_indexed(self) -> None:
        """Show the progress; once indexing is complete, read the rows or the list again."""
        self._update_status()
        progress = self._indexing.progress
        if progress is None or not progress.done or not self._indexing.wrote:
            return
        if self.view.filters_by(QueryField.LINT):
            self.show_view(self.view, at=self.memory.at)
        else:
            self.table.forget_rows()

    # -- the view -----------------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        self.bar.begin()
        self._learn()

    @work
    async def _learn(self) -> None:
        """Load the values for completion, once per visit."""
        for name in NAMED:
            if name not in self._known:
                self._known[name] = []
                self._known[name] = await run_in_daemon_thread(partial(names_of, self.store, name))

    def _values(self, name: QueryField) -> Sequence[str]:
        return self._known.get(name, ())

    def on_filter_bar_view_typed(self, event: FilterBar.ViewTyped) -> None:
        self.table.focus()
        self.show_view(event.view)

    @on(FilterBar.TypingLeft)
    def _to_list(self) -> None:
        self.table.focus()

    def action_sort(self, by: int) -> None:
        """Change the order; the cursor stays on its candidate."""
        order = self.view.sorts
        self.show_view(self.view.sorted_by(order[(order.index(self.view.sort) + by) % len(order)]), at=self.memory.at)

    def action_views(self) -> None:
        from workbench.tui.screens.modals.views import ViewsModal
        from workbench.workspace.settings import read_settings  # only when opened

        own = read_settings(self.navigation.workspace.settings).views  # another process may have saved views meanwhile
        self.app.push_screen(ViewsModal(own), self._chosen)

    def _chosen(self, line: str | None) -> None:
        if line is None:
            return
        try:
            self.show_view(parse_view(line))
        except ValueError as error:
            self.show_message(str(error), hint="correct it in [browse.views] of negwb.toml", trouble=True)

    def action_save_view(self) -> None:
        """Save the current view under a name."""
        from workbench.tui.screens.modals.views import SaveViewModal
        from workbench.workspace.toml.settings_writer import save_view  # only when opened

        line = str(self.view)
        modal = SaveViewModal(line or "everything", partial(save_view, self.navigation.workspace.settings, line=line))
        self.app.push_screen(modal, self._saved)

    def _saved(self, name: str | None) -> None:
        if name is not None:
            self.show_message(f"saved as {name}; w lists the saved views")

    # -- facets -------------------------------------------------------------------------------------------------

    def action_facets(self) -> None:
        """Open the facet panel, focus it, or close it."""
        if self.panel.display and self.panel.table.has_focus:
            self.panel.display = False
            self.table.focus()
        else:
            self.panel.display = True
            self.panel.table.focus()
            self._count_facets()
        self.memory.facets = bool(self.panel.display)

    def action_turn_facets(self, by: int) -> None:
        """Show the facets of another field."""
        if self.panel.display:
            self.panel.turn(by)
            self.memory.facet = self.panel.field
            self._count_facets()

    def _count_facets(self) -> None:
        if self.panel.display and not self._counting:
            self._facet_question += 1
            self.panel.wait()
            self._count(self._facet_question, self.panel.field, self.view, self.table.ids)

    @work
    async def _count(self, question: int, name: QueryField, view: View, ids: array[int]) -> None:
        try:
            values = await run_in_daemon_thread(partial(facet_values, self.store, name, ids if view.terms else None))
        except RecordError as error:
            self.show_message(error.message, hint=error.hint, trouble=True)
            return
        if question == self._facet_question and self.is_mounted:
            self.panel.show(values, view)

    @on(Grid.RowOpened, "#facets")
    def _take_facet(self) -> None:
        """Add the value under the cursor to the query, or remove it."""
        if self.panel.term is not None:
            self.show_view(self.view.toggled(self.panel.term))

    # -- moving, choosing, opening ------------------------------------------------------------------------------

    @property
    def _list(self) -> Grid:
        """The table that movement keys apply to: the facets while they have the focus."""
        return self.panel.table if self.panel.table.has_focus else self.table

    def action_move(self, by: int) -> None:
        self._list.action_move(by)

    def action_page(self, by: int) -> None:
        self._list.action_page(by)

    @on(Grid.RowOpened, "#records")
    def action_open(self) -> None:
        """Open the candidate as a card; with the focus on the facets, toggle the value in the query."""
        if self.panel.table.has_focus:
            self._take_facet()
        elif (number := self.table.chosen) is not None:
            self.navigation.open_card(number)

    def action_show_similar(self) -> None:
        """List the candidates that are similar to the row."""
        if (number := self.table.chosen) is not None:
            self.show_view(parse_view(f"like:{number}"), at=number)

    def action_reject_family(self) -> None:
        """Ask whether to reject the candidates that repeat the row, together with it."""
        from workbench.tui.screens.modals.family import FamilyModal  # only when opened

        if (number := self.table.chosen) is not None:
            self.app.push_screen(FamilyModal(self.navigation.session, self.actions, number), self._decided)

    def action_choose(self) -> None:
        """Select or deselect the row, and move down."""
        self.table.toggle()
        self._update_status()

    def action_choose_range(self, by: int) -> None:
        self.table.extend_selection(by)
        self._update_status()

    def action_choose_all(self) -> None:
        """Select all candidates of the view."""
        if self._counting:
            self.show_message("the list is still loading")
            return
        self.memory.selection.everything()
        self.table.refresh()
        self._update_status()

    def action_leave_screen(self) -> None:
        """Clear the selection; without one close the facets; without them return to the card."""
        if self.memory.selection:
            self.memory.selection.clear()
            self.table.refresh()
            self._update_status()
        elif self.panel.display:
            self.panel.display = self.memory.facets = False
            self.table.focus()
        else:
            super().action_leave_screen()

    # -- many at once -------------------------------------------------------------------------------------------

    def action_bulk(self, kind: str) -> None:
        """Decide about the selected candidates, or about the whole view without a selection."""
        from workbench.tui.screens.modals.bulk import BulkModal  # only when opened

        if self._counting:
            self.show_message("the list is still loading")
            return
        chosen = self.memory.selection.of(self.table.ids) if self.memory.selection else self.table.ids
        if not chosen:
            self.show_message("no candidate to decide about")
            return
        self.app.push_screen(BulkModal(self.navigation.session, self.actions, chosen, _BULK[kind]), self._decided)

    def _decided(self, done: object) -> None:
        if done is not None:
            self.memory.selection.clear()
            self.show_view(self.view, at=self.memory.at)

    @work
    async def action_travel(self, back: bool) -> None:
        """Undo or redo one's last action; a bulk decision as a whole."""
        session = self.navigation.session
        try:
            kind = await run_in_daemon_thread(session.undo if back else session.redo)
        except RecordError as error:
            self.show_message(error.message, hint=error.hint, trouble=True)
            return
        if kind is None or session.reversed_action is None:
            self.show_message("nothing to undo" if back else "nothing to redo")
            return
        self.show_message(reversed_line(session.reversed_action, back=back))
        self.show_view(self.view, at=self.memory.at)
