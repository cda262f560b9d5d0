"""A screen with a scope of the action registry: its bindings, help and command palette come from there."""

from __future__ import annotations

from curation_db.language.sanitize import display_text
from workbench.tui.bindings import bind
from workbench.tui.screens.base.sized_screen import SizedScreen
from workbench.workspace.keymap import ActionMap, KeyScope


class ActionScreen(SizedScreen):
    """Base class of screens; subclasses pass `actions` and a `place`."""

    HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012

    def __init__(self, actions: ActionMap, place: KeyScope) -> None:
        super().__init__()
        self.actions = actions
        self.place = place
        bind(self, actions, place)

    @property
    def is_whole(self) -> bool:
        """Whether the widgets are mounted: an app that is just ending opens a screen without any."""
        return bool(self.children)

    def action_show_help(self) -> None:
        """Show every key and what it does."""
        from workbench.tui.screens.help import HelpScreen  # only when opened

        self.app.push_screen(HelpScreen(self.actions, table=""))

    def show_message(self, message: str, *, hint: str = "", trouble: bool = False) -> None:
        """Show a notification for a few seconds; data may be in it."""
        line = display_text(f"{message} — {hint}" if hint else message, limit=300)
        severity, seconds = ("error", 8) if trouble else ("information", 3)
        self.notify(line, severity=severity, timeout=seconds, markup=False)  # type: ignore[arg-type]
