"""Report: models x tasks with everything a figure needs beside it; enter goes down to slices, items, one item.

The results are read and compared in a thread; what was read last stays in the lab, so coming back shows it at once.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual import getters, on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from benchmarks.errors import BenchError
from curation_db.language.sanitize import display_text
from workbench.reports.benchmark_report import ReportLine, report_lines
from workbench.tui.rendering.report import COLUMNS, about, cells_of, columns_for, published
from workbench.tui.results.context import STYLES
from workbench.tui.results.slices import ItemsScreen, SlicesScreen
from workbench.tui.screens.base.action_screen import ActionScreen
from workbench.tui.threads import run_in_daemon_thread
from workbench.tui.widgets.header_bar import HeaderBar
from workbench.tui.widgets.key_hints import KeyHints
from workbench.tui.widgets.static_table import StaticTable
from workbench.workspace.keymap import KeyScope

if TYPE_CHECKING:
    from benchmarks.comparison import Report
    from workbench.tui.results.context import Page, ResultsContext

_EMPTY = "Nothing measured yet. It begins with: negwb bench list"


class ReportScreen(ActionScreen):
    """The table above, what is to be known about its row below."""

    CSS_PATH = STYLES
    AUTO_FOCUS = "#table"

    sheet = getters.query_one("#table", StaticTable)

    def __init__(self, lab: ResultsContext) -> None:
        super().__init__(lab.actions, KeyScope.REPORT)
        self.lab = lab
        self.lines: list[ReportLine] = []
        self._asked = 0

    def compose(self) -> ComposeResult:
        """Status, table, the row in full, keys."""
        yield HeaderBar(id="top")
        yield StaticTable(id="table", empty="reading the results …", gap=1)
        with Horizontal(id="about"):
            with VerticalScroll(id="measured", can_focus=False):
                yield Static(id="row", markup=False)
            with VerticalScroll(id="published", can_focus=False):
                yield Static(id="others", markup=False)
        yield KeyHints(self.actions, KeyScope.REPORT, id="keys")

    def on_mount(self) -> None:
        """What was read last, then what there is now."""
        if not self.is_whole:
            return
        self._say("reading …")
        self.query_one("#about").display = False
        if self.lab.report is not None:
            self._show(self.lab.report)
        self._read()

    def on_resize(self) -> None:
        """Other columns fit."""
        if self.is_whole:
            self._list()

    # -- reading ------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        self._asked += 1
        self._compare(self._asked, self.lab.base)

    @work
    async def _compare(self, asked: int, base: str | None) -> None:
        try:
            report = await run_in_daemon_thread(partial(_compared, self.lab, base))
        except BenchError as error:  # the base's results are gone
            if base is not None and asked == self._asked:
                self.lab.base = None
                self._read()
            self.tell(error.message, hint=error.hint, trouble=True)
            return
        if asked == self._asked and self.is_mounted:  # a newer question may be under way
            self.lab.report = report
            self._show(report)

    def _show(self, report: Report) -> None:
        self.lines = report_lines(report)
        self._list()
        if self.lab.row is not None:
            self.sheet.choose(self.lab.row)
        self._paint_row()
        base = f"base: {display_text(report.base, limit=40)}" if report.base else ""
        wrong = f"⚠ {len(report.problems)} files passed over · " if report.problems else ""
        self._say(wrong + base)

    def _say(self, right: str) -> None:
        self.query_one(HeaderBar).tell("lab", "report", right=right)

    def _list(self) -> None:
        columns = columns_for(self.size.width)
        empty = _EMPTY if self.lab.report is not None else None
        self.sheet.fill(
            [COLUMNS[name] for name in columns],
            [line.key for line in self.lines],
            lambda at: cells_of(self.lines[at], columns),
            empty=empty,
        )

    @on(StaticTable.RowMoved)
    def _moved(self) -> None:
        self.lab.row = self.sheet.chosen
        self._paint_row()

    @property
    def line(self) -> ReportLine | None:
        """The row with the cursor."""
        return self.lines[self.sheet.cursor] if self.lines else None

    def _paint_row(self) -> None:
        line, report = self.line, self.lab.report
        box = self.query_one("#about")
        problems = report.problems if report is not None else ()
        box.display = line is not None or bool(problems)
        told = [about(line)] if line else []
        told += [Content.styled("⚠ " + display_text(each, limit=200), "$text-warning") for each in problems[:5]]
        self.query_one("#row", Static).update(Content("\n").join(told))
        if line is not None and report is not None:
            self.query_one("#others", Static).update(published(report.published, line.main.task))
            box.border_title = Content(display_text(f"{line.main.model} · {line.main.task}", limit=70))

    # -- acting -------------------------------------------------------------------------------------------------

    def base_run(self, line: ReportLine) -> str | None:
        """The base's result on the same items."""
        mine = line.main
        asked = (mine.task, mine.dataset_sha256, mine.protocol)
        rows = self.lab.report.rows if self.lab.report else ()
        theirs = (row for row in rows if row.is_base and (row.task, row.dataset_sha256, row.protocol) == asked)
        return None if mine.is_base else next((row.run for row in theirs), None)

    @on(StaticTable.RowOpened)
    def action_open(self) -> None:
        """Into the slices."""
        if self.line is not None:
            self.app.push_screen(SlicesScreen(self.lab, self.line, self.base_run(self.line)))

    def action_items(self) -> None:
        """All items."""
        if self.line is not None:
            self.app.push_screen(ItemsScreen(self.lab, self.line, self.base_run(self.line)))

    def action_base(self) -> None:
        """Compare with this one."""
        if self.line is not None:
            self.lab.base = self.line.main.model_hash
            self._say("comparing …")
            self._read()

    def action_scroll_about(self, by: int) -> None:
        """What is said about the row may be longer than its box."""
        for name in ("#about", "#measured", "#published"):
            self.query_one(name).scroll_relative(y=by, animate=False)

    def action_reread(self) -> None:
        """Results may have come."""
        self._say("reading …")
        self._read()

    def action_show(self, page: Page) -> None:
        """The other page."""
        if page != "report":
            self.app.switch_screen(self.lab.screen(page))

    def action_leave(self) -> None:
        """Out of the lab."""
        self.lab.leave()


def _compared(lab: ResultsContext, base: str | None) -> Report:
    """The report over the workspace's results."""
    from benchmarks.comparison import compare  # with what it needs, 30 ms
    from workbench.workspace.models import base_hash

    return compare(lab.results, base=base, usual=base_hash(lab.workspace))
