"""Runs: every training run of the workspace, live; the selected run with its curve, figures and log.

The screen only reads files, in a thread, twice a second while it is active. Runs are separate processes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import getters, on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Static

from curation_db.enums import State
from curation_db.language.sanitize import display_text
from trainers.run_files import TrainingStatus
from workbench.annotation.wording import readable
from workbench.errors import NegwbError
from workbench.jobs.training import training
from workbench.jobs.training.run_comparison import differing
from workbench.jobs.training.run_monitor import RunRow, RunSnapshot
from workbench.tui.rendering.card_content import plain
from workbench.tui.rendering.runs import (
    COLUMNS,
    MOST_COMPARED,
    ListedRun,
    cells_of,
    columns_for,
    facts,
    listed_runs,
    log_lines,
    short,
)
from workbench.tui.results.context import STYLES
from workbench.tui.screens.base.polling_screen import PollingScreen
from workbench.tui.threads import run_in_daemon_thread
from workbench.tui.widgets.curve import Curve, Series
from workbench.tui.widgets.lines.header_bar import HeaderBar
from workbench.tui.widgets.lines.key_hints import pane_keys
from workbench.tui.widgets.lists.static_table import Column, StaticTable, titled
from workbench.workspace.keymap import KeyScope, Tab

if TYPE_CHECKING:
    from curation_db.exporting.manifest import Manifest
    from trainers.recipes.recipe import TrainRecipe
    from workbench.jobs.training.training import TrainingOrder
    from workbench.tui.results.context import ResultsContext

_POLL_SECONDS = 0.5
_NO_GROUP = "none"
_LOG_LINES = 200
_EMPTY = "No training run yet. n starts one; so does: negwb train EXPORT"


_OF_A_RUN = frozenset({"stop", "resume", "mark", "compare", "group", "open", "origin", "log", "scroll_about"})
"""Actions that need a run."""


class RunsScreen(PollingScreen[RunSnapshot]):
    """List of runs above, the selected run below."""

    TAB = Tab.RUNS
    CSS_PATH = STYLES
    AUTO_FOCUS = "#runs"
    PANES: ClassVar = {
        "#runs": [
            pane_keys("mark", "mark"),
            pane_keys("compare", "compare"),
            pane_keys("group", "group"),
            pane_keys("data", "open", "origin"),
        ],
        "#run": [pane_keys("scroll", "less", "more")],
        "#log-box": [pane_keys("larger or smaller", "log")],
    }

    table = getters.query_one("#runs", StaticTable)

    def __init__(self, context: ResultsContext) -> None:
        super().__init__(context.actions, KeyScope.RUNS)
        self.context = context
        self._log_is_large = False

    def compose(self) -> ComposeResult:
        yield HeaderBar(id="top")
        yield titled(StaticTable(id="runs", classes="pane", empty="reading …"), "training runs")
        with Horizontal(id="run", classes="pane"):
            yield Curve(id="curve")
            with VerticalScroll(id="run-facts", can_focus=False):
                yield Static(id="facts", markup=False)
        with Vertical(id="log-box", classes="pane") as log:
            log.border_title = "log"
            yield Static(id="log", markup=False)
        yield from self.compose_foot()

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
        return await run_in_daemon_thread(partial(self.context.watch.snapshot, self.context.run, log_lines=_LOG_LINES))

    async def show(self, snapshot: RunSnapshot) -> None:
        changed = self.snapshot is None or snapshot != self.snapshot
        self.snapshot = snapshot
        self._list(snapshot)
        detail = snapshot.detail
        self.query_one("#run").display = detail is not None and not self._log_is_large
        self.query_one("#log-box").display = detail is not None
        if detail is None or not changed:
            return
        training_loss = Series("training loss", detail.train, "primary")
        await self.query_one(Curve).show([training_loss, Series("validation loss", detail.val, "accent", False, "◆")])
        self.query_one("#facts", Static).update(facts(detail, snapshot.load))
        self._show_log()
        self.query_one("#run").border_title = plain(detail.row.name, limit=60)

    def _show_log(self) -> None:
        if self.snapshot is not None and self.snapshot.detail is not None:
            rows = max(1, self.query_one("#log-box").content_size.height)
            self.query_one("#log", Static).update(log_lines(self.snapshot.detail, rows))

    def _list(self, snapshot: RunSnapshot) -> None:
        rows, group = snapshot.rows, self.context.group
        listed, columns = listed_runs(rows, group), columns_for(self.size.width, grouped=group is not None)
        titles = COLUMNS | {"group": Column(group or "", COLUMNS["group"].width)}
        self.table.fill(
            [titles[name] for name in columns],
            [each.row.name for each in listed],
            lambda at: cells_of(self._with_signs(listed[at]), columns),
            empty=_EMPTY,
        )
        self.update_keys_later()
        running = sum(row.status is TrainingStatus.RUNNING for row in rows)
        more = f" · {snapshot.left_out:,} older not listed" if snapshot.left_out else ""
        self.query_one(HeaderBar).show("results", "runs", right=f"{running} running · {len(rows):,} in all{more}")

    def _with_signs(self, listed: ListedRun) -> ListedRun:
        row = listed.row
        return replace(listed, marked=row.name in self.context.marked, starting=self._starting(row))

    def _starting(self, row: RunRow) -> bool:
        return training.is_starting(self.context.watch.folder / row.name, row.status)

    @on(StaticTable.RowMoved)
    def _choose(self) -> None:
        self.context.run = self.table.chosen
        self.request_poll()

    def disabled_reason(self, action: str, parameters: tuple[object, ...]) -> str:
        row = self._row
        if row is None:
            starts = f"there is no training run yet: {self.actions.cap_of('train')} starts one"
            return starts if action in _OF_A_RUN else ""
        reason = self._process_reason(action, row)
        if action == "scroll_about":
            reason = self.scroll_reason("#run-facts", *parameters)  # type: ignore[arg-type]
        elif action == "compare" and len(self._compared()) < 2:
            reason = f"a comparison needs two runs: mark one with {self.actions.cap_of('mark')}, and choose another"
        elif action == "group" and not self._differing():
            reason = "there is nothing to group by: no setting differs between the runs"
        return reason

    def _process_reason(self, action: str, row: RunRow) -> str:
        """Return why the run cannot be stopped or resumed; "" for other actions."""
        is_running = row.status is TrainingStatus.RUNNING or self._starting(row)
        name = display_text(row.name, limit=40)
        if action == "stop" and not is_running:
            return f"{name} is not running"
        if action == "resume" and (is_running or row.status is TrainingStatus.DONE):
            return f"{name} is {'running' if is_running else 'finished'}"
        return ""

    @property
    def _row(self) -> RunRow | None:
        """The run under the cursor."""
        rows = self.snapshot.rows if self.snapshot else ()
        return next((row for row in rows if row.name == self.table.chosen), None)

    # -- comparing and grouping ---------------------------------------------------------------------------------

    def action_mark(self) -> None:
        """Mark the run, or remove its mark."""
        if (name := self.table.chosen) is None:
            return
        marked = self.context.marked
        if name in marked:
            marked.remove(name)
        else:
            marked.append(name)
        self.table.refresh()
        self.update_keys()

    def action_compare(self) -> None:
        """Compare the marked runs that are listed, and the chosen one."""
        from workbench.tui.results.compare import CompareScreen  # only when opened

        names = self._compared()
        if len(names) > MOST_COMPARED:
            self.show_message(f"{len(names)} runs are marked", hint=f"compare at most {MOST_COMPARED}", trouble=True)
        else:
            self.app.push_screen(CompareScreen(self.context, names))

    def _compared(self) -> list[str]:
        """Return the names of the marked runs that are listed, and of the chosen one."""
        listed = {row.name for row in self.snapshot.rows} if self.snapshot else set()
        return [str(name) for name in dict.fromkeys((*self.context.marked, self.table.chosen)) if name in listed]

    def _differing(self) -> list[str]:
        return differing([row.settings for row in self.snapshot.rows if row.settings]) if self.snapshot else []

    def action_group(self) -> None:
        """Choose the setting by which the runs are grouped, from those that differ."""
        from workbench.tui.screens.modals.choose import ChooseModal  # only when opened
        from workbench.workspace.settings.catalog import Choice

        settings = [row.settings for row in self.snapshot.rows if row.settings] if self.snapshot else []
        names = differing(settings)
        if not names:
            self.show_message("there is nothing to group by", hint="no setting differs between the runs")
            return
        choices = [Choice(_NO_GROUP, "newest first")]
        choices += [Choice(name, _values_of(name, settings)) for name in names]
        self.app.push_screen(
            ChooseModal(
                "group by", choices, self.context.group or _NO_GROUP, foot="↑ ↓ choose · enter group · esc cancel"
            ),
            self._group_by,
        )

    def _group_by(self, name: str | None) -> None:
        if name is not None:
            self.context.group = None if name == _NO_GROUP else name
            if self.snapshot is not None:
                self._list(self.snapshot)

    @on(StaticTable.RowOpened)
    def action_open(self) -> None:
        self.action_origin()

    def action_origin(self) -> None:
        """Open the training data of the selected run."""
        from workbench.tui.results.origin import OriginScreen  # only when opened: it reads the record

        if self.table.chosen is not None:
            self.app.push_screen(OriginScreen(self.context, self.context.watch.folder / self.table.chosen))

    def action_log(self) -> None:
        """Show the log in place of the curve, or the curve again."""
        if self.table.chosen is None:
            return
        self._log_is_large = not self._log_is_large
        self.set_class(self._log_is_large, "-log")
        self.query_one("#run").display = not self._log_is_large and self.snapshot is not None
        self.call_after_refresh(self._show_log)

    def action_scroll_about(self, by: int) -> None:
        self.query_one("#run-facts").scroll_relative(y=by, animate=False)

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

    def action_leave(self) -> None:
        """Close the results pages; training runs continue."""
        self.context.leave()


def _values_of(name: str, settings: Sequence[Mapping[str, str]]) -> str:
    """Return the different values of a setting on one line."""
    values = sorted({short(each[name]) for each in settings if name in each})
    return display_text(", ".join(values), limit=50)


def describe_export(manifest: Manifest) -> str:
    """Return the number of pairs of an export and the states that it selects."""
    states = manifest.selection.get("states")
    named = [str(state) for state in states] if isinstance(states, list | tuple) else []
    if set(named) >= set(State):
        return f"{manifest.counts.pairs:,} in any state"
    named = [readable(state) for state in named]
    return display_text(f"{manifest.counts.pairs:,} {', '.join(named) or 'pairs'}", limit=80)
