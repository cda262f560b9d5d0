"""The curate app: notifications from the session, command palette and help, and the screens above the card.

The app does not own the record: the caller that opened the session closes it after `run` returns.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import SystemCommand
from textual.message import Message
from textual.screen import Screen

from curation_db.enums import Role
from curation_db.language.sanitize import display_text
from workbench.annotation.key_guard import ScreenPlace
from workbench.errors import ExitCode
from workbench.tui.base_app import BaseApp
from workbench.tui.key_folding import fold_key
from workbench.tui.screens.base.action_screen import ActionScreen
from workbench.tui.screens.base.decision_screen import DecisionScreen
from workbench.tui.screens.base.navigation import MainView, NavigationContext
from workbench.tui.screens.base.side_screen import SideScreen
from workbench.tui.screens.curate import CurateScreen
from workbench.tui.terminal_parser import PositionReport
from workbench.tui.themes import DARK
from workbench.tui.widgets.card.picture_box import FEW_COLOURS
from workbench.tui.widgets.card.side_panel import PanelView
from workbench.tui.widgets.picture import has_sixteen_colours
from workbench.workspace.keymap import RESULT_TABS, Action, ActionMap, KeyScope, Tab, results_actions
from workbench.workspace.query_history import QueryHistory

if TYPE_CHECKING:
    from workbench.annotation.session import AnnotationSession
    from workbench.tui.results.context import ResultsContext
    from workbench.workspace.layout import Workspace
    from workbench.workspace.settings.choices import PanelChoice


_ALWAYS = frozenset({"quit", "help_quit", "suspend_process"})
"""Bound to ctrl+q, ctrl+c and ctrl+z."""


_NOTICE_SECONDS = 10
_BEHIND_SECONDS = 0.3
"""Seconds after which a terminal that has not yet confirmed a drawn card is reported as behind."""


class PrefetchChanged(Message):
    """A card, the end of the queue or a problem has come from the session's threads."""


