"""Progress: how fast, how far, how balanced, how much at one. Pages of lines, counted in a thread.

While it shows it looks every few seconds whether something was decided, and only then counts anew; and never so often
that counting takes more than a small part of the time, however large the record is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

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
from workbench.tui.rendering.progress import ProgressPage, page_lines
from workbench.tui.screens.base.navigation import MainView, NavigationContext
from workbench.tui.screens.base.side_screen import SideScreen
from workbench.tui.threads import run_in_daemon_thread
from workbench.tui.widgets.header_bar import HeaderBar
from workbench.tui.widgets.key_hints import KeyHints

if TYPE_CHECKING:
    from curation_db.stats.targets import Targets
    from curation_db.storage.store import Store

LOOK_SECONDS = 3.0
"""Between two looks whether something came in."""
_REST = 20.0
"""So many times as long as counting took, it rests at least."""
_PAGES = tuple(ProgressPage)


@dataclass
class Remembered:
    """What the room knows when it is entered again."""

    page: ProgressPage = ProgressPage.PACE
    told: RecordProgress | None = None
    mark: tuple[int, int] = (-1, -1)
    """`newest` when it was counted."""


@dataclass(frozen=True, slots=True)
class _Counted:
    told: RecordProgress
    mark: tuple[int, int]
    seconds: float


class Tabs(Widget):
    """The pages by name; a click goes to one."""

    DEFAULT_CSS = "Tabs { height: 1; padding: 0 1; }"
    page = ProgressPage.PACE

    def render(self) -> Content:
        """The one that shows stands between marks."""
        parts = [
            (f"▸{page}◂", "bold $text-accent") if page is self.page else (f" {page} ", "$foreground 60%")
            for page in _PAGES
        ]
        return Content(" ").join(Content.assemble(part) for part in parts)

    def on_click(self, event: events.Click) -> None:
        """Which page is there."""
        at = event.x - self.styles.padding.left
        for page in _PAGES:
            if 0 <= at < len(page) + 2:
                self.call_later(self.screen.run_action, f"show_page('{page}')")
                return
            at -= len(page) + 3


class ProgressScreen(SideScreen):
    """One page at a time; it scrolls."""

    ROOM = MainView.PROGRESS
    CSS_PATH = "progress.tcss"
    AUTO_FOCUS = None

    def __init__(self, rooms: NavigationContext) -> None:
        super().__init__(rooms)
        self.remembered: Remembered = rooms.memory.setdefault(MainView.PROGRESS, Remembered())
        self._targets: Targets = {trait: resolve_target(trait, told) for trait, told in rooms.settings.targets.items()}
        self._reading = False
        self._count_again = False
        """Whether the person asked for a count while another one was running."""
        self._rest_until = 0.0
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """Where one is, the pages, one of them, the keys."""
        yield HeaderBar(id="top")
        yield Tabs(id="tabs")
        with VerticalScroll(id="page", can_focus=False):
            yield Static(id="lines", markup=False)
        yield KeyHints(self.actions, self.place, id="keys")

    def on_mount(self) -> None:
        """What was counted last, then what there is now."""
        if not self.is_whole:
            return
        self._paint()
        self._timer = self.set_interval(LOOK_SECONDS, self._look)
        self._read()

    def on_resize(self) -> None:
        """Other lines fit."""
        self.call_after_refresh(self._paint)

    def on_screen_suspend(self) -> None:
        """Nobody looks."""
        if self._timer is not None:
            self._timer.pause()

    def on_screen_resume(self) -> None:
        """Somebody does."""
        if self._timer is not None:
            self._timer.resume()

    # -- counting -----------------------------------------------------------------------------------------------

    def _look(self) -> None:
        if not self._reading and time.monotonic() >= self._rest_until:
            self._read(unless=self.remembered.mark)

    @work
    async def _read(self, unless: tuple[int, int] | None = None) -> None:
        """Count in a thread; not at all where nothing came in since the mark `unless`."""
        if self._reading:
            self._count_again = self._count_again or unless is None
            return
        self._reading = True
        try:
            counted = await run_in_daemon_thread(partial(_count, self.rooms.session.store, self._targets, unless))
        except RecordError as error:
            self.tell(error.message, hint=error.hint, trouble=True)
            if self.is_mounted:
                self._paint()
            return
        finally:
            self._reading = False
        if counted is not None:
            self._rest_until = time.monotonic() + _REST * counted.seconds
            self.remembered.told, self.remembered.mark = counted.told, counted.mark
            if self.is_mounted:
                self._paint()
        if self._count_again:
            self._count_again = False
            self._read()

    def _paint(self) -> None:
        told, page = self.remembered.told, self.remembered.page
        tabs = self.query_one(Tabs)
        tabs.page = page
        tabs.refresh()
        self.query_one(HeaderBar).tell("progress", page, right="counting …" if told is None else "as of now")
        width = self.query_one("#page").scrollable_content_region.width
        if told is not None and width > 0:
            self.query_one("#lines", Static).update(Content("\n").join(page_lines(page, told, width)))

    # -- acting -------------------------------------------------------------------------------------------------

    def action_turn_page(self, by: int) -> None:
        """The next page, or the one before."""
        self.action_show_page(_PAGES[(_PAGES.index(self.remembered.page) + by) % len(_PAGES)])

    def action_show_page(self, name: str) -> None:
        """This page, from its top."""
        self.remembered.page = ProgressPage(name)
        self._paint()
        self.query_one("#page").scroll_home(animate=False)

    def action_count_anew(self) -> None:
        """Now, and not in a few seconds."""
        self.query_one(HeaderBar).tell("progress", self.remembered.page, right="counting …")
        self._read()

    def action_scroll_room(self, by: int) -> None:
        """Line by line."""
        self.query_one("#page").scroll_relative(y=by, animate=False)


def _count(store: Store, targets: Targets, unless: tuple[int, int] | None) -> _Counted | None:
    began, mark = time.monotonic(), newest(store)
    if mark == unless:
        return None
    return _Counted(read_progress(store, targets), mark, time.monotonic() - began)
