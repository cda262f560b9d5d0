"""A screen that knows its place in a list of actions: its bindings, its help and the palette come from there."""

from __future__ import annotations

from textual.screen import Screen

from curation_db.language.sanitize import display_text
from workbench.tui.bindings import bind
from workbench.workspace.keymap import ActionMap, KeyScope


class ActionScreen(Screen[None]):
    """Give it `actions` and a `place`."""

    HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012

    def __init__(self, actions: ActionMap, place: KeyScope) -> None:
        super().__init__()
        self.actions = actions
        self.place = place
        bind(self, actions, place)

    @property
    def is_whole(self) -> bool:
        """Whether its widgets are there: an app that is just ending opens a screen without any."""
        return bool(self.children)

    def action_show_help(self) -> None:
        """Every key and what it does."""
        from workbench.tui.screens.help import HelpScreen  # only when opened

        self.app.push_screen(HelpScreen(self.actions, table=""))

    def tell(self, message: str, *, hint: str = "", trouble: bool = False) -> None:
        """A line for a few seconds; data may be in it."""
        line = display_text(f"{message} — {hint}" if hint else message, limit=300)
        severity, seconds = ("error", 8) if trouble else ("information", 3)
        self.notify(line, severity=severity, timeout=seconds, markup=False)  # type: ignore[arg-type]
