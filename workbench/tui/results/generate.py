"""Generate: every run of `negwb generate`, live; the selected run with its speed, outcomes, stages and failures.

The screen only reads the record, in a thread, once a second while it is active. Runs are separate processes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import getters, on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from curation_db.errors import RecordError
from workbench.errors import NegwbError
from workbench.jobs import generation
from workbench.jobs.generation_monitor import (
    GenerationInputs,
    GenerationMonitor,
    GenerationRow,
    GenerationSnapshot,
    RunStatus,
    process_key,
)
from workbench.tui.rendering.card_content import plain
from workbench.tui.rendering.generation import COLUMNS, cells_of, columns_for, detail, nothing_yet
from workbench.tui.results.context import STYLES
from workbench.tui.screens.base.polling_screen import PollingScreen
from workbench.tui.threads import run_in_daemon_thread
from workbench.tui.widgets.lines.header_bar import HeaderBar
from workbench.tui.widgets.lines.key_hints import pane_keys
from workbench.tui.widgets.lists.static_table import StaticTable, titled
from workbench.workspace.keymap import KeyScope, Tab

if TYPE_CHECKING:
    from workbench.jobs.generation import GenerationOrder
    from workbench.tui.results.context import ResultsContext

_POLL_SECONDS = 1.0


class GenerateScreen(PollingScreen[GenerationSnapshot]):
    """List of runs at the left, the selected run at the right."""

    TAB = Tab.GENERATE
    CSS_PATH = STYLES
    AUTO_FOCUS = "#generations"
    PANES: ClassVar = {
        "#generations": [
            pane_keys("new", "generate"),
            pane_keys("stop", "generate-stop"),
            pane_keys("resume", "generate-go-on"),
        ],
        "#generation": [pane_keys("scroll", "generate-less", "generate-more")],
    }

    table = getters.query_one("#generations", StaticTable)

    def __init__(self, context: ResultsContext) -> None:
        super().__init__(context.actions, KeyScope.GENERATE)
        self.context = context
        self.monitor = GenerationMonitor(context.workspace)
        self._select_when_listed = context.generation
        """Key of the run that gets the cursor once it is listed."""

    def compose(self) -> ComposeResult:
        yield HeaderBar(id="top")
        with Horizontal(id="generate"):
            yield titled(StaticTable(id="generations", classes="pane", empty="reading …", gap=1), "generation runs")
            with VerticalScroll(id="generation", classes="pane", can_focus=False):
                yield Static(id="body", markup=False)
        yield from self.compose_foot()

    def on_mount(self) -> None:
        if not self.is_whole:
            return
        self.query_one(HeaderBar).show("results", "generate")
        self.poll_every(_POLL_SECONDS)

    def on_unmount(self) -> None:
        self.monitor.close()

    def on_resize(self) -> None:
        if self.snapshot is not None:
            self.call_after_refresh(self.show, self.snapshot)

    # -- looking ------------------------------------------------------------------------------------------------

    async def poll(self) -> GenerationSnapshot:
        return await run_in_daemon_thread(partial(self.monitor.snapshot, self.context.generation))

    async def show(self, snapshot: GenerationSnapshot) -> None:
        if not self.is_attached:
            return
        self.snapshot = snapshot
        self._list(snapshot)
        content = self._content(snapshot)
        shown = self.query_one("#body", Static)
        before = shown.content
        if not (isinstance(before, Content) and before.is_same(content)):
            shown.update(content)
        run = snapshot.chosen.run if snapshot.chosen else None
        title = f"run {run.id} · {snapshot.chosen.pipeline}" if run and snapshot.chosen else "generate"
        self.query_one("#generation").border_title = plain(title, limit=40)
        self.update_keys_later()

    def _content(self, snapshot: GenerationSnapshot) -> Content:
        if snapshot.problem:
            return plain(snapshot.problem)
        if snapshot.inputs is not None:
            return nothing_yet(snapshot.inputs)
        return detail(snapshot, max(30, self.query_one("#body").content_size.width))

    def _list(self, snapshot: GenerationSnapshot) -> None:
        entries = snapshot.entries
        columns = columns_for(self.size.width)
        self.table.fill(
            [COLUMNS[name] for name in columns],
            [entry.key for entry in entries],
            lambda at: cells_of(entries[at], columns),
            empty="no run",
        )
        if snapshot.chosen is not None and self._select_when_listed is not None:
            self._select_when_listed = None
            self.table.choose(snapshot.chosen.key)
        running = sum(entry.status is RunStatus.RUNNING for entry in entries)
        self.query_one(HeaderBar).show("results", "generate", right=f"{running} running · {len(entries):,} in all")

    @on(StaticTable.RowMoved)
    def _choose(self) -> None:
        self.context.generation = self.table.chosen
        self.request_poll()

    def disabled_reason(self, action: str, parameters: tuple[object, ...]) -> str:
        if action == "scroll_about":
            return self.scroll_reason("#generation", *parameters)  # type: ignore[arg-type]
        if action not in ("stop", "go_on"):
            return ""
        entry = self.entry
        if entry is None:
            return f"there is no generation run yet: {self.actions.cap_of('generate')} starts one"
        run = entry.run
        if run is None:  # a process that has not begun can only be stopped
            return "this run has not begun" if action == "go_on" else ""
        if run.running == (action == "go_on"):
            return f"run {run.id} is {'' if run.running else 'not '}running"
        return ""

    @property
    def entry(self) -> GenerationRow | None:
        entries = self.snapshot.entries if self.snapshot else ()
        return next((each for each in entries if each.key == self.table.chosen), None)

    # -- acting -------------------------------------------------------------------------------------------------

    @work
    async def action_generate(self) -> None:
        """Ask for a pipeline and a limit, and start a run."""
        from workbench.tui.screens.modals.generate import GenerateModal  # only when opened

        try:
            supplies = await run_in_daemon_thread(self.monitor.inputs)
        except RecordError as error:
            self.show_message(error.message, hint=error.hint, trouble=True)
            return
        refused = _refusal(supplies)
        if refused is not None:
            self.show_message(refused.message, hint=refused.hint, trouble=True)
        elif self.is_current:
            self.app.push_screen(GenerateModal(supplies), self._start)

    def _start(self, order: GenerationOrder | None) -> None:
        if order is not None:
            self._do(partial(generation.start, self.context.workspace, order), "starting")

    def action_stop(self) -> None:
        """Stop the run; it first stores what has arrived."""
        entry = self.entry
        if entry is None:
            return
        if entry.run is None:
            self._do(partial(generation.stop_pending, entry.pid), "asked to stop" if not entry.output else "removed")
        else:
            self._do(partial(generation.stop, entry.run), f"run {entry.run.id}: asked to store its answers and stop")

    def action_go_on(self) -> None:
        """Continue a run where it ended, with the same settings."""
        entry = self.entry
        if entry is not None and entry.run is not None:
            self._do(
                partial(generation.resume, self.context.workspace, entry.run),
                f"run {entry.run.id} continues as a new run",
            )

    @work
    async def _do(self, action: Callable[[], int | None], done: str) -> None:
        try:
            pid = await run_in_daemon_thread(action)
        except (NegwbError, RecordError, OSError) as error:
            self.show_message(getattr(error, "message", str(error)), hint=getattr(error, "hint", ""), trouble=True)
            return
        self.show_message(done)
        if pid is not None:
            self.context.generation = self._select_when_listed = process_key(pid)
        self.request_poll()

    def action_scroll_about(self, by: int) -> None:
        self.query_one("#generation").scroll_relative(y=by, animate=False)

    def action_leave(self) -> None:
        """Close the results pages; generation runs continue."""
        self.context.leave()


def _refusal(supplies: GenerationInputs) -> NegwbError | None:
    """Return why nothing can be generated, and what to do; None if generation is possible."""
    if supplies.problem:
        return NegwbError(supplies.problem)
    if not any(supplies.items.values()):
        return NegwbError("there are no captions to generate from", hint="import some: negwb import --help")
    if not supplies.proposer:
        return NegwbError("negwb.toml names no proposer", hint="write [engines.NAME], and [generate] proposer")
    return None
