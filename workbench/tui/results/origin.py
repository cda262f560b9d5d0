"""From a run to its export (counts of its training pairs), and to the decisions that chose them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import getters, on, work
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from curation_db.errors import RecordError
from trainers.errors import TrainerError
from workbench.tui.rendering.origin import (
    CountRow,
    count_cells,
    count_columns,
    count_rows,
    decision_cells,
    decision_columns,
    decision_details,
    origin_heading,
)
from workbench.tui.results.context import STYLES
from workbench.tui.screens.base.action_screen import ActionScreen
from workbench.tui.threads import run_in_daemon_thread
from workbench.tui.widgets.lines.header_bar import HeaderBar
from workbench.tui.widgets.lines.key_hints import pane_keys
from workbench.tui.widgets.lists.static_table import StaticTable, titled
from workbench.workspace.keymap import KeyScope

if TYPE_CHECKING:
    from workbench.reports.run_origin import Cut, RunOrigin
    from workbench.tui.results.context import ResultsContext


class OriginScreen(ActionScreen):
    """The training pairs of a run by cue, type, reason and decider, beside the rejected ones that were left out."""

    CSS_PATH = STYLES
    AUTO_FOCUS = "#table"

    PANES: ClassVar = {"#table": [pane_keys("decisions", "decisions")]}

    table = getters.query_one("#table", StaticTable)

    def __init__(self, context: ResultsContext, run: Path) -> None:
        super().__init__(context.actions, KeyScope.ORIGIN)
        self.context, self.run_folder = context, run
        self.origin: RunOrigin | None = None
        self.rows: list[CountRow] = []

    def compose(self) -> ComposeResult:
        yield HeaderBar(id="top")
        yield Static(id="head", markup=False)
        yield titled(StaticTable(id="table", classes="pane", empty="reading …"), "training pairs")
        yield from self.compose_foot()

    def on_mount(self) -> None:
        if not self.is_whole:
            return
        self.query_one(HeaderBar).show("results", "training data")
        self._read()

    @work
    async def _read(self) -> None:
        try:
            self.origin = await run_in_daemon_thread(partial(_origin_of, self.context, self.run_folder))
        except (RecordError, TrainerError) as error:
            self.show_message(str(error), hint=error.hint, trouble=True)
            return
        if not self.is_whole:
            return
        self.rows = count_rows(self.origin)
        self.query_one("#head", Static).update(origin_heading(self.origin))
        self._list()

    def on_resize(self) -> None:
        if self.is_whole:
            self._list()

    def _list(self) -> None:
        if self.rows:
            self.table.fill(count_columns(self.app.size.width), [row.key for row in self.rows], self._cells)
            self.update_keys()

    def disabled_reason(self, action: str, parameters: tuple[object, ...]) -> str:
        return "the training data is being read" if action == "open" and not self.rows else ""

    def _cells(self, at: int) -> Sequence[Content]:
        return count_cells(self.rows[at], self.rows[at - 1] if at else None, self.rows[0].pairs)

    @on(StaticTable.RowOpened)
    def action_open(self) -> None:
        """List the decisions on the pairs of the row."""
        if self.origin is not None and self.rows:
            row = self.rows[self.table.cursor]
            only = None if row.cut is None else (row.cut, row.value)
            self.app.push_screen(DecisionsScreen(self.context, self.origin, only))

    def action_back(self) -> None:
        if self.is_active:
            self.dismiss(None)


def _origin_of(context: ResultsContext, run: Path) -> RunOrigin:
    from workbench.reports.run_origin import read_origins  # only when opened

    return read_origins(context.workspace, [run])[0]


class DecisionsScreen(ActionScreen):
    """The pairs of a run with their decisions above, the selected pair below."""

    CSS_PATH = STYLES
    AUTO_FOCUS = "#table"

    table = getters.query_one("#table", StaticTable)

    def __init__(self, context: ResultsContext, origin: RunOrigin, only: tuple[Cut, str] | None) -> None:
        super().__init__(context.actions, KeyScope.DECISIONS)
        from workbench.reports.training_report import decisions  # only when opened

        self.context, self.origin, self.only = context, origin, only
        self.decisions = decisions(origin, only)

    def compose(self) -> ComposeResult:
        yield HeaderBar(id="top")
        yield titled(StaticTable(id="table", classes="pane", empty="no such pair"), "pairs")
        with VerticalScroll(id="decision", classes="pane", can_focus=False) as decision:
            decision.border_title = "decisions"
            yield Static(id="pair", markup=False)
        yield from self.compose_foot()

    def on_mount(self) -> None:
        if not self.is_whole:
            return
        where = f"{self.only[0]}: {self.only[1]}" if self.only else "all pairs"
        right = f"{len(self.decisions):,} pairs · {where}"
        self.query_one(HeaderBar).show("results", "decisions", right=right)
        self._list()
        self._paint()

    def on_resize(self) -> None:
        if self.is_whole:
            self._list()

    def _list(self) -> None:
        columns = decision_columns(self.app.size.width)

        def cells(at: int) -> Sequence[Content]:
            item, inside = self.decisions[at]
            return decision_cells(item, list(columns), inside=inside)

        self.table.fill(list(columns.values()), [str(at) for at in range(len(self.decisions))], cells)

    @on(StaticTable.RowMoved)
    def _paint(self) -> None:
        if self.decisions:
            self.query_one("#pair", Static).update(decision_details(self.decisions[self.table.cursor][0]))

    def action_back(self) -> None:
        if self.is_active:
            self.dismiss(None)
