"""Progress: speed, remaining work, balance, agreement, judges, calibration, as pages of text computed in a thread.

While the screen is active it checks every few seconds for new events, and recomputes only then. After a computation it
waits a multiple of the time that it took, so that a large record is not read all the time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events, work
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static

from curation_db.errors import RecordError
from curation_db.stats.progress import RecordProgress, newest, read_progress
from curation_db.stats.targets import resolve_target
from curation_db.trust.judge_calibration import judge_reports
from workbench.tui.rendering.progress import ProgressPage, page_lines
from workbench.tui.screens.base.navigation import MainView, NavigationContext
from workbench.tui.screens.base.side_screen import SideScreen
from workbench.tui.threads import run_in_daemon_thread
from workbench.tui.widgets.lines.header_bar import HeaderBar
from workbench.tui.widgets.lines.key_hints import pane_keys
from workbench.workspace.keymap import Tab

if TYPE_CHECKING:
    from curation_db.stats.targets import Targets
    from curation_db.storage.store import Store
    from curation_db.trust.evidence import JudgeIdentity
    from curation_db.trust.judge_calibration import JudgeReport

POLL_SECONDS = 3.0
"""Interval of the check for new events."""
_PAUSE_FACTOR = 20.0
"""Minimum pause after a computation, as a multiple of its duration."""
_PAGES = tuple(ProgressPage)


@dataclass
class ProgressMemory:
    """State of Progress that outlives the screen."""

    page: ProgressPage = ProgressPage.PACE
    progress: RecordProgress | None = None
    judges: Sequence[JudgeReport] = ()
    """Calibration of the judges at the last computation."""
    judge: JudgeIdentity | None = None
    """The judge that the calibration page shows; None: the first one."""
    mark: tuple[int, int] = (-1, -1)
    """Value of `newest` at the last computation."""

    @property
    def selected(self) -> int:
        """Index of the judge that the calibration page shows."""
        return next((at for at, report in enumerate(self.judges) if report.judge == self.judge), 0)


@dataclass(frozen=True, slots=True)
class _Counted:
    progress: RecordProgress
    judges: Sequence[JudgeReport]
    mark: tuple[int, int]
    seconds: float


class Tabs(Widget):
    """Names of the pages; a click opens one. The only place that names the current one."""

    DEFAULT_CSS = "Tabs { height: 1; padding: 0 1; }"
    page = ProgressPage.PACE

    def render(self) -> Content:
        """Render the names, with marks around the current one."""
        parts = [
            (f"▸{page}◂", "bold $text-accent") if page is self.page else (f" {page} ", "$foreground 70%")
            for page in _PAGES
        ]
        return Content(" ").join(Content.assemble(part) for part in parts)

    def on_click(self, event: events.Click) -> None:
        at = event.x - self.styles.padding.left
        for page in _PAGES:
            if 0 <= at < len(page) + 2:
                self.call_later(self.screen.run_action, f"show_page('{page}')")
                return
            at -= len(page) + 3


class ProgressScreen(SideScreen):
    """One page at a time, as scrolling text."""

    VIEW = MainView.PROGRESS
    TAB = Tab.PROGRESS
    CSS_PATH = "progress.tcss"
    AUTO_FOCUS = None
    PANES: ClassVar = {
        "#page": [
            pane_keys("page", "previous-page", "next-page"),
            pane_keys("judge", "previous-judge", "next-judge"),
            pane_keys("scroll", "text-up", "text-down"),
            pane_keys("refresh", "count-anew"),
        ]
    }

    def __init__(self, navigation: NavigationContext) -> None:
        super().__init__(navigation)
        self.memory: ProgressMemory = navigation.memory.setdefault(MainView.PROGRESS, ProgressMemory())
        self._targets: Targets = {
            trait: resolve_target(trait, share) for trait, share in navigation.settings.targets.items()
        }
        self._reading = False
        self._refreshing = False
        """Whether the user has asked for a computation that has not ended."""
        self._count_again = False
        """Whether the user asked for a computation while another one was running."""
        self._pause_until = 0.0
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        yield HeaderBar(id="top")
        yield Tabs(id="tabs")
        with VerticalScroll(id="page", classes="pane", can_focus=False):
            yield Static(id="lines", markup=False)
        yield from self.compose_foot()

    def on_mount(self) -> None:
        """Show the last figures, then compute new ones."""
        if not self.is_whole:
            return
        self._paint()
        self._timer = self.set_interval(POLL_SECONDS, self._poll)
        self._read()

    def on_resize(self) -> None:
        self.call_after_refresh(self._paint)

    def on_screen_suspend(self) -> None:
        if self._timer is not None:
            self._timer.pause()

    def on_screen_resume(self) -> None:
        if self._timer is not None:
            self._timer.resume()

    # -- counting -----------------------------------------------------------------------------------------------

    def _poll(self) -> None:
        if not self._reading and time.monotonic() >= self._pause_until:
            self._read(unless=self.memory.mark)

    @work
    async def _read(self, unless: tuple[int, int] | None = None) -> None:
        """Compute in a thread; not if nothing happened since the mark `unless`."""
        if self._reading:
            self._count_again = self._count_again or unless is None
            return
        self._reading = True
        try:
            counted = await run_in_daemon_thread(partial(_count, self.navigation.session.store, self._targets, unless))
        except RecordError as error:
            self.show_message(error.message, hint=error.hint, trouble=True)
            if self.is_whole:
                self._paint()
            return
        finally:
            self._reading = False
        if counted is not None:
            self._pause_until = time.monotonic() + _PAUSE_FACTOR * counted.seconds
            self.memory.progress, self.memory.mark = counted.progress, counted.mark
            self.memory.judges = counted.judges
            if self.is_whole:
                self._paint()
                if unless is None and not self._count_again and self._refreshing:
                    self._refreshing = False
                    self.show_message("refreshed")
        if self._count_again:
            self._count_again = False
            self._read()

    def _paint(self) -> None:
        progress, page = self.memory.progress, self.memory.page
        tabs = self.query_one(Tabs)
        tabs.page = page
        tabs.refresh()
        self.query_one(HeaderBar).show("progress", right="counting …" if progress is None else "as of now")
        width, height = self.query_one("#page").scrollable_content_region.size
        if progress is not None and width > 0:
            memory = self.memory
            shown = page_lines(page, progress, width, judges=memory.judges, selected=memory.selected, height=height)
            self.query_one("#lines", Static).update(Content("\n").join(shown))
        self.update_keys_later()

    def disabled_reason(self, action: str, parameters: tuple[object, ...]) -> str:
        if action == "turn_judge":
            if self.memory.page is not ProgressPage.CALIBRATION:
                return "the page calibration shows judges"
            return "" if len(self.memory.judges) > 1 else "there is no other judge with audit labels"
        return self.scroll_reason("#page", *parameters) if action == "scroll_text" else ""  # type: ignore[arg-type]

    # -- acting -------------------------------------------------------------------------------------------------

    def action_turn_page(self, by: int) -> None:
        """Show the next page, or the previous one."""
        self.action_show_page(_PAGES[(_PAGES.index(self.memory.page) + by) % len(_PAGES)])

    def action_show_page(self, name: str) -> None:
        """Show this page from its top."""
        self.memory.page = ProgressPage(name)
        self._paint()
        self.query_one("#page").scroll_home(animate=False)

    def action_turn_judge(self, by: int) -> None:
        """Show the calibration of the next judge, or of the previous one."""
        judges = self.memory.judges
        self.memory.judge = judges[(self.memory.selected + by) % len(judges)].judge
        self._paint()

    def action_count_anew(self) -> None:
        """Compute now instead of at the next poll."""
        self._refreshing = True
        self.query_one(HeaderBar).show("progress", right="counting …")
        self._read()

    def action_scroll_text(self, by: int) -> None:
        self.query_one("#page").scroll_relative(y=by, animate=False)


def _count(store: Store, targets: Targets, unless: tuple[int, int] | None) -> _Counted | None:
    started, mark = time.monotonic(), newest(store)
    if mark == unless:
        return None
    progress = read_progress(store, targets)
    with store.read() as connection:
        judges = judge_reports(connection)
    return _Counted(progress, judges, mark, time.monotonic() - started)
