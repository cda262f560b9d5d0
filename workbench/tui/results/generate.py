"""Generate: every run of `negwb generate`, live; the chosen one with its pace, its yield, its stages and its failures.

It only reads the record, in a thread, once a second while it shows. What it starts are processes of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

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
from workbench.tui.widgets.header_bar import HeaderBar
from workbench.tui.widgets.key_hints import KeyHints
from workbench.tui.widgets.static_table import StaticTable
from workbench.workspace.keymap import KeyScope

if TYPE_CHECKING:
    from workbench.jobs.generation import GenerationOrder
    from workbench.tui.results.context import Page, ResultsContext

_POLL_SECONDS = 1.0


class GenerateScreen(PollingScreen[GenerationSnapshot]):
    """The list at the left, the chosen run at the right."""

    CSS_PATH = STYLES
    AUTO_FOCUS = "#generations"

    sheet = getters.query_one("#generations", StaticTable)

    def __init__(self, lab: ResultsContext) -> None:
        super().__init__(lab.actions, KeyScope.GENERATE)
        self.lab = lab
        self.watching = GenerationMonitor(lab.workspace)
        self._point_at = lab.generation
        """The run that gets the cursor as soon as it is listed."""

    def compose(self) -> ComposeResult:
        """Status, list, the run in full, keys."""
        yield HeaderBar(id="top")
        with Horizontal(id="generate"):
            yield StaticTable(id="generations", empty="looking …", gap=1)
            with VerticalScroll(id="generation", can_focus=False):
                yield Static(id="told", markup=False)
        yield KeyHints(self.actions, KeyScope.GENERATE, id="keys")

    def on_mount(self) -> None:
        """Look at once, then again and again."""
        if not self.is_whole:
            return
        self.query_one(HeaderBar).tell("lab", "generate")
        self.look_every(_POLL_SECONDS)

    def on_unmount(self) -> None:
        """Let go of the record."""
        self.watching.close()

    def on_resize(self) -> None:
        """Other columns fit, and other lines."""
        if self.sight is not None:
            self.call_after_refresh(self.show, self.sight)

    # -- looking ------------------------------------------------------------------------------------------------

    async def see(self) -> GenerationSnapshot:
        """One look."""
        return await run_in_daemon_thread(partial(self.watching.snapshot, self.lab.generation))

    async def show(self, sight: GenerationSnapshot) -> None:
        """All of it."""
        if not self.is_attached:
            return
        self.sight = sight
        self._list(sight)
        told = self._told(sight)
        shown = self.query_one("#told", Static)
        if shown.content != told:
            shown.update(told)
        run = sight.chosen.run if sight.chosen else None
        title = f"run {run.id} · {sight.chosen.pipeline}" if run and sight.chosen else "generate"
        self.query_one("#generation").border_title = plain(title, limit=40)

    def _told(self, sight: GenerationSnapshot) -> Content:
        if sight.problem:
            return plain(sight.problem)
        if sight.inputs is not None:
            return nothing_yet(sight.inputs)
        return detail(sight, max(30, self.query_one("#told").content_size.width))

    def _list(self, sight: GenerationSnapshot) -> None:
        entries = sight.entries
        columns = columns_for(self.size.width)
        self.sheet.fill(
            [COLUMNS[name] for name in columns],
            [entry.key for entry in entries],
            lambda at: cells_of(entries[at], columns),
            empty="no run",
        )
        if sight.chosen is not None and self._point_at is not None:
            self._point_at = None
            self.sheet.choose(sight.chosen.key)
        running = sum(entry.status is RunStatus.RUNNING for entry in entries)
        self.query_one(HeaderBar).tell("lab", "generate", right=f"{running} running · {len(entries):,} in all")

    @on(StaticTable.RowMoved)
    def _choose(self) -> None:
        self.lab.generation = self.sheet.chosen
        self.look()

    @property
    def entry(self) -> GenerationRow | None:
        """The row with the cursor."""
        entries = self.sight.entries if self.sight else ()
        return next((each for each in entries if each.key == self.sheet.chosen), None)

    # -- acting -------------------------------------------------------------------------------------------------

    @work
    async def action_generate(self) -> None:
        """Ask what to generate."""
        from workbench.tui.screens.modals.generate import GenerateModal  # only when opened

        try:
            supplies = await run_in_daemon_thread(self.watching.inputs)
        except RecordError as error:
            self.tell(error.message, hint=error.hint, trouble=True)
            return
        refused = _refusal(supplies)
        if refused is not None:
            self.tell(refused.message, hint=refused.hint, trouble=True)
        elif self.is_current:
            self.app.push_screen(GenerateModal(supplies), self._start)

    def _start(self, order: GenerationOrder | None) -> None:
        if order is not None:
            self._do(partial(generation.start, self.lab.workspace, order), "it starts")

    def action_stop(self) -> None:
        """What arrived is stored first."""
        entry = self.entry
        if entry is None:
            return
        if entry.run is None:
            self._do(partial(generation.stop_pending, entry.pid), "asked to end" if not entry.said else "forgotten")
        elif not entry.run.running:
            self.tell(f"run {entry.run.id} is not at work")
        else:
            self._do(partial(generation.stop, entry.run), f"run {entry.run.id}: asked to store what arrived and end")

    def action_go_on(self) -> None:
        """From where it ended, with the same settings."""
        entry = self.entry
        if entry is not None and entry.run is not None:
            self._do(
                partial(generation.resume, self.lab.workspace, entry.run), f"run {entry.run.id} goes on in a new one"
            )

    @work
    async def _do(self, act: Callable[[], int | None], did: str) -> None:
        try:
            pid = await run_in_daemon_thread(act)
        except (NegwbError, RecordError, OSError) as error:
            self.tell(getattr(error, "message", str(error)), hint=getattr(error, "hint", ""), trouble=True)
            return
        self.tell(did)
        if pid is not None:
            self.lab.generation = self._point_at = process_key(pid)
        self.look()

    def action_scroll_about(self, by: int) -> None:
        """What is said about the run may be longer than its box."""
        self.query_one("#generation").scroll_relative(y=by, animate=False)

    def action_show(self, page: Page) -> None:
        """The other page."""
        if page != "generate":
            self.app.switch_screen(self.lab.screen(page))

    def action_leave(self) -> None:
        """Generations go on."""
        self.lab.leave()


def _refusal(told: GenerationInputs) -> NegwbError | None:
    """Why nothing can be generated, and what to do."""
    if told.problem:
        return NegwbError(told.problem)
    if not any(told.items.values()):
        return NegwbError("there are no captions to generate from", hint="import some: negwb import --help")
    if not told.proposer:
        return NegwbError(
            "negwb.toml names no engine that proposes", hint="write [engines.NAME], and [generate] proposer"
        )
    return None
