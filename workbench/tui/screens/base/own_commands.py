"""Runs a command of the annotator's own about a card, beside the screen, and shows how it ended."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual.content import Content

from curation_db.language.sanitize import clean, display_text
from workbench.annotation.command_runner import CommandResult, run_command
from workbench.errors import UsageError
from workbench.tui.threads import run_in_daemon_thread
from workbench.workspace.own_commands import OwnCommand, environment_of

if TYPE_CHECKING:
    from workbench.annotation.models import PreparedCard
    from workbench.tui.screens.curate import CurateScreen

MOST_AT_A_TIME = 8
_SECONDS = 6.0
"""How long a line about a command is shown."""


class CommandRuns:
    """The running commands of a screen."""

    def __init__(self, screen: CurateScreen, folder: Path) -> None:
        """Args: folder: the current folder of the commands."""
        self._screen, self._folder = screen, folder
        self._running = 0

    def start(self, command: OwnCommand, ready: PreparedCard) -> None:
        """Run `command` about the card in a worker: neither its start nor its end delays a key."""
        screen, card = self._screen, ready.card
        if command.needs_image and ready.path is None:
            self._show(f"{command.name} needs the image, which is missing", failed=True)
            return
        if self._running >= MOST_AT_A_TIME:
            self._show(f"{self._running} commands are running: wait for the end of one", failed=True)
            return
        path = str(ready.path.absolute()) if ready.path is not None else ""
        environment = environment_of(card.candidate_id, clean(card.caption or ""), clean(card.text), path)
        self._show(f"{command.name} is running")
        screen.run_worker(self._run(command, environment), group="commands", exit_on_error=False)

    async def _run(self, command: OwnCommand, environment: dict[str, str]) -> None:
        self._running += 1
        try:
            result = await run_in_daemon_thread(partial(run_command, command, environment, self._folder))
        except UsageError as error:
            self._show(error.message, failed=True)
        else:
            self._show_end(command, result)
        finally:
            self._running -= 1

    def _show_end(self, command: OwnCommand, result: CommandResult) -> None:
        output = f": {result.last_line}" if result.last_line else ""
        if result.code == 0:
            self._show(f"{command.name}{output or ' has ended'}")
        else:
            self._show(f"{command.name} failed ({result.code}){output}", failed=True)

    def _show(self, line: str, *, failed: bool = False) -> None:
        """Show the line above the keys; a long one is cut there."""
        if self._screen.is_mounted:
            shown = display_text(f"⚠ {line}" if failed else line, limit=300)
            self._screen.action_line.show(Content.styled(shown, "$text-warning" if failed else ""), seconds=_SECONDS)