class NegwbApp(BaseApp):
    # Textual does not load the style sheet of the first screen by itself.
    CSS_PATH: ClassVar = ["app.tcss", "screens/curate.tcss"]

    def __init__(
        self,
        session: AnnotationSession,
        *,
        actions: ActionMap | None = None,
        theme: str = DARK.name,
        protocol: str = "halfcell",
        banner: str | Callable[[], str] | None = None,
        notice: str = "",
        viewer: str = "",
        workspace: Workspace | None = None,
        start: MainView | None = None,
        view: str = "",
        panel: PanelChoice | None = None,
    ) -> None:
        """Create the app of a session.

        Args:
            protocol: Image protocol, as `choose_protocol` returns it.
            banner: A line below the status line; a function is called for each change of the session.
            notice: Notification that is shown once at the start.
            viewer: Program that shows images outside the terminal.
            workspace: The workspace of the side screens, runs and results; without one they are not available.
            start: Side screen to start with instead of Curate; no card is leased before Curate opens.
            view: Query that Browse lists first.
            panel: What the annotator chose for the panel below the image in an earlier session.
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
        self._results: ResultsContext | None = None
        self._saved_theme = theme
        """The theme named in negwb.toml."""
        self._start, self._view = start, view
        self._panel = PanelView[panel.name] if panel is not None else None

    def get_default_screen(self) -> Screen[None]:
        return CurateScreen(
            self.session,
            self.actions,
            protocol=self._protocol,
            banner=self._banner,
            viewer=self._viewer,
            guidelines=self._guidelines,
            panel=self._panel,
            keep_panel=self._keep_panel,
            searches=QueryHistory.of(self._workspace, "find", self.session.actor.name),
        )

    def _keep_panel(self, view: PanelView) -> None:
        """Write the annotator's choice into negwb.toml."""
        from workbench.workspace.settings.writer import save_panel  # only when chosen

        if self._workspace is not None:
            save_panel(self._workspace.settings, self.session.actor.name, view.choice)

    def _guidelines(self) -> str:
        from workbench.workspace.guidelines import read_guidelines, shipped_guidelines  # only when shown

        return read_guidelines(self._workspace).text if self._workspace is not None else shipped_guidelines()

    def on_mount(self) -> None:
        """Subscribe to changes of the session, and open the first screen."""
        self.session.on_change = self._post_change
        if self.session.settings.guard_seconds > 0 and self._is_at_terminal:
            self._ask_position(self.session.card_visibility.request(time.monotonic()))
        few = FEW_COLOURS if self._protocol == "halfcell" and has_sixteen_colours(self) else ""
        if notice := "\n".join(filter(None, (self._notice, few))):
            self.notify(notice, timeout=_NOTICE_SECONDS, markup=False)
        if self._start is not None and self._workspace is not None:
            self.open_first(self._navigation_for(self._workspace).screen(self._start))

    def on_unmount(self) -> None:
        self.session.on_change = lambda: None

    def on_app_blur(self) -> None:
        """Stop counting dwell time while the terminal is in the background (if it reports that)."""
        self.session.dwell_timer.blur()

    def on_app_focus(self) -> None:
        self.session.dwell_timer.activity()

    def on_prefetch_changed(self) -> None:
        """Update Curate; exit if the record's file was replaced."""
        if self.session.replaced is not None:
            self.exit(return_code=int(ExitCode.DATABASE))
            return
        for screen in self.screen_stack:
            if isinstance(screen, CurateScreen) and screen.is_mounted:
                screen.session_changed()

    async def on_event(self, event: events.Event) -> None:
        """Apply a key on a card before the next event is handled.

        Textual would send all keys that arrive together to the card, so text typed right after `e` or `/` would be lost
        instead of going into the dialog. Nothing on a card has the focus, so no widget is passed over.
        """
        if isinstance(event, events.Key | events.MouseEvent):
            self.session.dwell_timer.activity()
        if self.drops_early(event):
            return
        if isinstance(event, events.Key) and not event.is_forwarded and self._is_too_early(event):
            self._idle_gc.activity()
        elif (
            isinstance(event, events.Key)
            and not event.is_forwarded
            and (cards := self._cards) is not None
            and not cards.is_editing
        ):
            self._idle_gc.activity()
            self.app_focus = True
            key = self._folded(event)
            cards.note_key(key)
            if not (await self._check_bindings(key, priority=True) or await self._check_bindings(key)):
                cards.show_unknown_key(event)
            cards.draw_now()
            self.session.card_drawn()
        else:
            await super().on_event(event)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable the app's actions that do not apply to the question or the zoomed card, except quitting."""
        top = self._deciding
        if action not in _ALWAYS and top is not None and not top.offers(action):
            return False
        return super().check_action(action, parameters)

    # -- whether the annotator has seen the card -----------------------------------------------------------------------

    @property
    def _is_at_terminal(self) -> bool:
        """Whether there is a terminal to ask; not in tests and not in a browser."""
        return self._driver is not None and not self._driver.is_headless and not self._driver.is_web

    @property
    def _deciding(self) -> DecisionScreen | None:
        """The screen on which keys decide, unless another screen covers it."""
        return next((top for top in self.screen_stack[-1:] if isinstance(top, DecisionScreen)), None)

    def _is_too_early(self, key: events.Key) -> bool:
        deciding = self._deciding
        return deciding is not None and not deciding.may_press(self._folded(key), key.time)

    def _folded(self, key: events.Key) -> str:
        """Return the name of the key, or of the key of the screen that it stands for in another keyboard layout."""
        return fold_key(key.character, self.screen._bindings.key_to_bindings) or key.key

    def post_display_hook(self) -> None:
        """Note that a frame was drawn; after the first frame of a card ask the terminal to confirm it."""
        visibility = self.session.card_visibility
        if visibility.is_pending and self.is_running and (top := self._deciding) is not None and top.is_card_drawn:
            place = visibility.drawn(time.monotonic())
            if place is not None:
                self._ask_position(place)

    def _ask_position(self, place: ScreenPlace) -> None:
        """Ask the terminal for its cursor position; it answers once it has drawn everything sent before."""
        assert self._driver is not None
        self._driver.write(f"\x1b7\x1b[{place.row};{place.column}H\x1b[6n\x1b8")
        self._driver.flush()
        self.set_timer(_BEHIND_SECONDS, self._show_lag)
        self.set_timer(self.session.card_visibility.patience, partial(self._give_up, place))

    def on_position_report(self, report: PositionReport) -> None:
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
        """Curate, unless another screen covers it."""
        return next((top for top in self.screen_stack[-1:] if isinstance(top, CurateScreen)), None)

    def action_show_help(self) -> None:
        from workbench.tui.screens.help import HelpScreen  # only when opened

        cards = self._cards
        is_zoomed = cards is not None and cards.is_zoomed
        if cards is not None and cards.scope is KeyScope.PROBE:
            self.push_screen(HelpScreen(self.actions, places=(KeyScope.PROBE,)))
            return
        places = (KeyScope.CARD_ZOOM,) if is_zoomed else (KeyScope.CARD, KeyScope.COPY, KeyScope.DONE)
        self.push_screen(HelpScreen(self.actions, places=(*places, KeyScope.REASON, KeyScope.EDIT)))

    def action_show_results(self) -> None:
        """Open generation if a run is active, else the training runs; session and leases stay as they are."""
        from workbench.tui.results.app import first_page  # only when opened

        self.action_open_tab(first_page(self.session.store))

    def action_show_log(self) -> None:
        """Show what the annotator did in this session."""
        from workbench.tui.screens.modals.log import LogModal  # only when opened

        self.push_screen(LogModal(self.session.acts))

    def action_toggle_dark(self) -> None:
        """Switch between dark and light theme, and name the key that saves the theme."""
        super().action_toggle_dark()
        if self._workspace is not None and self.theme != self._saved_theme:
            key = self.actions.cap_of("keep-theme")
            self.notify(f"{self.theme} for this session; {key} saves it", timeout=3, markup=False)

    def action_keep_theme(self) -> None:
        """Write the current theme into negwb.toml."""
        from workbench.errors import UsageError  # only when asked for
        from workbench.workspace.settings.writer import change_setting

        if self._workspace is None:
            self.notify("there is no workspace here", severity="warning", markup=False)
            return
        try:
            change_setting(self._workspace.settings, "theme", self.theme)
        except UsageError as error:
            message = display_text(f"{error.message} — {error.hint}", limit=300)
            self.notify(message, severity="error", timeout=8, markup=False)
            return
        self._saved_theme = self.theme
        self.notify(f"{self.theme} is written to negwb.toml", timeout=3, markup=False)

    @property
    def tab_actions(self) -> list[tuple[str, Action]]:
        """The tabs without those that are refused; none without a workspace."""
        if self._workspace is None:
            return []
        adjudicates = self.session.actor.role is Role.ADJUDICATOR
        tabs = [tab for tab in self.actions.tabs(KeyScope.CARD) if adjudicates or tab.tab is not Tab.ADJUDICATE]
        return [(self.actions.cap(tab), tab) for tab in tabs]

    @property
    def workspace(self) -> Workspace | None:
        return self._workspace

    def tab_refusal(self, tab: Tab) -> str | None:
        if tab is Tab.CURATE:
            return None
        if self._workspace is None:
            return "there is no workspace here"
        return None if tab in RESULT_TABS else self._navigation_for(self._workspace).refusal(MainView(tab.value))

    def tab_screen(self, tab: Tab) -> Screen[None]:
        assert self._workspace is not None
        if tab in RESULT_TABS:
            from workbench.tui.results.context import TAB_PAGES  # only when opened

            return self._results_for(self._workspace).screen(TAB_PAGES[tab])
        navigation = self._navigation_for(self._workspace)
        if not isinstance(self.screen, SideScreen):
            current = self.session.current
            navigation.candidate = current.card.candidate_id if current is not None else None
        return navigation.screen(MainView(tab.value))

    @property
    def lowest_screens(self) -> int:
        """The number of screens up to the card, or up to the end of the queue."""
        from workbench.tui.screens.queue_end import QueueEndScreen  # only when needed

        cards = [at for at, screen in enumerate(self.screen_stack) if isinstance(screen, CurateScreen | QueueEndScreen)]
        return max(cards, default=0) + 1

    def _results_for(self, workspace: Workspace) -> ResultsContext:
        from workbench.tui.results.app import page_screen  # only when opened
        from workbench.tui.results.context import ResultsContext

        if self._results is None:
            actions = results_actions(self.actions.own_keys, read_only=self.actions.read_only)
            self._results = ResultsContext(
                workspace, self.close_tabs, page_screen, protocol=self._protocol, actions=actions
            )
        return self._results

    def _navigation_for(self, workspace: Workspace) -> NavigationContext:
        from workbench.workspace.settings.settings import read_settings  # only when opened

        if self._navigation is None:
            settings = read_settings(workspace.settings)
            # fmt: off
            self._navigation = NavigationContext(
                self.session, workspace, settings, self.actions, self.close_tabs, self._open_card,
                self._protocol, view=self._view,
            )
            # fmt: on
        return self._navigation

    def list_in_browse(self, line: str) -> None:
        """Open Browse with this query."""
        if self._workspace is not None:
            self._navigation_for(self._workspace).list_in_browse(line)
        self.action_open_tab(Tab.BROWSE)

    def close_tabs(self) -> None:
        """Return to the card."""
        super().close_tabs()
        self.session.start_prefetch()
        self.post_message(PrefetchChanged())  # new cards may have arrived meanwhile

    def _open_card(self, candidate_id: int) -> None:
        """Close the side screens and show this candidate as a card."""
        from workbench.tui.screens.queue_end import QueueEndScreen

        self.pop_screen()
        self.session.start_prefetch()
        below = self.screen
        if isinstance(below, QueueEndScreen):
            below.open_card(candidate_id)
        elif isinstance(below, CurateScreen):
            self.call_later(below.action_open_card, candidate_id)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Return the actions of this screen (none in a dialog) and the themes."""
        from workbench.tui.screens.queue_end import QueueEndScreen  # only when opened

        if isinstance(screen, ActionScreen):
            return self.commands_of(screen, screen.actions, _commands(screen.actions, screen.scope))
        if isinstance(screen, CurateScreen):
            return self.commands_of(screen, self.actions, _commands(self.actions, screen.scope))
        listed = self.actions.at(KeyScope.DONE) if isinstance(screen, QueueEndScreen) else []
        return self.commands_of(screen, self.actions, listed)

    def _post_change(self) -> None:
        """Forward a change from the session's threads to the app."""
        with contextlib.suppress(RuntimeError):  # the loop has just ended
            self.post_message(PrefetchChanged())


def _commands(actions: ActionMap, scope: KeyScope) -> list[Action]:
    """Return the actions of the palette; while a text is edited, its fields take all keys."""
    return [] if scope is KeyScope.EDIT else actions.at(scope)
