"""Below the report: the slices of one result, and the list of its items with a filter."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

from textual import getters, on, work
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from benchmarks.analysis.comparison import Slice, slices_of_run
from benchmarks.errors import BenchError
from workbench.reports.benchmark_report import ReportLine
from workbench.reports.item_answers import ItemAnswers, Only, read_answers
from workbench.tui.rendering.items import cells_of, changes_line, item_columns, list_summary
from workbench.tui.rendering.report import heading, slice_columns, slice_row
from workbench.tui.results.context import STYLES
from workbench.tui.results.item import ItemScreen
from workbench.tui.screens.base.action_screen import ActionScreen
from workbench.tui.threads import run_in_daemon_thread
from workbench.tui.widgets.lines.header_bar import HeaderBar
from workbench.tui.widgets.lines.key_hints import pane_keys
from workbench.tui.widgets.lists.static_table import StaticTable, titled
from workbench.workspace.keymap import KeyScope

if TYPE_CHECKING:
    from benchmarks.schema import ItemRow
    from workbench.tui.results.context import ResultsContext


class _ResultTable(ActionScreen):
    """Heading and one table; base class of both screens."""

    CSS_PATH = STYLES
    AUTO_FOCUS = "#table"

    GAP = 2
    """Cells between columns."""
    TITLE = ""
    """Title of the table."""

    table = getters.query_one("#table", StaticTable)

    def __init__(self, context: ResultsContext, line: ReportLine, base_run: str | None, place: KeyScope) -> None:
        super().__init__(context.actions, place)
        self.context, self.line, self.base_run = context, line, base_run

    def compose(self) -> ComposeResult:
        yield HeaderBar(id="top")
        yield Static(heading(self.line), id="head", markup=False)
        yield titled(StaticTable(id="table", classes="pane", empty="reading …", gap=self.GAP), self.TITLE)
        yield from self.compose_foot()

    def action_back(self) -> None:
        if self.is_active:
            self.dismiss(None)


class SlicesScreen(_ResultTable):
    """The figures by cue, position and length, each for a part of the items."""

    TITLE = "slices"
    PANES: ClassVar = {"#table": [pane_keys("items of the slice", "open"), pane_keys("all items", "items")]}
    GAP = 1  # with bars, two cells do not fit into 80 columns

    def __init__(self, context: ResultsContext, line: ReportLine, base_run: str | None) -> None:
        super().__init__(context, line, base_run, KeyScope.SLICES)
        self._slices: list[Slice | None] = [None]
        """The whole result, then its slices."""

    def on_mount(self) -> None:
        if not self.is_whole:
            return
        self.query_one(HeaderBar).show("results", "report", "slices")
        self._list()
        self._read()

    @work
    async def _read(self) -> None:
        """Compute the slices, or read them from the cache: those of thousands of items take a moment."""
        compute = partial(
            slices_of_run,
            self.context.results,
            self.line.main.run,
            self.base_run,
            cache=self.context.workspace.cache,
        )
        try:
            self._slices += await run_in_daemon_thread(compute)
        except BenchError as error:
            self.show_message(error.message, hint=error.hint, trouble=True)
        if self.is_whole:
            self._list()

    def on_resize(self) -> None:
        if self.is_whole:
            self._list()

    def _list(self) -> None:
        columns = slice_columns(self.app.size.width, self.line.main)
        self.table.fill(
            list(columns.values()),
            [f"{each.cut}\0{each.value}" if each else "" for each in self._slices],
            lambda at: slice_row(self._slices[at], self.line.main, columns),
        )

    @on(StaticTable.RowOpened)
    def action_open(self) -> None:
        chosen = self._slices[self.table.cursor]
        cut = (chosen.cut, chosen.value) if chosen else None
        self.app.push_screen(ItemsScreen(self.context, self.line, self.base_run, cut))

    def action_items(self) -> None:
        self.app.push_screen(ItemsScreen(self.context, self.line, self.base_run))


class ItemsScreen(_ResultTable):
    TITLE = "items"
    PANES: ClassVar = {
        "#table": [
            pane_keys("open", "open"),
            pane_keys("all", "all"),
            pane_keys("wrong", "wrong"),
            pane_keys("right", "right"),
            pane_keys("gained", "gained"),
            pane_keys("lost", "lost"),
            pane_keys("differs", "differs"),
        ]
    }

    def __init__(
        self, context: ResultsContext, line: ReportLine, base_run: str | None, cut: tuple[str, str] | None = None
    ) -> None:
        super().__init__(context, line, base_run, KeyScope.ITEMS)
        self._cut = cut
        self._only: Only = "all"
        self._answers = ItemAnswers((), {})
        self.items: list[ItemRow] = []
        """The listed items."""

    def on_mount(self) -> None:
        if not self.is_whole:
            return
        self.query_one(HeaderBar).show("results", "report", "items")
        self._read()

    @work
    async def _read(self) -> None:
        try:
            self._answers = await run_in_daemon_thread(
                partial(read_answers, self.context.results, self.line.main.run, self.base_run)
            )
        except BenchError as error:
            self.show_message(error.message, hint=error.hint, trouble=True)
        if not self.is_whole:
            return
        if self._answers.base:
            counts = changes_line(self._answers, self.context.reference_name(self.line.main))
            self.query_one("#head", Static).update(Content("\n").join([heading(self.line), counts]))
        self._list()

    def on_resize(self) -> None:
        if self.is_whole and self._answers.items:
            self._list()

    def action_only(self, which: str) -> None:
        """List all items, or only those that are right, wrong, or differ from the reference's answer, either way."""
        self._only = cast("Only", which)
        self._list()

    def disabled_reason(self, action: str, parameters: tuple[object, ...]) -> str:
        match action, parameters:
            case "only", ("differs" | "gained" | "lost",) if not self._answers.base:
                base = self.line.main.against
                return (
                    f"this is the {base}" if self.line.main.is_reference else f"the {base} was not run on these items"
                )
            case "only", (which,) if which == self._only:
                return "all items are shown" if which == "all" else f"only {which} items are shown"
            case "open", _ if not self.items:
                return "no item is listed"
        return ""

    def _list(self) -> None:
        self.items = self._answers.only(self._only, self._cut)
        keys = [str(at) for at in range(len(self._answers.items))]
        places = {id(row): key for row, key in zip(self._answers.items, keys, strict=True)}
        columns = item_columns(
            self.app.size.width,
            self.line.main.against,
            has_base=bool(self._answers.base),
            masks=self.line.main.segmentation is not None,
        )
        self.table.fill(
            list(columns.values()),
            [places[id(row)] for row in self.items],
            lambda at: cells_of(self.items[at], self._answers, columns),
            empty="no such item",
        )
        right = list_summary(self._only, len(self.items), len(self._answers.items), self._cut)
        self.query_one(HeaderBar).show("results", "report", "items", right=right)
        self.update_keys()

    @on(StaticTable.RowOpened)
    def action_open(self) -> None:
        """Open the item under the cursor, with its image."""
        if self.items:
            screen = ItemScreen(self.context, self.line, self.items, self.table.cursor, self._answers, self.follow)
            self.app.push_screen(screen)

    def follow(self, at: int) -> None:
        """Move the cursor to the item that the item screen shows."""
        self.table.action_move(at - self.table.cursor)
