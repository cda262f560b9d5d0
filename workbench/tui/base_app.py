"""Base class of the Textual apps: themes, minimum size, and an orderly end after errors and signals."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.console import RenderableType
from textual import events
from textual.actions import ActionParseResult
from textual.app import App, ScreenError, SystemCommand
from textual.css.query import QueryError
from textual.dom import DOMNode
from textual.driver import Driver
from textual.screen import Screen
from textual.worker import WorkerFailed

from curation_db.language.sanitize import display_text
from workbench.console import interruption
from workbench.errors import ExitCode
from workbench.images.terminal_graphics import cell_pixels, cell_question, remember_cell
from workbench.tui.frame_diff import ChangedCells, DrawnScreen, Update
from workbench.tui.gc_control import QUIET_SECONDS, IdleGC, manual_gc
from workbench.tui.palette import COMMAND_LINES, ActionCommands, PaletteCommand, action_commands, synonyms
from workbench.tui.screens.too_small import TooSmallScreen, too_small
from workbench.tui.terminal_parser import CellSizeReport, leaving_no_images, with_own_parser
from workbench.tui.themes import DARK, LIGHT, THEMES
from workbench.workspace.keymap import Action, ActionMap, Tab

if TYPE_CHECKING:
    from workbench.workspace.layout import Workspace

APP_STYLES = Path(__file__).with_name("app.tcss")
_TERMINAL_CHECK_SECONDS = 1.0
_LEAVING = frozenset({"quit", "app.quit", "leave", "leave_screen"})
"""Actions that leave the app, the results screens or a screen above the card."""


class BaseApp(App[int]):
    """Textual app with negwb's themes, garbage collection control and error handling."""

    TITLE = "negwb"
    COMMANDS: ClassVar = {ActionCommands}

    def __init__(self, *, theme: str = DARK.name) -> None:
        if os.environ.get("NO_COLOR") == "":
            del os.environ["NO_COLOR"]  # no-color.org: an empty value is none; Textual takes it as set
        super().__init__()
        for own in THEMES:
            self.register_theme(own)
        self.theme = theme
        self.drawn = DrawnScreen()
        """What the terminal shows."""
        self._idle_gc = IdleGC()
        self.failure: Exception | None = None
        """The error that ended the app; None if there was none."""
        self._up_since: float | None = None
        """Monotonic time at which the first screen was painted; None before that."""

    def run_to_end(self) -> int:
        """Run until the annotator leaves and return the exit code.

        Raises:
            Exception: the unexpected error, or the error of the record, that ended the app.
        """
        with manual_gc(), self._failing_threads():
            self.run()
        if self.failure is not None:
            raise self.failure
        return int(self.return_code or ExitCode.OK)

    def get_driver_class(self) -> type[Driver]:
        """Return Textual's driver for this platform with a parser that turns no answer of the terminal into keys."""
        return leaving_no_images(with_own_parser(super().get_driver_class()))

    def on_mount(self) -> None:
        """Start the timers that collect garbage and check that the terminal still exists."""
        self.set_interval(QUIET_SECONDS, self._idle_gc.tick)
        self.app_resume_signal.subscribe(self, lambda _: self._resumed())
        self.screen.call_after_refresh(self._mark_up)
        self.app_resume_signal.subscribe(self, lambda _: self.action_redraw(), immediate=True)
        if not self.is_headless:
            asyncio.get_running_loop().set_exception_handler(self._on_loop_error)
        if not self.is_headless and _has_terminal():
            self.set_interval(_TERMINAL_CHECK_SECONDS, self._end_without_terminal)

    async def run_async(self, *, headless: bool = False, **options: Any) -> int | None:
        """Run as Textual does, and end the app on SIGTERM and SIGHUP."""
        with nullcontext() if headless else interruption.heard_by(asyncio.get_running_loop(), self._end_for):
            return await super().run_async(headless=headless, **options)

    async def on_event(self, event: events.Event) -> None:
        """Note user input for garbage collection, and drop keys that came before the first screen."""
        if isinstance(event, events.InputEvent):
            self._idle_gc.activity()
        if not self.drops_early(event):
            await super().on_event(event)

    def drops_early(self, event: events.Event) -> bool:
        """Return whether the event is a key or a click from before the first screen was painted; it then has no effect.

        The user has not seen what the key would apply to. Only a key that leaves ends the app.
        """
        if not isinstance(event, events.Key | events.MouseEvent | events.Paste) or event.is_forwarded:
            return False
        if self._up_since is not None and event.time >= self._up_since:
            return False
        if isinstance(event, events.Key):
            nodes = (self, *self.screen_stack[-1:])
            bound = {each.action for node in nodes for each in node._bindings.key_to_bindings.get(event.key, ())}
            if not _LEAVING.isdisjoint(bound):
                self.exit()
        return True

    @property
    def takes_input(self) -> bool:
        """Whether the first screen was painted, so that keys have an effect."""
        return self._up_since is not None

    def _mark_up(self) -> None:
        self._up_since = time.monotonic()

    def open_first(self, screen: Screen[Any]) -> None:
        """Open the first screen of the app above the default one. Call it in `on_mount`."""
        covered = isinstance(self.screen, TooSmallScreen)
        if covered:
            self.pop_screen()
        self.push_screen(screen)
        if covered:
            self.push_screen(TooSmallScreen())

    # -- the terminal -------------------------------------------------------------------------------------------

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        """Send only the cells that differ from what the terminal shows."""
        if isinstance(renderable, Update):
            changed: Any = self.changed_cells(screen, renderable)  # Textual's type for it lacks its own updates
            return super()._display(screen, changed)
        super()._display(screen, renderable)

    def changed_cells(self, screen: Screen[Any], update: Update) -> ChangedCells:
        return ChangedCells(update, self.drawn, screen.size)

    def action_redraw(self) -> None:
        """Draw the whole screen again: another program may have written to the terminal."""
        self.drawn.forget()
        for screen in self.screen_stack[-1:]:
            screen.refresh()

    def on_cell_size_report(self, report: CellSizeReport) -> None:
        """Lay out the images again if the font has another size."""
        before = cell_pixels()
        remember_cell((report.width, report.height))
        if cell_pixels() != before:
            for screen in self.screen_stack:
                screen.post_message(events.Resize(self.size, self.size))

    def on_resize(self, event: events.Resize) -> None:
        """Draw everything again, since terminals move the text; cover the screen while the terminal is too small."""
        self.action_redraw()
        if self._driver is not None and (question := cell_question()):
            self._driver.write(question)
        covered = isinstance(self.screen, TooSmallScreen)
        if too_small(event.size) and not covered:
            self.push_screen(TooSmallScreen())
        elif covered and not too_small(event.size):
            self.pop_screen()

    # -- actions ------------------------------------------------------------------------------------------------

    async def run_action(
        self,
        action: str | ActionParseResult,
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Run an action; where it does not apply at the moment, show the screen's reason."""
        target, name, parameters = self._parse_action(action, default_namespace or self, namespaces)
        reason_of = getattr(target, "disabled_reason", None)
        if reason_of is not None and target.check_action(name, parameters) and (reason := reason_of(name, parameters)):
            self.show_message(reason)
            return True
        return await super().run_action(action, default_namespace, namespaces)

    # -- tabs ---------------------------------------------------------------------------------------------------

    def action_open_tab(self, name: str) -> None:
        """Open the screen of a tab in place of the screens above the lowest ones; 1 closes these."""
        tab = Tab(name)
        refusal = f"{tab} is open already" if _tab_of(self.screen) is tab else self.tab_refusal(tab)
        if refusal is not None:
            self.show_message(refusal)
        elif tab is Tab.CURATE:
            self.close_tabs()
        elif tab is self.tab:  # above its screen are the screens of an item or a run
            while _tab_of(self.screen) is not tab:
                self.pop_screen()
        else:
            screen = self.tab_screen(tab)
            while len(self.screen_stack) > self.lowest_screens + 1:
                self.pop_screen()
            if len(self.screen_stack) > self.lowest_screens:
                self.switch_screen(screen)
            else:
                self.push_screen(screen)

    @property
    def tab(self) -> Tab:
        """The tab whose screen is shown, or from which the shown screen was opened."""
        return next((tab for screen in reversed(self.screen_stack) if (tab := _tab_of(screen)) is not None), Tab.CURATE)

    @property
    def tab_actions(self) -> list[tuple[str, Action]]:
        """The tabs that can be opened, each with its key and action: the first line of a screen shows them."""
        return []

    def tab_refusal(self, tab: Tab) -> str | None:
        """Return why the tab cannot be opened, or None."""
        raise NotImplementedError

    def tab_screen(self, tab: Tab) -> Screen[None]:
        """Create the screen of a tab other than Curate."""
        raise NotImplementedError

    @property
    def lowest_screens(self) -> int:
        """The number of screens that stay below the screen of a tab."""
        return 1

    def close_tabs(self) -> None:
        """Close all screens above the lowest ones."""
        while len(self.screen_stack) > self.lowest_screens:
            self.pop_screen()

    def show_message(self, message: str) -> None:
        """Show a message on the screen."""
        show = getattr(self.screen, "show_message", None)
        if show is not None:
            show(message)
        else:
            self.notify(display_text(message, limit=300), markup=False)

    def action_refuse(self, label: str) -> None:
        """Show why an action that writes does not apply."""
        self.show_message(f"{label}: nothing is written with --readonly")

    # -- notifications, themes, commands ------------------------------------------------------------------------

    def on_notify(self) -> None:
        """Replace the previous notification: several of them would cover the card when keys follow quickly."""
        self.clear_notifications()

    def action_suspend_process(self) -> None:
        """Stop the process group as the shell's ctrl+z does, so that a program around it (`uv run`) stops, too."""
        if self._driver is None or self.is_headless or self.is_web or not self._driver.can_suspend:
            self.notify("there is no shell to return to", severity="warning", markup=False)
            return
        self._suspend_signal()
        os.killpg(os.getpgrp(), signal.SIGTSTP)  # Textual's handler restores the terminal, then stops this process

    def _resumed(self) -> None:
        """Draw everything again after fg in the shell."""
        self.refresh(layout=True)
        for widget in self.screen.walk_children(with_self=True):
            widget.refresh()

    def action_toggle_dark(self) -> None:
        """Switch between negwb's dark and light theme."""
        self.theme = LIGHT.name if self.current_theme.dark else DARK.name

    def commands_of(self, screen: Screen[Any], actions: ActionMap, listed: Iterable[Action]) -> Iterable[SystemCommand]:
        """Yield the listed actions, command lines if there are any actions, and all themes, for the palette."""
        listed = list(listed)
        for same, title, help_text in action_commands(actions, listed):
            command = PaletteCommand(title, help_text, partial(self._run_calls, screen, [each.call for each in same]))
            command.synonyms = synonyms(same)
            yield command
        workspace = self.workspace
        for line in COMMAND_LINES if listed and workspace is not None else ():
            assert workspace is not None
            text = f"negwb -w {shlex.quote(str(workspace.root))} {line.arguments}"
            show = partial(self._show_command_line, line.arguments, text, line.help)
            command = PaletteCommand(f"{line.arguments.partition(' ')[0]}: command line", line.help, show)
            command.synonyms = (line.arguments.partition(" ")[0], *line.synonyms)
            yield command
        for name in self.available_themes:
            yield SystemCommand(f"theme: {name}", "Use this theme", partial(setattr, self, "theme", name))

    @property
    def workspace(self) -> Workspace | None:
        """The workspace that the commands of the palette name."""
        raise NotImplementedError

    async def _run_calls(self, screen: Screen[Any], calls: Sequence[str]) -> None:
        """Run actions one after the other: some ask a question that the next one answers."""
        for call in calls:
            await screen.run_action(call)

    def _show_command_line(self, title: str, line: str, help_text: str) -> None:
        from workbench.tui.screens.modals.command_line import CommandLineModal  # only when opened

        self.push_screen(CommandLineModal(f"negwb {title}", line, help_text))

    # -- errors -------------------------------------------------------------------------------------------------

    def _handle_exception(self, error: Exception) -> None:
        """End the app and keep the error for `run_to_end`. Textual would print it with the values of all variables.

        After the app was asked to exit, screens open without widgets and close at any time: a missing widget or screen
        is no error then.
        """
        cause = error.error if isinstance(error, WorkerFailed) else error
        if self._exit and isinstance(cause, QueryError | ScreenError):
            self._close_messages_no_wait()
            return
        if self.failure is None:
            self.failure = cause if isinstance(cause, Exception) else error
        self._return_code = int(ExitCode.UNEXPECTED)
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
        self._close_messages_no_wait()

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Handle an error in a callback or in a task that is not awaited; asyncio would print it across the screen."""
        error = context.get("exception")
        if isinstance(error, Exception):
            self._handle_exception(error)
        else:
            loop.default_exception_handler(context)

    @contextmanager
    def _failing_threads(self) -> Iterator[None]:
        """End the app on an error that ends a thread; Python would print the error across the screen."""
        before = threading.excepthook

        def hook(args: threading.ExceptHookArgs) -> None:
            if isinstance(args.exc_value, Exception):
                with suppress(RuntimeError, AttributeError):  # the loop has ended, and the app with it
                    self._loop.call_soon_threadsafe(self._handle_exception, args.exc_value)  # type: ignore[union-attr]

        threading.excepthook = hook
        try:
            yield
        finally:
            threading.excepthook = before

    def _end_for(self, number: signal.Signals) -> None:
        """End the app at once after a hang-up or termination; every decision is already on disk."""
        self.exit(return_code=interruption.exit_code())

    def _end_without_terminal(self) -> None:
        """End the app when the terminal is gone.

        It may go without a signal (nohup); Textual would read EOF in a busy loop.
        """
        if not _has_terminal():
            interruption.hung_up()
            self._end_for(signal.SIGHUP)


def _tab_of(screen: Screen[Any]) -> Tab | None:
    """Return the tab that the screen belongs to; None for a screen that was opened from that of a tab."""
    return getattr(screen, "TAB", None)


def _has_terminal() -> bool:
    return sys.__stdin__ is not None and sys.__stdin__.isatty()
