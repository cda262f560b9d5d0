"""Report: models x tasks with the context of each figure; enter opens slices, then items, then one item.

Results are read and compared in a thread; the last report stays in the context, so it shows at once on return.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import getters, on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from benchmarks.errors import BenchError
from curation_db.language.sanitize import display_text
from workbench.reports.benchmark_report import ReportLine, report_lines
from workbench.reports.retention import RetentionPlot, plot_of, retention_plots
from workbench.tui.rendering.report import COLUMNS, about, cells_of, columns_for, published, shows_all
from workbench.tui.rendering.report import titled as titled_column
from workbench.tui.rendering.retention import retention_chart
from workbench.tui.results.context import STYLES
from workbench.tui.results.retention import RetentionScreen
from workbench.tui.results.slices import ItemsScreen, SlicesScreen
from workbench.tui.screens.base.action_screen import ActionScreen
from workbench.tui.threads import run_in_daemon_thread
from workbench.tui.widgets.lines.header_bar import HeaderBar
from workbench.tui.widgets.lines.key_hints import pane_keys
from workbench.tui.widgets.lists.static_table import StaticTable, titled
from workbench.workspace.keymap import KeyScope, Tab
from workbench.workspace.trained_runs import runs_by_model

if TYPE_CHECKING:
    from benchmarks.analysis.comparison import ComparisonRow, Report
    from workbench.tui.results.context import ResultsContext

_BESIDE_SHARE = 43
"""Percent of the width that the scatter and the published results have, as in results.tcss."""
_PADDING = 3
"""Cells of the padding and the scrollbar on either side of the details."""
_ABOUT_LINES = 12
_MANY = 20
"""Comparing this many results takes less than a second."""
_SCROLLED = ("#about", "#measured", "#published")
_OF_A_RESULT = frozenset({"open", "origin", "items", "retention", "base", "scroll_about"})
"""Actions that need a row."""
_EMPTY = "Nothing measured yet. It begins with: negwb bench list"


class ReportScreen(ActionScreen):
    """The table above, the details of the selected row below."""

    TAB = Tab.REPORT
    CSS_PATH = STYLES
    AUTO_FOCUS = "#table"
    PANES: ClassVar = {
        "#table": [
            pane_keys("slices", "open"),
            pane_keys("items", "items"),
            pane_keys("base", "base"),
            pane_keys("scatter", "retention"),
            pane_keys("data", "origin"),
        ],
        "#about": [pane_keys("scroll", "less", "more")],
    }

    table = getters.query_one("#table", StaticTable)

    def __init__(self, context: ResultsContext) -> None:
        super().__init__(context.actions, KeyScope.REPORT)
        self.context = context
        self.lines: list[ReportLine] = []
        self.plots: list[RetentionPlot] = []
        self._request = 0
        self._refreshing = False
        """Whether the user asked for the results to be read again."""

    def compose(self) -> ComposeResult:
        yield HeaderBar(id="top")
        yield titled(StaticTable(id="table", classes="pane", empty="reading the results …", gap=1), "models by task")
        with Horizontal(id="about", classes="pane"):
            with VerticalScroll(id="measured", can_focus=False):
                yield Static(id="row", markup=False)
            with VerticalScroll(id="published", can_focus=False):
                yield Static(id="scatter", markup=False)
                yield Static(id="others", markup=False)
        yield from self.compose_foot()

    def on_mount(self) -> None:
        """Show the last report, then read the results."""
        if not self.is_whole:
            return
        self._update_header("reading …")
        self.query_one("#about").display = False
        if self.context.report is not None:
            self._show(self.context.report)
        self._read()

    def on_resize(self) -> None:
        if self.is_whole:
            self._list()
            self.call_after_refresh(self._paint_row)  # its texts are wrapped to the new width

    # -- reading ------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        self._request += 1
        self._compare(self._request, self.context.base)

    @work
    async def _compare(self, request: int, base: str | None) -> None:
        loop = asyncio.get_running_loop()

        def progress(done: int, total: int) -> None:
            if total > _MANY and done % _MANY == 0:
                loop.call_soon_threadsafe(self._show_progress, request, done, total)

        try:
            report = await run_in_daemon_thread(partial(_compared, self.context, base, progress))
        except BenchError as error:  # the base's results are gone
            if base is not None and request == self._request:
                self.context.base = None
                self._read()
            self.show_message(error.message, hint=error.hint, trouble=True)
            return
        if request == self._request and self.is_whole:  # a newer request may be running
            self.context.report = report
            self._show(report)
            if self._refreshing:
                self._refreshing = False
                self.show_message(f"refreshed: {len(self.lines):,} results")

    def _show(self, report: Report) -> None:
        self.lines = report_lines(report)
        self.plots = retention_plots(report)
        self._list()
        if self.context.row is not None:
            self.table.choose(self.context.row)
        self._paint_row()
        name = "reference" if report.reference_note else "base"
        base = f"{name}: {display_text(report.reference, limit=40)}" if report.reference else ""
        wrong = f"⚠ {len(report.problems)} files skipped · " if report.problems else ""
        self._update_header(wrong + base)

    def _show_progress(self, request: int, done: int, total: int) -> None:
        if request == self._request and self.is_whole and done < total:
            self._update_header(f"comparing {done:,} of {total:,} …")

    def _update_header(self, right: str) -> None:
        self.query_one(HeaderBar).show("results", "report", right=right)

    def _list(self) -> None:
        columns = columns_for(self.size.width)
        first = self.lines[0].main if self.lines else None
        empty = _EMPTY if self.context.report is not None else None
        self.table.fill(
            [titled_column(COLUMNS[name], first) for name in columns],
            [line.key for line in self.lines],
            lambda at: cells_of(self.lines[at], columns),
            empty=empty,
        )

    @on(StaticTable.RowMoved)
    def _moved(self) -> None:
        self.context.row = self.table.chosen
        self._paint_row()

    @property
    def line(self) -> ReportLine | None:
        """The row under the cursor."""
        return self.lines[self.table.cursor] if self.lines else None

    def _paint_row(self) -> None:
        line, report = self.line, self.context.report
        box = self.query_one("#about")
        problems = report.problems if report is not None else ()
        box.display = line is not None or bool(problems)
        beside = self._paint_beside(line, report) if line is not None and report is not None else False
        self.query_one("#published").display = beside
        self.set_class(beside, "-beside")
        lines = [about(line, self._about_width(beside))] if line else []
        lines += [Content.styled("⚠ " + display_text(each, limit=200), "$text-warning") for each in problems[:5]]
        self.query_one("#row", Static).update(Content("\n").join(lines))
        if line is not None:
            box.border_title = Content(display_text(f"{line.main.model} · {line.main.task}", limit=70))
        self.update_keys_later()

    def _paint_beside(self, line: ReportLine, report: Report) -> bool:
        """Show the scatter and the published results beside the details; return whether there is any of them."""
        plot = plot_of(self.plots, line) if shows_all(self.size.width) else None
        others = published(report.published, line.main.task)
        scatter = self.query_one("#scatter", Static)
        scatter.display = plot is not None
        if plot is not None:
            width = self._inner_width * _BESIDE_SHARE // 100 - _PADDING
            scatter.update(retention_chart(plot, line.main.model_hash, width, _ABOUT_LINES))
        self.query_one("#others", Static).update(others)
        self.query_one("#others").display = bool(others)
        return plot is not None or bool(others)

    @property
    def _inner_width(self) -> int:
        """Cells inside the frame of the details."""
        return self.size.width - 2

    def _about_width(self, beside: bool) -> int:
        share = _BESIDE_SHARE if beside and not self.has_class("-narrow") else 0
        return self._inner_width - self._inner_width * share // 100 - _PADDING

    def disabled_reason(self, action: str, parameters: tuple[object, ...]) -> str:
        if action in _OF_A_RESULT and self.line is None:
            return "the results are being read" if self.context.report is None else _EMPTY
        if action == "scroll_about":
            reasons = [self.scroll_reason(each, *parameters) for each in _SCROLLED]  # type: ignore[arg-type]
            return reasons[0] if all(reasons) else ""
        if action == "retention" and not self.plots:
            return "no task with negated phrases has results on its affirmative twin"
        if action == "base" and self.line is not None and self.line.main.is_reference:
            return f"{display_text(self.line.main.model, limit=40)} is the base already"
        return ""

    # -- acting -------------------------------------------------------------------------------------------------

    def base_run(self, line: ReportLine) -> str | None:
        """Return the base model's run on the same items; None for the base itself."""
        row = line.main
        reference = None if row.is_reference else self.context.reference_of(row)
        return None if reference is None else reference.run

    @on(StaticTable.RowOpened)
    def action_open(self) -> None:
        """Open the slices of the row."""
        if self.line is not None:
            self.app.push_screen(SlicesScreen(self.context, self.line, self.base_run(self.line)))

    def action_origin(self) -> None:
        """Open the training data of the row's model."""
        if self.line is not None:
            self._open_origin(self.line.main)

    @work
    async def _open_origin(self, row: ComparisonRow) -> None:
        from workbench.tui.results.origin import OriginScreen  # only when opened: it reads the record

        run = await run_in_daemon_thread(partial(_run_of, self.context, row))
        if run is not None:
            self.app.push_screen(OriginScreen(self.context, run))
        else:
            self.show_message("no run of this workspace trained this model", hint="enter opens its slices")

    def action_items(self) -> None:
        """Open all items of the row."""
        if self.line is not None:
            self.app.push_screen(ItemsScreen(self.context, self.line, self.base_run(self.line)))

    def action_retention(self) -> None:
        """Open the scatter of negated by affirmative accuracy."""
        if self.line is None or not self.plots:
            return
        plot = plot_of(self.plots, self.line) or self.plots[0]
        at = self.plots.index(plot)
        self.app.push_screen(RetentionScreen(self.context, self.plots, at, self.line.main.model_hash))

    def action_base(self) -> None:
        """Compare all rows with this model."""
        if self.line is not None:
            self.context.base = self.line.main.model_hash
            self._update_header("comparing …")
            self._read()

    def action_scroll_about(self, by: int) -> None:
        for name in _SCROLLED:
            self.query_one(name).scroll_relative(y=by, animate=False)

    def action_reread(self) -> None:
        """Read the results again."""
        self._refreshing = True
        self._update_header("reading …")
        self._read()

    def action_leave(self) -> None:
        self.context.leave()


def _run_of(context: ResultsContext, row: ComparisonRow) -> Path | None:
    return runs_by_model(context.workspace).get(row.model_hash)


def _compared(context: ResultsContext, base: str | None, progress: Callable[[int, int], None]) -> Report:
    from benchmarks.analysis.comparison import compare  # with its imports, 30 ms
    from workbench.workspace.models import base_hash, run_bases

    workspace = context.workspace
    return compare(
        context.results,
        base=base,
        default_base=base_hash(workspace),
        run_bases=run_bases(workspace),
        slices=False,
        cache=workspace.cache,
        progress=progress,
    )
