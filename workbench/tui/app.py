"""The app: themes, palette, help, and an end that is sound however it comes. The work is in the screens.

It owns no record and closes none: whoever made the desk closes it after `run` returned.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import App, SystemCommand
from textual.message import Message
from textual.screen import Screen

from workbench.errors import ExitCode
from workbench.tui.actions import Action, ActionMap, Place
from workbench.tui.screens.curate import CurateScreen
from workbench.tui.screens.too_small import TooSmallScreen, too_small
from workbench.tui.themes import DARK, LIGHT, THEMES

if TYPE_CHECKING:
    from workbench.tui.desk import Desk

_TERMINAL_CHECK_SECONDS = 1.0


class DeckSpoke(Message):
    """Something changed in the deck."""


class NegwbApp(App[int]):
    """A person's sitting at a desk."""

    # The first screen's own sheet is not loaded by Textual, so it is named here.
    CSS_PATH: ClassVar = ["app.tcss", "screens/curate.tcss"]
    TITLE = "negwb"

    def __init__(
        self,
        desk: Desk,
        *,
        actions: ActionMap | None = None,
        theme: str = DARK.name,
        protocol: str = "halfcell",
        banner: str | None = None,
    ) -> None:
        super().__init__()
        self.desk = desk
        self.actions = actions or ActionMap()
        self._protocol = protocol
        self._banner = banner
        for own in THEMES:
            self.register_theme(own)
        self.theme = theme

    def get_default_screen(self) -> Screen[None]:
        """Curate."""
        return CurateScreen(self.desk, self.actions, protocol=self._protocol, banner=self._banner)

    def on_mount(self) -> None:
        """Listen to the deck and to whoever wants us to end."""
        self.desk.news = self._pass_on_news
        if not self.is_headless:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGHUP):
                loop.add_signal_handler(number, self._end_for, number)
            if _has_terminal():
                self.set_interval(_TERMINAL_CHECK_SECONDS, self._end_without_terminal)

    def on_unmount(self) -> None:
        """Nobody listens any more."""
        self.desk.news = lambda: None

    def on_resize(self, event: events.Resize) -> None:
        """Say so where there is no room to work."""
        covered = isinstance(self.screen, TooSmallScreen)
        if too_small(event.size) and not covered:
            self.push_screen(TooSmallScreen())
        elif covered and not too_small(event.size):
            self.pop_screen()

    def on_deck_spoke(self) -> None:
        """For the screen that shows cards."""
        for screen in self.screen_stack:
            if isinstance(screen, CurateScreen) and screen.is_mounted:
                screen.hear_news()

    def action_show_help(self) -> None:
        """Every key and what it does."""
        from workbench.tui.screens.help import HelpScreen  # noqa: PLC0415 -- only when opened

        self.push_screen(HelpScreen(self.actions))

    def action_toggle_dark(self) -> None:
        """The other one of the house's themes."""
        self.theme = LIGHT.name if self.current_theme.dark else DARK.name

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: the actions that apply on this screen, and the themes."""
        place = Place.CARD if isinstance(screen, CurateScreen) else Place.DONE
        for action in self.actions.at(place):
            if action.id != "palette" and not action.id.startswith("scroll"):
                yield self._command(screen, action)
        for name in self.available_themes:
            yield SystemCommand(f"theme: {name}", "Use this theme", partial(setattr, self, "theme", name))

    def _command(self, screen: Screen[object], action: Action) -> SystemCommand:
        title = f"{action.label}  ({self.actions.caps(action)})"
        return SystemCommand(title, action.says, partial(screen.run_action, action.call))

    def _pass_on_news(self) -> None:
        """From the deck's thread to ours."""
        with contextlib.suppress(RuntimeError):  # the loop has just ended
            self.post_message(DeckSpoke())

    def _end_for(self, number: int) -> None:
        """A hang-up or a termination: everything decided is on the disk, so leaving at once loses nothing."""
        self.exit(return_code=int(ExitCode.INTERRUPTED))

    def _end_without_terminal(self) -> None:
        """A terminal may go without a signal (nohup); Textual would read its end for ever, at full speed."""
        if not _has_terminal():
            self._end_for(signal.SIGHUP)


def _has_terminal() -> bool:
    return sys.__stdin__ is not None and sys.__stdin__.isatty()
