"""The log of the session: each act with the command that does the same, to copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import getters
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from curation_db.language.sanitize import display_text
from workbench.annotation.act_log import NO_COMMAND, Act, ActLog
from workbench.tui.rendering.card_content import QUIET
from workbench.tui.screens.modals.dialog import Dialog


class LogModal(Dialog[None]):
    """The newest act is the first one."""

    DEFAULT_CSS = """
    LogModal OptionList, LogModal OptionList:focus {
        height: auto; max-height: 62vh; border: none; padding: 0; background: $surface;
    }
    """
    BINDINGS: ClassVar = [
        ("q,L", "cancel", "close"),
        ("j", "move(1)", "down"),
        ("k", "move(-1)", "up"),
        ("y,enter", "copy", "copy"),
        ("Y", "copy_all", "copy all"),
    ]

    listed = getters.query_one(OptionList)

    def __init__(self, log: ActLog) -> None:
        super().__init__("log of this session", wide=True)
        self._log = log
        self._acts: Sequence[Act] = list(reversed(log.acts))

    def compose_body(self) -> ComposeResult:
        if not self._acts:
            yield Static("You have done nothing yet in this session.", markup=False)
            yield self.foot("esc close")
            return
        yield OptionList(*(Option(act_line(act)) for act in self._acts), markup=False)
        yield self.foot("y copy the command · Y copy all, as a script · esc close")

    def action_move(self, by: int) -> None:
        if self._acts:
            (self.listed.action_cursor_down if by > 0 else self.listed.action_cursor_up)()

    def on_option_list_option_selected(self) -> None:
        self.action_copy()

    def action_copy(self) -> None:
        """Copy the command of the chosen act."""
        chosen = self.listed.highlighted if self._acts else None
        if chosen is None:
            return
        act = self._acts[chosen]
        if act.command:
            self.app.copy_to_clipboard(act.command)
            self.notify("copied: the command", timeout=3, markup=False)
        else:
            self.notify(f"{act.did}: {NO_COMMAND}", timeout=3, severity="warning", markup=False)

    def action_copy_all(self) -> None:
        """Copy the commands of all acts, the oldest first."""
        if self._acts:
            self.app.copy_to_clipboard(self._log.script)
            self.notify("copied: the commands, the oldest first", timeout=3, markup=False)


def act_line(act: Act) -> Content:
    """Return the time, the act and below it the command."""
    about = f"  candidate {act.candidate_id}" if act.candidate_id is not None else ""
    return Content.assemble(
        (f"{act.at:%H:%M:%S}  ", QUIET),
        (display_text(act.did, limit=60), "bold"),
        (about, QUIET),
        "\n  ",
        (display_text(act.command, limit=600), "$text-accent") if act.command else (NO_COMMAND, QUIET),
    )
