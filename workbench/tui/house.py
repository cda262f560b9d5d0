"""What all apps of the house share: themes, a screen that is too small, and an end that is sound however it comes."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from functools import partial
from typing import Any

from textual import events
from textual.app import App, SystemCommand
from textual.driver import Driver
from textual.screen import Screen

from workbench import interruption
from workbench.tui.actions import Action, ActionMap
from workbench.tui.collecting import QUIET_SECONDS, Collector
from workbench.tui.screens.too_small import TooSmallScreen, too_small
from workbench.tui.terminal_parser import with_own_parser
from workbench.tui.themes import DARK, LIGHT, THEMES

_TERMINAL_CHECK_SECONDS = 1.0


class HouseApp(App[int]):
    """An app in the house's looks."""

    TITLE = "negwb"

    def __init__(self, *, theme: str = DARK.name) -> None:
        super().__init__()
        for own in THEMES:
            self.register_theme(own)
        self.theme = theme
        self._collector = Collector()

    def get_driver_class(self) -> type[Driver]:
        """Textual's driver for this platform, whose input no answer of the terminal gets through as keys."""
        return with_own_parser(super().get_driver_class())

    def on_mount(self) -> None:
        """Notice the end of a burst of input, and of the terminal."""
        self.set_interval(QUIET_SECONDS, self._collector.tick)
        if not self.is_headless and _has_terminal():
            self.set_interval(_TERMINAL_CHECK_SECONDS, self._end_without_terminal)

    async def run_async(self, *, headless: bool = False, **how: Any) -> int | None:
        """As ever; SIGTERM and SIGHUP end the app."""
        with nullcontext() if headless else interruption.heard_by(asyncio.get_running_loop(), self._end_for):
            return await super().run_async(headless=headless, **how)

    async def on_event(self, event: events.Event) -> None:
        """As ever; what a person does is noted."""
        if isinstance(event, events.InputEvent):
            self._collector.hear()
        await super().on_event(event)

    def on_resize(self, event: events.Resize) -> None:
        """Say so where there is no room to work."""
        covered = isinstance(self.screen, TooSmallScreen)
        if too_small(event.size) and not covered:
            self.push_screen(TooSmallScreen())
        elif covered and not too_small(event.size):
            self.pop_screen()

    def on_notify(self) -> None:
        """A line takes the place of the one before it: keys in quick succession would cover the card with theirs."""
        self.clear_notifications()

    def action_toggle_dark(self) -> None:
        """The other one of the house's themes."""
        self.theme = LIGHT.name if self.current_theme.dark else DARK.name

    def commands_of(self, screen: Screen[Any], actions: ActionMap, listed: Iterable[Action]) -> Iterable[SystemCommand]:
        """For the palette: what is listed, and the themes."""
        for action in listed:
            if action.id != "palette" and not action.id.startswith("scroll"):
                title = f"{action.label}  ({actions.caps(action)})"
                yield SystemCommand(title, action.says, partial(screen.run_action, action.call))
        for name in self.available_themes:
            yield SystemCommand(f"theme: {name}", "Use this theme", partial(setattr, self, "theme", name))

    def _end_for(self, number: signal.Signals) -> None:
        """A hang-up or a termination: everything decided is on the disk, so leaving at once loses nothing."""
        self.exit(return_code=interruption.exit_code())

    def _end_without_terminal(self) -> None:
        """A terminal may go without a signal (nohup); Textual would read its end for ever, at full speed."""
        if not _has_terminal():
            interruption.hung_up()
            self._end_for(signal.SIGHUP)


def _has_terminal() -> bool:
    return sys.__stdin__ is not None and sys.__stdin__.isatty()
