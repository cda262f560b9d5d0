"""Curate as an app: the desk's news, palette and help, and the way to the lab. The work is in the screens.

It owns no record and closes none: whoever made the desk closes it after `run` returned.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import SystemCommand
from textual.message import Message
from textual.screen import Screen

from curation_db.language.sanitize import display_text
from workbench.annotation.key_guard import ScreenPlace
from workbench.errors import ExitCode
from workbench.tui.base_app import BaseApp
from workbench.tui.screens.base.action_screen import ActionScreen
from workbench.tui.screens.base.decision_screen import DecisionScreen
from workbench.tui.screens.base.side_screen import SideScreen
from workbench.tui.screens.curate import CurateScreen
from workbench.tui.terminal_parser import PositionReport
from workbench.tui.themes import DARK
from workbench.workspace.keymap import ActionMap, KeyScope

if TYPE_CHECKING:
    from workbench.annotation.session import AnnotationSession
    from workbench.tui.screens.base.navigation import MainView, NavigationContext
    from workbench.workspace.layout import Workspace


_ALWAYS = frozenset({"quit", "help_quit"})
"""Bound by Textual to ctrl+q and ctrl+c."""


_NOTICE_SECONDS = 10
_BEHIND_SECONDS = 0.3
"""When a terminal takes longer than this to say that it has drawn a card, the person is told."""


class PrefetchChanged(Message):
    """Something changed in the deck."""


class NegwbApp(BaseApp):
    """A person's sitting at a desk."""

    # The first screen's own sheet is not loaded by Textual, so it is named here.
    CSS_PATH: ClassVar = ["app.tcss", "screens/curate.tcss"]

    def __init__(
        self,
        session: AnnotationSession,
        *,
        actions: ActionMap | None = None,
        theme: str = DARK.name,
        protocol: str = "halfcell",
        banner: str | None = None,
        notice: str = "",
        viewer: str = "",
        workspace: Workspace | None = None,
        start: MainView | None = None,
        view: str = "",
    ) -> None:
        """The app at this desk.

        Args:
            desk: Whose sitting it is.
            actions: The keys.
            theme: The name of a theme.
            protocol: How pictures are drawn.
            banner: A line below the status line.
            notice: Told once, at the beginning.
            viewer: The program that shows pictures outside the terminal.
            workspace: Whose rooms, runs and results are shown; without one there are none.
            start: The room to begin in, instead of at the cards: none is dealt before somebody goes there.
            view: What the browse room lists first.
        """
        super().__init__(theme=theme)
        self.session = session
        self.actions = actions or ActionMap()
        self._protocol = protocol
        self._banner = banner
        self._viewer = viewer
        self._notice = notice
        self._workspace = workspace
        self._navigation: NavigationContext | None = None
        self._saved_theme = theme
        """As negwb.toml has it."""
        self._start, self._view = start, view

    def get_default_screen(self) -> Screen[None]:
        """Curate."""
        return CurateScreen(
            self.session, self.actions, protocol=self._protocol, banner=self._banner, viewer=self._viewer
        )

    def on_mount(self) -> None:
        """Listen to the deck."""
        self.session.on_change = self._pass_on_news
        if self.session.settings.guard_seconds > 0 and self._is_at_terminal:
            self._ask_position(self.session.card_visibility.request(time.monotonic()))
        if self._notice:
            self.notify(self._notice, timeout=_NOTICE_SECONDS, markup=False)
        if self._start is not None and self._workspace is not None:
            self.open_first(self._navigation_for(self._workspace).screen(self._start))

    def on_unmount(self) -> None:
        """Nobody listens any more."""
        self.session.on_change = lambda: None

    def on_app_blur(self) -> None:
        """The terminal went to the background (where it tells): nobody looks at the card."""
        self.session.dwell_timer.blur()

    def on_app_focus(self) -> None:
        """And is in front again."""
        self.session.dwell_timer.activity()

    def on_prefetch_changed(self) -> None:
        """For the screen that shows cards; without its record the app ends."""
        if self.session.replaced is not None:
            self.exit(return_code=int(ExitCode.DATABASE))
            return
        for screen in self.screen_stack:
            if isinstance(screen, CurateScreen) and screen.is_mounted:
                screen.session_changed()

    async def on_event(self, event: events.Event) -> None:
        """On a card a key has its effect before the next one is looked at.

        Textual would send keys that arrive together all to the card, and what is typed right behind `e` or `/` would
        be lost instead of going into the dialog. Nothing on a card has the focus, so no widget is passed over.
        """
        if isinstance(event, events.Key | events.MouseEvent):
            self.session.dwell_timer.activity()
        if self.drops_early(event):
            return
        if isinstance(event, events.Key) and not event.is_forwarded and self._is_too_early(event):
            self._idle_gc.activity()
        elif isinstance(event, events.Key) and not event.is_forwarded and (cards := self._cards) is not None:
            self._idle_gc.activity()
            self.app_focus = True
            cards.note_key(event.key)
            await self._check_bindings(event.key, priority=True) or await self._check_bindings(event.key)
        else:
            await super().on_event(event)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While the reason of a rejection is asked for, of the app's own actions only the way out applies."""
        asked = self._cards is not None and self._cards.asks_reason
        return action in _ALWAYS if asked else super().check_action(action, parameters)

    # -- what the person can have seen ----------------------------------------------------------------------------

    @property
    def _is_at_terminal(self) -> bool:
        """Whether a terminal is there to ask; not in tests and not in a browser."""
        return self._driver is not None and not self._driver.is_headless and not self._driver.is_web

    @property
    def _deciding(self) -> DecisionScreen | None:
        """The screen on which keys decide, while nothing lies above it."""
        return next((top for top in self.screen_stack[-1:] if isinstance(top, DecisionScreen)), None)

    def _is_too_early(self, key: events.Key) -> bool:
        deciding = self._deciding
        return deciding is not None and not deciding.may_press(key.key, key.time)

    def post_display_hook(self) -> None:
        """A frame is drawn: the first one with a new card starts its time, and the terminal is asked behind it."""
        sight = self.session.card_visibility
        if sight.is_pending and self.is_running and (top := self._deciding) is not None and top.is_card_drawn:
            place = sight.drawn(time.monotonic())
            if place is not None:
                self._ask_position(place)

    def _ask_position(self, place: ScreenPlace) -> None:
        """Ask the terminal where its cursor is; it answers when it has drawn all that was sent before."""
        assert self._driver is not None
        self._driver.write(f"\x1b7\x1b[{place.row};{place.column}H\x1b[6n\x1b8")
        self._driver.flush()
        self.set_timer(_BEHIND_SECONDS, self._show_lag)
        self.set_timer(self.session.card_visibility.patience, partial(self._give_up, place))

    def on_position_report(self, report: PositionReport) -> None:
        """The terminal answers."""
        self.session.card_visibility.reported(ScreenPlace(report.row, report.column), report.time)
        self._show_lag()

    def _give_up(self, place: ScreenPlace) -> None:
        self.session.card_visibility.give_up(place)
        self._show_lag()

    def _show_lag(self) -> None:
        if (top := self._deciding) is not None and top.is_running:
            top.show_lag()

    @property
    def _cards(self) -> CurateScreen | None:
        """The screen of cards, while nothing lies above it."""
        return next((top for top in self.screen_stack[-1:] if isinstance(top, CurateScreen)), None)

    def action_show_help(self) -> None:
        """Every key and what it does."""
        from workbench.tui.screens.help import HelpScreen  # only when opened

        self.push_screen(HelpScreen(self.actions, places=(KeyScope.CARD, KeyScope.REASON, KeyScope.DONE)))

    def action_show_results(self) -> None:
        """Generation, trainings and report, over the card: the desk stays as it is, and its lease is kept."""
        from workbench.tui.results.app import first_page, page_screen  # only when opened
        from workbench.tui.results.context import ResultsContext

        if self._workspace is None:
            self.notify("there is no workspace here", severity="warning", markup=False)
            return
        lab = ResultsContext(self._workspace, self._close_results, page_screen, protocol=self._protocol)
        self.push_screen(lab.screen(first_page(self.session.store)))

    def action_toggle_dark(self) -> None:
        """The other one of the house's themes; it is offered to keep it."""
        super().action_toggle_dark()
        if self._workspace is not None and self.theme != self._saved_theme:
            key = next(self.actions.cap(action) for action in self.actions.all_actions if action.id == "keep-theme")
            self.notify(f"{self.theme} until you leave; {key} keeps it", timeout=3, markup=False)

    def action_keep_theme(self) -> None:
        """Write the theme that shows into negwb.toml."""
        from workbench.errors import UsageError  # only when asked for
        from workbench.workspace.settings_writer import change_setting

        if self._workspace is None:
            self.notify("there is no workspace here", severity="warning", markup=False)
            return
        try:
            change_setting(self._workspace.settings, "theme", self.theme)
        except UsageError as error:
            said = display_text(f"{error.message} — {error.hint}", limit=300)
            self.notify(said, severity="error", timeout=8, markup=False)
            return
        self._saved_theme = self.theme
        self.notify(f"{self.theme} is in negwb.toml", timeout=3, markup=False)

    def action_open_screen(self, name: str) -> None:
        """A room beside the card, over it: the desk stays as it is, and its lease is kept."""
        from workbench.tui.screens.base.navigation import MainView  # only when opened

        if self._workspace is None:
            self.notify("there is no workspace here", severity="warning", markup=False)
            return
        rooms = self._navigation_for(self._workspace)
        refused = rooms.refusal(MainView(name))
        if refused is not None:
            self.notify(refused, severity="warning", markup=False)
            return
        top = self.screen
        if isinstance(top, SideScreen):
            top.action_open_screen(name)
            return
        seated = self.session.current
        rooms.candidate = seated.card.candidate_id if seated is not None else None
        self.push_screen(rooms.screen(MainView(name)))

    def _navigation_for(self, workspace: Workspace) -> NavigationContext:
        from workbench.tui.screens.base.navigation import NavigationContext
        from workbench.workspace.settings import read_settings  # only when opened

        if self._navigation is None:
            settings = read_settings(workspace.settings)
            # fmt: off
            self._navigation = NavigationContext(
                self.session, workspace, settings, self.actions, self._close_side_screens, self._open_card,
                self._protocol, view=self._view,
            )
            # fmt: on
        return self._navigation

    def _close_side_screens(self) -> None:
        self.pop_screen()
        self.session.start_prefetch()
        self.post_message(PrefetchChanged())  # cards may have come meanwhile

    def _open_card(self, candidate_id: int) -> None:
        """From a room to the seat, with this candidate in it."""
        from workbench.tui.screens.queue_end import QueueEndScreen

        self.pop_screen()
        self.session.start_prefetch()
        below = self.screen
        if isinstance(below, QueueEndScreen):
            below.open_card(candidate_id)
        elif isinstance(below, CurateScreen):
            self.call_later(below.action_open_card, candidate_id)

    def _close_results(self) -> None:
        self.pop_screen()
        self.post_message(PrefetchChanged())  # cards may have come meanwhile

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette: the actions that apply on this screen (none in a dialog), and the themes."""
        from workbench.tui.screens.queue_end import QueueEndScreen  # only when opened

        if isinstance(screen, ActionScreen):
            return self.commands_of(screen, screen.actions, screen.actions.at(screen.place))
        if isinstance(screen, CurateScreen):
            return self.commands_of(screen, self.actions, self.actions.at(KeyScope.CARD))
        listed = self.actions.at(KeyScope.DONE) if isinstance(screen, QueueEndScreen) else []
        return self.commands_of(screen, self.actions, listed)

    def _pass_on_news(self) -> None:
        """From the deck's thread to ours."""
        with contextlib.suppress(RuntimeError):  # the loop has just ended
            self.post_message(PrefetchChanged())
