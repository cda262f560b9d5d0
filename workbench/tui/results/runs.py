"""Runs: every training of the workspace, live; the chosen one with its curve, its figures and its log.

It only reads files, in a thread, twice a second while it shows. What it starts are processes of their own.
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
    from workbench.jobs.training import TrainingOrder
    from workbench.tui.results.context import Page, ResultsContext

_POLL_SECONDS = 0.5
_EMPTY = "No training yet. t starts one; so does: negwb train EXPORT"


class RunsScreen(PollingScreen[RunSnapshot]):
    """The list above, the chosen run below."""

    CSS_PATH = STYLES
    AUTO_FOCUS = "#runs"

    sheet = getters.query_one("#runs", StaticTable)

    def __init__(self, lab: ResultsContext) -> None:
        super().__init__(lab.actions, KeyScope.RUNS)
        self.lab = lab

    def compose(self) -> ComposeResult:
        """Status, list, curve and figures, log, keys."""
        yield HeaderBar(id="top")
        yield StaticTable(id="runs", empty="looking …")
        with Horizontal(id="run"):
            yield Curve(id="curve")
            with VerticalScroll(id="run-facts", can_focus=False):
                yield Static(id="facts", markup=False)
        with Vertical(id="log-box"):
            yield Static(id="log", markup=False)
        yield KeyHints(self.actions, KeyScope.RUNS, id="keys")

    def on_mount(self) -> None:
        """Look at once, then again and again."""
        if not self.is_whole:
            return
        self.query_one(HeaderBar).tell("lab", "runs")
        self.look_every(_POLL_SECONDS)

    def on_resize(self) -> None:
        """Other columns fit."""
        if self.sight is not None:
            self._list(self.sight)

    # -- looking ------------------------------------------------------------------------------------------------

    async def see(self) -> RunSnapshot:
        """One look."""
        return await run_in_daemon_thread(partial(self.lab.watch.snapshot, self.lab.run))

    async def show(self, sight: RunSnapshot) -> None:
        """All of it."""
        changed = self.sight is None or sight != self.sight
        self.sight = sight
        self._list(sight)
        detail = sight.detail
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

    def _list(self, sight: RunSnapshot) -> None:
        rows = sight.rows
        columns = columns_for(self.size.width)
        self.sheet.fill(
            [COLUMNS[name] for name in columns],
            [row.name for row in rows],
            lambda at: cells_of(rows[at], columns, starting=self._starting(rows[at])),
            empty=_EMPTY,
        )
        running = sum(row.status is TrainingStatus.RUNNING for row in rows)
        more = f" · {sight.left_out:,} older not listed" if sight.left_out else ""
        self.query_one(HeaderBar).tell("lab", "runs", right=f"{running} running · {len(rows):,} in all{more}")

    def _starting(self, row: RunRow) -> bool:
        return training.is_starting(self.lab.watch.folder / row.name, row.status)

    @on(StaticTable.RowMoved)
    def _choose(self) -> None:
        self.lab.run = self.sheet.chosen
        self.look()

    # -- acting -------------------------------------------------------------------------------------------------

    def action_train(self) -> None:
        """Ask what to train."""
        self._ask()

    @work
    async def _ask(self) -> None:
        from workbench.tui.screens.modals.start import StartModal  # only when opened

        exports, models = await run_in_daemon_thread(self._choices)
        if not exports:
            self.tell("there is no frozen set yet", hint="make one with: negwb export", trouble=True)
        elif self.is_current:
            self.app.push_screen(StartModal(exports, models), self._start)

    def _choices(self) -> tuple[list[tuple[str, str]], list[str]]:
        """Sets with what is in them, newest last, and the models that have a name here."""
        from curation_db.exporting.manifest import ManifestError, list_exports, read_manifest
        from workbench.workspace.models import BASE, finished_runs

        workspace, exports = self.lab.workspace, []
        for name in list_exports(workspace.exports):
            with contextlib.suppress(ManifestError, OSError):
                exports.append((name, in_words(read_manifest(workspace.exports / name))))
        return exports, [BASE, *reversed([folder.name for folder in finished_runs(workspace)])]

    def _start(self, order: TrainingOrder | None) -> None:
        if order is not None:
            self._do(partial(training.start, self.lab.workspace, order), "started")

    def action_stop(self) -> None:
        """The state is saved first."""
        if name := self.sheet.chosen:
            self._do(partial(training.stop, self.lab.watch.folder / name), "asked to save its state and stop")

    def action_resume(self) -> None:
        """From where it stopped."""
        if name := self.sheet.chosen:
            self._do(partial(training.resume, self.lab.workspace, name), "goes on")

    @work
    async def _do(self, act: Callable[[], str | None], did: str) -> None:
        try:
            name = await run_in_daemon_thread(act)
        except (NegwbError, OSError) as error:
            self.tell(getattr(error, "message", str(error)), hint=getattr(error, "hint", ""), trouble=True)
            return
        self.lab.run = name or self.lab.run
        self.tell(f"{self.lab.run}: {did}")
        if name:
            await self._see_anew(name)

    async def _see_anew(self, name: str) -> None:
        """A run that was just made gets the cursor."""
        await self.show(await run_in_daemon_thread(partial(self.lab.watch.snapshot, name)))
        self.sheet.choose(name)

    def action_show(self, page: Page) -> None:
        """The other page."""
        if page != "runs":
            self.app.switch_screen(self.lab.screen(page))

    def action_leave(self) -> None:
        """Trainings go on."""
        self.lab.leave()


def in_words(manifest: Manifest) -> str:
    """What is in a frozen set: how many pairs, in which states they were."""
    states = manifest.selection.get("states")
    named = [str(state) for state in states] if isinstance(states, list | tuple) else []
    if set(named) >= set(State):
        return f"{manifest.counts.pairs:,} in whatever state"
    named = [readable(state) for state in named]
    return display_text(f"{manifest.counts.pairs:,} {', '.join(named) or 'pairs'}", limit=80)
