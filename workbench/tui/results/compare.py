"""Comparison of training runs: one figure of all runs over the steps, and a table of their results and settings.

Settings that differ come first and have a sign. The screen follows runs that are training.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import getters
from textual.app import ComposeResult
from textual.containers import Vertical

from workbench.jobs.training.run_monitor import CURVES, RunDetail, RunMonitor
from workbench.tui.rendering.runs import comparison_cells, comparison_columns, comparison_rows, overlay
from workbench.tui.results.context import STYLES
from workbench.tui.screens.base.polling_screen import PollingScreen
from workbench.tui.threads import run_in_daemon_thread
from workbench.tui.widgets.curve import Curve
from workbench.tui.widgets.lines.header_bar import HeaderBar
from workbench.tui.widgets.lines.key_hints import pane_keys
from workbench.tui.widgets.lists.static_table import StaticTable, titled
from workbench.workspace.keymap import KeyScope

if TYPE_CHECKING:
    from workbench.tui.results.context import ResultsContext

_POLL_SECONDS = 1.0


class CompareScreen(PollingScreen[list[RunDetail]]):
    """The curves above, the table below."""

    CSS_PATH = STYLES
    AUTO_FOCUS = "#compared"
    PANES: ClassVar = {"#overlay": [pane_keys("figure", "figure", "figure-before")]}

    table = getters.query_one("#compared", StaticTable)

    def __init__(self, context: ResultsContext, names: Sequence[str]) -> None:
        """`names`: the runs, at most `MOST_COMPARED`."""
        super().__init__(context.actions, KeyScope.COMPARE)
        self.context, self.names = context, list(names)
        self._monitor = RunMonitor(context.watch.folder)
        self._field = ""
        """The drawn field of `CURVES`; empty before the first poll."""

    def compose(self) -> ComposeResult:
        yield HeaderBar(id="top")
        with Vertical(id="overlay", classes="pane"):
            yield Curve(id="curve")
        yield titled(StaticTable(id="compared", classes="pane", empty="reading …"), "results and settings")
        yield from self.compose_foot()

    def on_mount(self) -> None:
        if not self.is_whole:
            return
        self.query_one(HeaderBar).show("results", "runs", "compare")
        self.poll_every(_POLL_SECONDS)

    def on_resize(self) -> None:
        if self.snapshot is not None:
            self._list(self.snapshot)

    async def poll(self) -> list[RunDetail]:
        return await run_in_daemon_thread(partial(self._monitor.compare, self.names))

    async def show(self, snapshot: list[RunDetail]) -> None:
        changed = self.snapshot is None or snapshot != self.snapshot
        self.snapshot = snapshot
        if not changed:
            return
        drawn = self._drawn_fields(snapshot)
        if self._field not in drawn:
            self._field = "val_loss" if "val_loss" in drawn else drawn[0]
        self._list(snapshot)
        await self._draw(snapshot)
        self.update_keys()

    def disabled_reason(self, action: str, parameters: tuple[object, ...]) -> str:
        if action != "figure":
            return ""
        if self.snapshot is None:
            return "the runs are being read"
        return "" if len(self._drawn_fields(self.snapshot)) > 1 else "the runs have no other figure"

    def _drawn_fields(self, details: Sequence[RunDetail]) -> list[str]:
        """Return the fields of `CURVES` that a run has; never empty."""
        return [field for field in CURVES if any(detail.curve(field) for detail in details)] or ["loss"]

    def _list(self, details: Sequence[RunDetail]) -> None:
        rows = comparison_rows(details)
        self.table.fill(
            comparison_columns(details, self.size.width),
            [row.name for row in rows],
            lambda at: comparison_cells(rows[at]),
            empty="the runs are no longer there",
        )
        different = sum(row.differs for row in rows)
        right = f"{different} setting{'' if different == 1 else 's'} differ{'s' if different == 1 else ''}"
        self.query_one(HeaderBar).show("results", "runs", "compare", right=right)

    async def _draw(self, details: Sequence[RunDetail]) -> None:
        self.query_one("#overlay").border_title = CURVES[self._field]
        await self.query_one(Curve).show(overlay(details, self._field))

    async def action_figure(self, by: int) -> None:
        """Draw the next field that a run has."""
        if self.snapshot is not None:
            fields = self._drawn_fields(self.snapshot)
            self._field = fields[(fields.index(self._field) + by) % len(fields)]
            await self._draw(self.snapshot)

    def action_back(self) -> None:
        if self.is_active:
            self.dismiss(None)
