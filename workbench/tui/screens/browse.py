"""Browse: a filtered list of any number of candidates. Keys decide about the row under the cursor or about many rows;
enter opens a row as a card.

Ids and pages of rows are read in threads, and the old rows stay, dimmed, until those of a new query are there. Results
of an earlier query are recognised by their query number and dropped. Decided rows stay in place until the list is read
again. Query, cursor and selection outlive the screen in the navigation memory.

A key decides only about a row that was on the screen: never about a dimmed row, a row that is still loading, or a row
that has just appeared (`_decidable_row`, and the guard of `DecisionScreen`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual import getters, on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from curation_db.enums import Kind, PictureShown, Reason, State
from curation_db.errors import RecordError
from curation_db.language.sanitize import display_text
from curation_db.queue.gold import ANSWERS
from curation_db.search.cards import CardImage
from curation_db.search.query_language import QueryField, View, parse_view
from curation_db.search.rows import ListedCandidate
from workbench.annotation.background import IndexingThread
from workbench.annotation.wording import DECISIONS, gold_feedback, readable, reversed_line
from workbench.tui.bindings import bind
from workbench.tui.rendering.candidate_rows import ListPosition, detail, list_status
from workbench.tui.rendering.card_content import QUIET, decision_style
from workbench.tui.screens.base.decision_screen import DecisionScreen
from workbench.tui.screens.base.navigation import MainView, NavigationContext
from workbench.tui.screens.base.side_screen import SideScreen
from workbench.tui.screens.browse_reads import (
    NAMED,
    BrowseMemory,
    ListBlock,
    blocks_of,
    compare_images,
    facet_values,
    names_of,
    no_result_reason,
    rows_of,
)
from workbench.tui.threads import run_in_daemon_thread
from workbench.tui.widgets.lines.action_line import ActionLine
from workbench.tui.widgets.lines.answer_lines import AnswerLines
from workbench.tui.widgets.lines.header_bar import HeaderBar
from workbench.tui.widgets.lines.key_hints import KeyHints, pane_keys
from workbench.tui.widgets.lines.status import READ_ONLY
from workbench.tui.widgets.lists.facet_panel import FacetPanel
from workbench.tui.widgets.lists.filter_bar import FilterBar
from workbench.tui.widgets.lists.grid import Grid
from workbench.tui.widgets.lists.record_table import RecordTable
from workbench.tui.widgets.picture import PicturePane
from workbench.workspace.image_signatures import look_note
from workbench.workspace.keymap import KeyScope, Tab
from workbench.workspace.query_history import QueryHistory

if TYPE_CHECKING:
    from curation_db.review.bulk import BulkDone
    from curation_db.review.decisions import DecisionResult
    from workbench.annotation.key_guard import KeyTooEarly
    from workbench.images.decode import Thumbnail

T = TypeVar("T")
_BULK = {"accept": Kind.ACCEPT, "reject": Kind.REJECT, "requeue": Kind.REQUEUE}
_ANSWERS = frozenset({"reject", "cancel_reason"})
"""The actions that answer the question for the reason of a rejection."""
_DECIDING = frozenset({"decide", "ask_reason"})
_WIDE = 100
"""Columns from which on the image of the row is shown without being asked for."""
_BESIDE_FACETS = 150
"""Columns from which on the image is shown beside the facets."""
_SETTLE_SECONDS = 0.35
"""Pause between the first frame of a list that was read and the first key that may decide about it: a key that was
meant for the rows before may come as late as a person reacts."""
_SLOW_SECONDS = 0.5
_PAGING_SECONDS = 0.15
"""A row that follows the one before it sooner than this waits before its image is decoded."""


class _OtherQuestion(Exception):
    """Another list was requested while images were compared; the signatures read so far stay stored."""


class BrowseScreen(SideScreen, DecisionScreen):
    """The filter bar, the list, and the candidate under the cursor with its image."""

    VIEW = MainView.BROWSE
    TAB = Tab.BROWSE
    CSS_PATH = "browse.tcss"
    AUTO_FOCUS = "#records"
    DECIDING = _DECIDING
    QUESTIONS = (KeyScope.REASON,)
    PANES: ClassVar = {
        "#detail": [pane_keys("image", "browse-image"), pane_keys("similar", "browse-similar")],
        "#panel": [pane_keys("field", "browse-facet-back", "browse-facet-next")],
    }

    table = getters.query_one("#records", RecordTable)
    bar = getters.query_one("#bar", FilterBar)
    panel = getters.query_one("#panel", FacetPanel)
    picture = getters.query_one("#picture", PicturePane)
    action_line = getters.query_one("#done", ActionLine)

    @dataclass
    class IdsLoaded(Message):
        """A block of ids that match the query."""

        question: int
        block: ListBlock

    @dataclass
    class ListEnded(Message):
        """All ids are loaded; `empty`: why there are none; `note`: about the list."""

        question: int
        empty: str = ""
        note: str = ""

    @dataclass
    class ImagesCompared(Message):
        """Progress of the pass over new images that the query needs."""

        question: int
        share: float

        def can_replace(self, message: Message) -> bool:
            """Keep only the newest message."""
            return isinstance(message, BrowseScreen.ImagesCompared)

    class ChecksIndexed(Message):
        """The lint index has made progress."""

        def can_replace(self, message: Message) -> bool:
            """Keep only the newest message."""
            return isinstance(message, BrowseScreen.ChecksIndexed)

    def __init__(self, navigation: NavigationContext) -> None:
        super().__init__(navigation)
        self.memory: BrowseMemory = navigation.memory.setdefault(self.VIEW, BrowseMemory(parse_view(navigation.view)))
        self.store = navigation.session.store.lean()
        self.card_visibility = navigation.session.card_visibility
        bind(self, navigation.actions, KeyScope.REASON)
        self._turn = asyncio.Lock()
        """Held while a decision, an undo or a redo is written."""
        self._asked: ListedCandidate | None = None
        """The row whose reason of rejection is asked."""
        self._tracked: int | None = None
        """The candidate of the row under the cursor, once keys may be about it."""
        self._settling = False
        """Whether a list is being read or has just been shown: no key decides."""
        self._changed = 0
        """Decisions since the list was read."""
        self._pictured: CardImage | None = None
        """The image that the pane shows or waits for."""
        self._pictured_at = 0.0
        self._history = QueryHistory.of(navigation.workspace, "browse", navigation.session.actor.name)
        self._blind = navigation.session.settings.blind
        self._question = 0
        self._compared: float | None = None
        """Share of new images whose signatures are computed before the list is read; None: no image waits."""
        self._counting = True
        self._facet_question = 0
        self._known: dict[QueryField, list[str]] = {}
        checks = navigation.session.settings.checks
        self._indexing = IndexingThread(navigation.session.store, self._indexing_progressed, checks)

    def compose(self) -> ComposeResult:
        yield HeaderBar(id="top")
        yield FilterBar(self._values, self._history, id="bar")
        with Horizontal(id="lists"):
            yield RecordTable(partial(rows_of, self.store, self.memory, blind=self._blind), id="records")
            yield FacetPanel(id="panel")
            with Vertical(id="picture-box"):
                yield PicturePane(self.navigation.protocol, id="picture")
        with VerticalScroll(id="detail", can_focus=False):
            yield Static(id="about-record", markup=False)
        yield from self.compose_foot()
        yield AnswerLines(self.actions, id="answers")

    def on_mount(self) -> None:
        """Show the last view, and continue indexing the checks."""
        if not self.is_whole:
            return
        name = self.navigation.session.actor.name
        right = f"{name} · {READ_ONLY}" if self.actions.read_only else name
        self.query_one(HeaderBar).show("browse", right=right)
        self.table.selection = self.memory.selection
        self.panel.field, self.panel.display = self.memory.facet, self.memory.facets
        self._lay_out()
        self.show_view(self.memory.view, at=self.memory.at)
        self._indexing.start()
        self.run_worker(run_in_daemon_thread(self._history.load))

    def on_unmount(self) -> None:
        """Drop pending results and stop the threads."""
        self._question += 1
        self._indexing.close()
        self.store.close()

    def on_resize(self) -> None:
        if self.is_whole:
            self._lay_out()
            self._paint_detail()

    def on_screen_suspend(self) -> None:
        if self.is_whole:
            self.picture.hide_for_modal()

    def on_screen_resume(self) -> None:
        if self.is_whole:
            self.picture.restore()
            self.track_card(self._tracked)  # the screen above may have registered another card
            self._track_row()

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
        self._compared = None
        self._counting = self._settling = True
        self._track(None)
        self._close_question()
        self.table.begin(view, at=at, empty="searching …")
        self.bar.show(view)
        self._update_status()
        self._gather(self._question, view, at)

    @work
    async def _gather(self, question: int, view: View, at: int | None) -> None:
        try:
            await run_in_daemon_thread(partial(self._ask, question, view, at))
        except RecordError as error:
            if question == self._question and self.is_whole:
                self.show_message(error.message, hint=error.hint, trouble=True)
                self.post_message(self.ListEnded(question, "the record could not be read"))

    def _ask(self, question: int, view: View, at: int | None) -> None:
        """Post the ids as they are read, with the first rows. Runs in a thread."""
        has_rows = False
        with contextlib.suppress(_OtherQuestion):
            compare_images(self.store, view, self.navigation.session.loader.pictures, partial(self._compare, question))
        for block in blocks_of(self.store, view, at, blind=self._blind):
            if question != self._question:
                return
            self.post_message(self.IdsLoaded(question, block))
            has_rows = True
        empty = "" if has_rows else no_result_reason(self.store, view)
        self.post_message(self.ListEnded(question, empty, look_note(self.store, view)))

    def _compare(self, question: int, done: int, of: int) -> None:
        if question != self._question:
            raise _OtherQuestion
        self.post_message(self.ImagesCompared(question, done / of if of else 1.0))

    def on_browse_screen_images_compared(self, event: ImagesCompared) -> None:
        if event.question == self._question and self._counting:
            self._compared = event.share
            self._update_status()

    def on_browse_screen_ids_loaded(self, event: IdsLoaded) -> None:
        if event.question == self._question:
            self.table.extend(event.block.ids, event.block.rows, event.block.rows_at)
            self._update_status()

    def on_browse_screen_list_ended(self, event: ListEnded) -> None:
        if event.question == self._question:
            self._counting = False
            self.table.finish(event.empty)
            self._update_status()
            if event.note:
                self.show_message(event.note)
            self._count_facets()

    @on(RecordTable.PageFailed)
    def _failed(self, event: RecordTable.PageFailed) -> None:
        self.show_message(event.error.message, hint=event.error.hint, trouble=True)

    @on(Grid.RowMoved, "#records")
    def _moved(self, event: Grid.RowMoved) -> None:
        if type(event) is not Grid.RowMoved:
            return
        self.memory.at = self.navigation.candidate = self.table.chosen  # for the history screen
        if self._asked is not None and self._asked.id != self.table.chosen:
            self._close_question()
        self._track_row()
        self._update_status()
        self._paint_detail()

    @on(RecordTable.ListShown)
    def _show_list(self) -> None:
        """Show the list that was read; its rows are decided only after a pause."""
        self._changed = 0
        self.memory.at = self.navigation.candidate = self.table.chosen
        self._update_status()
        self._paint_detail()
        if self.navigation.session.settings.guard_seconds > 0:
            self.set_timer(_SETTLE_SECONDS, partial(self._settle, self._question))
        else:
            self._settle(self._question)

    def _settle(self, question: int) -> None:
        if question == self._question and not self.table.is_stale:
            self._settling = False
            if self.is_current:
                self._track_row()

    @on(RecordTable.PageLoaded)
    def _paint_detail(self) -> None:
        row = self.table.row
        content = detail(row, narrow=self.app.size.width < _WIDE) if row is not None else ""
        self.query_one("#about-record", Static).update(content)
        self.query_one("#detail").border_title = Content.styled(f"#{row.id}", QUIET) if row is not None else ""
        self._show_image(row)

    def _update_status(self) -> None:
        """Show position, selection and progress of the checks above the list."""
        ids = self.table.ids
        position = ListPosition(
            at=self.table.cursor,
            count=len(ids),
            counting=self._counting,
            chosen=self.memory.selection.count(ids) if self.memory.selection else 0,
            checks=self._indexing.progress,
            compared=self._compared,
            stale=self.table.is_stale,
            changed=self._changed,
            refresh_key=self.actions.cap_of("browse-refresh"),
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
        if self.view.filters_by(QueryField.LINT) and not self._changed:
            self.show_view(self.view, at=self.memory.at)
        else:
            self.table.reread()

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
        self.run_worker(run_in_daemon_thread(partial(self._history.add, event.line)))

    @on(FilterBar.TypingLeft)
    def _to_list(self) -> None:
        self.table.focus()

    def action_sort(self, by: int) -> None:
        """Change the order; the cursor stays on its candidate."""
        order = self.view.sorts
        self.show_view(self.view.sorted_by(order[(order.index(self.view.sort) + by) % len(order)]), at=self.memory.at)

    def action_reverse(self) -> None:
        """Reverse the order; the cursor stays on its candidate."""
        self.show_view(self.view.reversed(), at=self.memory.at)

    @on(RecordTable.SortClicked)
    def _sort_by(self, event: RecordTable.SortClicked) -> None:
        """Sort by the clicked column; a second click reverses the order."""
        view = self.view.reversed() if self.view.sort is event.sort else self.view.sorted_by(event.sort)
        self.show_view(view, at=self.memory.at)

    def action_refresh(self) -> None:
        """Read the list again; the cursor stays on its candidate."""
        self.show_view(self.view, at=self.memory.at)

    def action_views(self) -> None:
        from workbench.tui.screens.modals.views import ViewsModal
        from workbench.workspace.settings.settings import read_settings  # only when opened

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
        from workbench.workspace.settings.writer import save_view  # only when opened

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
        self._lay_out()

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
        if question == self._facet_question and self.is_whole:
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

        if not self._is_being_read() and (number := self.table.chosen) is not None:
            self.app.push_screen(FamilyModal(self.navigation.session, self.actions, number), self._decided)

    def action_choose(self) -> None:
        """Select or deselect the row, and move down."""
        if not self._is_being_read():
            self.table.toggle()
            self._update_status()

    def action_choose_range(self, by: int) -> None:
        if not self._is_being_read():
            self.table.extend_selection(by)
            self._update_status()

    def action_choose_all(self) -> None:
        """Select all candidates of the view, also those that are still loading."""
        if self._is_being_read():
            return
        self.memory.selection.everything()
        self.table.refresh()
        self._update_status()

    def _is_being_read(self) -> bool:
        """Return whether the rows are those of the previous list, after a message about the ignored key."""
        if self.table.is_stale:
            self.show_message("the list is being read: key ignored")
        return self.table.is_stale

    def action_leave_screen(self) -> None:
        """Clear the selection; without one close the facets; without them return to the card."""
        if self._turn.locked():
            self.show_message("waiting for the record …")
        elif self.memory.selection:
            self.memory.selection.clear()
            self.table.refresh()
            self._update_status()
        elif self.panel.display:
            self.panel.display = self.memory.facets = False
            self._lay_out()
            self.table.focus()
        else:
            super().action_leave_screen()

    # -- the image ----------------------------------------------------------------------------------------------

    def action_image(self) -> None:
        """Show or hide the image of the row."""
        self.memory.image = not self.query_one("#picture-box").display
        if self.memory.image and self.app.size.width < _BESIDE_FACETS:
            self.panel.display = self.memory.facets = False
            self.table.focus()
        self._lay_out()

    def _lay_out(self) -> None:
        width = self.app.size.width
        wanted = self.memory.image if self.memory.image is not None else width >= _WIDE
        self.query_one("#picture-box").display = wanted and (width >= _BESIDE_FACETS or not self.panel.display)
        self._show_image(self.table.row)

    def _show_image(self, row: ListedCandidate | None) -> None:
        """Show the image of the row, or none while it is being decoded."""
        box = self.query_one("#picture-box")
        image = CardImage(row.source, row.image, row.file_name) if row is not None and box.display else None
        if image == self._pictured:
            return
        self._pictured = image
        self.picture.show(None)
        box.border_title = Content.styled(display_text(image.file_name or image.key, limit=60), QUIET) if image else ""
        box.border_subtitle = ""
        if image is not None:
            is_paging = time.monotonic() - self._pictured_at < _PAGING_SECONDS
            self._pictured_at = time.monotonic()
            self._load_image(image, _PAGING_SECONDS if is_paging else 0.0)

    @work(exclusive=True, group="image")
    async def _load_image(self, image: CardImage, pause: float) -> None:
        pane, box, table = self.picture, self.query_one("#picture-box"), self.table  # the screen may close meanwhile
        await asyncio.sleep(pause)
        thumbnail = await run_in_daemon_thread(partial(self._decoded, image))
        if image != self._pictured or not pane.is_attached:
            return
        pane.show(thumbnail, alt="images are turned off")
        box.border_subtitle = Content.styled(thumbnail.note, "$text-warning")
        neighbours = [table.neighbour(by) for by in (1, -1)]
        await run_in_daemon_thread(partial(self._decode_rows, neighbours))  # the next row is likely one of them

    def _decoded(self, image: CardImage) -> Thumbnail:
        images = self.navigation.session.loader.pictures
        return images.thumbnail(image, images.locate(image))

    def _decode_rows(self, rows: Sequence[ListedCandidate | None]) -> None:
        """Fill the cache of thumbnails."""
        for row in filter(None, rows):
            self._decoded(CardImage(row.source, row.image, row.file_name))

    # -- what the annotator has seen ----------------------------------------------------------------------------

    def _track_row(self) -> None:
        """Register the row under the cursor; a row that was in view with a row seen before counts as seen, too."""
        if not self._settling and self.table.chosen != self._tracked:
            known = self.table.cursor_was_painted and self.card_visibility.seen_long_enough(time.monotonic())
            self._track(self.table.chosen, known=known)

    def _track(self, candidate_id: int | None, *, known: bool = False) -> None:
        self._tracked = candidate_id
        self.track_card(candidate_id, known=known)

    @property
    def is_card_drawn(self) -> bool:
        return self.table.is_painted(self._tracked)

    def may_press(self, key: str, pressed_at: float) -> bool:
        """Return whether a key may have its effect; letters in the filter are no decisions."""
        return not self.table.has_focus or super().may_press(key, pressed_at)

    def show_early_key(self, early: KeyTooEarly | None) -> None:
        if early is not None:
            self.show_message(f"{str(early).replace('card', 'row')}: key ignored")

    def show_lag(self) -> None:
        """Show nothing: only a dropped key is reported."""

    # -- deciding about the row ---------------------------------------------------------------------------------

    @property
    def asks_question(self) -> bool:
        return self._asked is not None

    @property
    def scope(self) -> KeyScope:
        """The meaning of the keys at the moment."""
        return KeyScope.REASON if self.asks_question else self.place

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Allow only the answers while the reason of a rejection is asked."""
        return (action in _ANSWERS) is self.asks_question

    def _decidable_row(self) -> ListedCandidate | None:
        """Return the row that a key decides about; None after a message why there is none."""
        row = self.table.row
        if self._is_being_read():
            return None
        if not self.table.has_focus:
            self.show_message("the facets have the focus: tab returns to the list")
        elif not self.table.ids:
            self.show_message("no candidate to decide about")
        elif row is None or not self._has_seen(row):
            self.show_message("the row has just appeared: key ignored")
        elif row.state is State.SUPERSEDED:
            self.show_message("an edit has replaced this caption")
        elif row.audit and row.hidden:
            key = self.actions.cap_of("browse-open")
            self.show_message(f"an audit candidate is decided blind: {key} opens its card")
        else:
            return row
        return None

    def _has_seen(self, row: ListedCandidate) -> bool:
        self._track_row()  # the cursor may have moved just now
        return row.id == self._tracked and self.card_visibility.seen_long_enough(time.monotonic())

    async def action_decide(self, kind: str) -> None:
        """Accept the row, or be unsure about it."""
        row = self._decidable_row()
        if row is not None:
            await self._decide(row, Kind(kind))

    def action_ask_reason(self) -> None:
        self._ask_reason(self._decidable_row())

    def action_cancel_reason(self) -> None:
        self._close_question()

    async def action_reject(self, reason: str) -> None:
        """Reject the row that was under the cursor when the question was asked."""
        row = self._asked
        self._close_question()
        if row is not None and row.id == self.table.chosen and not self._is_being_read():
            await self._decide(row, Kind.REJECT, Reason(reason))

    def _ask_reason(self, row: ListedCandidate | None) -> None:
        """Ask for the reason of the rejection; None: close the question."""
        self._asked = row
        answers = self.query_one(AnswerLines)
        answers.show(KeyScope.REASON)
        answers.display = row is not None
        self.query_one(KeyHints).display = self.action_line.display = row is None

    def _close_question(self) -> None:
        if self._asked is not None:
            self._ask_reason(None)

    async def _decide(self, row: ListedCandidate, kind: Kind, reason: Reason | None = None) -> None:
        session = self.navigation.session
        image = CardImage(row.source, row.image, row.file_name)
        picture = self.picture.shown_as if image == self._pictured else PictureShown.NONE

        def write() -> tuple[DecisionResult | None, list[ListedCandidate]]:
            result = session.decide_listed(row, kind, reason, picture=picture)
            return result, rows_of(self.store, self.memory, [row.id], blind=self._blind)

        written = await self._write(write)
        if written is None:
            self.table.reread()  # the row may have changed meanwhile
            return
        result, rows = written
        if result is None:
            self.show_message(f"{DECISIONS[kind].past} already")
            return
        self._changed += 1
        for each in rows:
            self.table.replace_row(each)
        self._after_change()
        self._show_decision(kind, reason)
        if result.known is not None and kind in ANSWERS:
            self.show_message(gold_feedback(result.known, kind)[1])

    def _show_decision(self, kind: Kind, reason: Reason | None) -> None:
        wording = DECISIONS[kind]
        because = f": {readable(reason)}" if reason is not None else ""
        line = (f"{wording.glyph} {wording.past}{because}", decision_style(kind))
        self.action_line.show(Content.assemble(line, (f" · {self.actions.cap_of('browse-undo')} undo", QUIET)))

    def _after_change(self) -> None:
        self._update_status()
        self._paint_detail()
        self._count_facets()

    async def _write(self, work: Callable[[], T]) -> T | None:
        """Write to the record in a thread, one call at a time; return None after showing an error message."""
        slow = self.set_timer(_SLOW_SECONDS, partial(self.show_message, "waiting for the record …"))
        try:
            async with self._turn:
                return await run_in_daemon_thread(work)
        except RecordError as error:
            self.show_message(error.message, hint=error.hint, trouble=True)
            return None
        finally:
            slow.stop()

    # -- many at once -------------------------------------------------------------------------------------------

    def action_bulk(self, kind: str) -> None:
        """Decide about the selected candidates, or about the whole view without a selection."""
        if self._counting:
            self.show_message("the list is still loading")
            return
        chosen = self.memory.selection.of(self.table.ids) if self.memory.selection else self.table.ids
        if chosen:
            self.decide_about(chosen, _BULK[kind])
        else:
            self.show_message("no candidate to decide about")

    def decide_about(self, candidate_ids: Sequence[int], kind: Kind) -> None:
        """Accept, reject or requeue these candidates as one action, after a preview and a confirmation."""
        from workbench.tui.screens.modals.bulk import BulkModal  # only when opened

        self.app.push_screen(BulkModal(self.navigation.session, self.actions, candidate_ids, kind), self._decided)

    def _decided(self, done: BulkDone | None) -> None:
        if done is not None:
            self._changed += done.changed
            self.memory.selection.clear()
            self.table.reread()
            self._after_change()

    async def action_travel(self, back: bool) -> None:
        """Undo or redo one's last action; a bulk decision as a whole."""
        session, visible = self.navigation.session, self.table.visible_ids

        def travel() -> tuple[Kind | None, list[ListedCandidate]]:
            kind = session.undo() if back else session.redo()
            about = [session.reversed_action.candidate_id] if session.reversed_action is not None else []
            return kind, rows_of(self.store, self.memory, [*visible, *about], blind=self._blind)

        moved = await self._write(travel)
        if moved is None:
            return
        kind, rows = moved
        if kind is None or session.reversed_action is None:
            self.show_message("nothing to undo" if back else "nothing to redo")
            return
        self.show_message(reversed_line(session.reversed_action, back=back))
        self._changed += session.reversed_action.candidates
        self.table.reread()
        for row in rows:  # the next key may be about one of them
            self.table.replace_row(row)
        if session.reversed_action.candidates == 1:
            self.table.find(session.reversed_action.candidate_id)
        self._after_change()
