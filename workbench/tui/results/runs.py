"""Runs: every training run of the workspace, live; the selected run with its curve, figures and log.

The screen only reads files, in a thread, twice a second while it is active. Runs are separate processes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from textual import getters, on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Static

from curation_db.enums import State
from curation_db.language.sanitize import display_text
from trainers.run_files import TrainingStatus
from workbench.annotation.wording import readable
from workbench.errors import NegwbError
from workbench.jobs import training
from workbench.jobs.run_monitor import RunRow, RunSnapshot
from workbench.tui.rendering.card_content import plain
from workbench.tui.rendering.runs import COLUMNS, cells_of, columns_for, facts, log_lines
from workbench.tui.results.context import STYLES
from workbench.tui.screens.base.polling_screen import PollingScreen
from workbench.tui.threads import run_in_daemon_thread
from workbench.tui.widgets.curve import Curve
from workbench.tui.widgets.header_bar import HeaderBar
from workbench.tui.widgets.key_hints import KeyHints
from workbench.tui.widgets.static_table import StaticTable
from workbench.workspace.keymap import KeyScope

if TYPE_CHECKING:
    from curation_db.exporting.manifest import Manifest
    from trainers.recipes.recipe import TrainRecipe
    from workbench.jobs.training import TrainingOrder
    from workbench.tui.results.context import Page, ResultsContext

_POLL_SECONDS = 0.5
_EMPTY = "No training run yet. n starts one; so does: negwb train EXPORT"


class RunsScreen(PollingScreen[RunSnapshot]):
    """List of runs above, the selected run below."""

    CSS_PATH = STYLES
    AUTO_FOCUS = "#runs"

    table = getters.query_one("#runs", StaticTable)

    def __init__(self, context: ResultsContext) -> None:
        super().__init__(context.actions, KeyScope.RUNS)
        self.context = context

    def compose(self) -> ComposeResult:
        yield HeaderBar(id="top")
        yield StaticTable(id="runs", empty="reading …")
        with Horizontal(id="run"):
            yield Curve(id="curve")
            with VerticalScroll(id="run-facts", can_focus=False):
                yield Static(id="facts", markup=False)
        with Vertical(id="log-box"):
            yield Static(id="log", markup=False)
        yield KeyHints(self.actions, KeyScope.RUNS, id="keys")

    def on_mount(self) -> None:
        if not self.is_whole:
            return
        self.query_one(HeaderBar).show("results", "runs")
        self.poll_every(_POLL_SECONDS)

    def on_resize(self) -> None:
        if self.snapshot is not None:
            self._list(self.snapshot)

    # -- looking ------------------------------------------------------------------------------------------------

    async def poll(self) -> RunSnapshot:
        for refusal in await run_in_daemon_thread(training.discard_refused):
            self.show_message(f"{refusal.run}: {refusal.message}", hint=refusal.hint, trouble=True)
        return await run_in_daemon_thread(partial(self.context.watch.snapshot, self.context.run))

    async def show(self, snapshot: RunSnapshot) -> None:
        changed = self.snapshot is None or snapshot != self.snapshot
        self.snapshot = snapshot
        self._list(snapshot)
        detail = snapshot.detail
        shown = [self.query_one(f"#{name}") for name in ("run", "log-box")]
        for widget in shown:
            widget.display = detail is not None
        if detail is None or not changed:
            return
        await self.query_one(Curve).show(detail.train, detail.val)
        self.query_one("#facts", Static).update(facts(detail))
        rows = max(1, self.query_one("#log-box").content_size.height)
        self.query_one("#log", Static).update(log_lines(detail, rows))
        self.query_one("#run").border_title = plain(detail.row.name, limit=60)

    def _list(self, snapshot: RunSnapshot) -> None:
        rows = snapshot.rows
        columns = columns_for(self.size.width)
        self.table.fill(
            [COLUMNS[name] for name in columns],
            [row.name for row in rows],
            lambda at: cells_of(rows[at], columns, starting=self._starting(rows[at])),
            empty=_EMPTY,
        )
        running = sum(row.status is TrainingStatus.RUNNING for row in rows)
        more = f" · {snapshot.left_out:,} older not listed" if snapshot.left_out else ""
        self.query_one(HeaderBar).show("results", "runs", right=f"{running} running · {len(rows):,} in all{more}")

    def _starting(self, row: RunRow) -> bool:
        return training.is_starting(self.context.watch.folder / row.name, row.status)

    @on(StaticTable.RowMoved)
    def _choose(self) -> None:
        self.context.run = self.table.chosen
        self.request_poll()

    # -- acting -------------------------------------------------------------------------------------------------

    @work
    async def action_train(self) -> None:
        """Ask for export, model and recipe, and start a training run."""
        from workbench.tui.screens.modals.start import StartModal  # only when opened

        exports, models, recipes = await run_in_daemon_thread(self._choices)
        if not exports:
            self.show_message("there is no export yet", hint="create one with: negwb export", trouble=True)
        elif self.is_current:
            self.app.push_screen(StartModal(self.context.workspace, exports, models, recipes), self._start)

    def _choices(self) -> tuple[list[tuple[str, str]], list[str], list[TrainRecipe]]:
        """Return exports with their content, newest last, the named models of this workspace, and the recipes."""
        from curation_db.exporting.manifest import ManifestError, list_exports, read_manifest
        from trainers.recipes.recipe import list_recipes
        from workbench.workspace.models import BASE, finished_runs

        workspace, exports = self.context.workspace, []
        for name in list_exports(workspace.exports):
            with contextlib.suppress(ManifestError, OSError):
                exports.append((name, describe_export(read_manifest(workspace.exports / name))))
        models = [BASE, *reversed([folder.name for folder in finished_runs(workspace)])]
        return exports, models, list_recipes()

    def _start(self, order: TrainingOrder | None) -> None:
        if order is not None:
            self._do(partial(training.start, self.context.workspace, order), "started")

    def action_stop(self) -> None:
        """Stop the run; it saves its state first."""
        if name := self.table.chosen:
            self._do(partial(training.stop, self.context.watch.folder / name), "asked to save its state and stop")

    def action_resume(self) -> None:
        """Continue the run from its last checkpoint."""
        if name := self.table.chosen:
            self._do(partial(training.resume, self.context.workspace, name), "continues")

    @work
    async def _do(self, action: Callable[[], str | None], done: str) -> None:
        try:
            name = await run_in_daemon_thread(action)
        except (NegwbError, OSError) as error:
            self.show_message(getattr(error, "message", str(error)), hint=getattr(error, "hint", ""), trouble=True)
            return
        self.context.run = name or self.context.run
        self.show_message(f"{self.context.run}: {done}")
        if name:
            await self._select_new(name)

    async def _select_new(self, name: str) -> None:
        """Show a run that was just created, with the cursor on it."""
        await self.show(await run_in_daemon_thread(partial(self.context.watch.snapshot, name)))
        self.table.choose(name)

    def action_show(self, page: Page) -> None:
        if page != "runs":
            self.app.switch_screen(self.context.screen(page))

    def action_leave(self) -> None:
        """Close the results pages; training runs continue."""
        self.context.leave()


def describe_export(manifest: Manifest) -> str:
    """Return the number of pairs of an export and the states that it selects."""
    states = manifest.selection.get("states")
    named = [str(state) for state in states] if isinstance(states, list | tuple) else []
    if set(named) >= set(State):
        return f"{manifest.counts.pairs:,} in any state"
    named = [readable(state) for state in named]
    return display_text(f"{manifest.counts.pairs:,} {', '.join(named) or 'pairs'}", limit=80)
