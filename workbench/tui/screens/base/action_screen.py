"""A screen with a scope of the action registry: its bindings, help and command palette come from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, cast

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from curation_db.language.sanitize import display_text
from workbench.tui.bindings import bind
from workbench.tui.key_folding import fold_key
from workbench.tui.screens.base.sized_screen import SizedScreen
from workbench.tui.widgets.lines.action_line import ActionLine
from workbench.tui.widgets.lines.key_hints import KeyHints, PaneKeys, border_keys
from workbench.tui.widgets.lists.static_table import StaticTable
from workbench.workspace.keymap import ActionMap, KeyScope

_MESSAGE_SECONDS = 3.0


class ActionScreen(SizedScreen):
    """Base class of screens; subclasses pass `actions` and a `place`."""

    HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012
    DEFAULT_CSS = """
    ActionScreen .pane {
        border: round $border; border-title-color: $text-accent; border-subtitle-color: $text-muted;
    }
    ActionScreen .pane, ActionScreen VerticalScroll { scrollbar-background: $background; scrollbar-color: $border; }
    """

    PANES: ClassVar[Mapping[str, Sequence[PaneKeys]]] = {}
    """The keys in the lower border of each pane, by its selector."""

    def __init__(self, actions: ActionMap, place: KeyScope) -> None:
        super().__init__()
        self.actions = actions
        self.place = place
        self.panes = dict(self.PANES)
        """`PANES`, and those keys of panes that depend on what the screen shows."""
        self.pane_ids: frozenset[str] = frozenset()
        """The ids of the actions whose keys are in the border of a pane."""
        bind(self, actions, place)

    def compose_foot(self) -> ComposeResult:
        """Compose the line of messages and the line of keys; `update_keys` leaves out those of the panes."""
        yield ActionLine(id="done")
        yield KeyHints(self.actions, self.place, id="keys")

    @property
    def scope(self) -> KeyScope:
        """The meaning of the keys at the moment."""
        return self.place

    # -- actions that do not apply ----------------------------------------------------------------------------------

    def disabled_reason(self, action: str, parameters: tuple[object, ...]) -> str:
        """Return why an action of this screen does not apply at the moment; "" if it does.

        Its key is grey, and pressing it shows the reason.
        """
        return ""

    def scroll_reason(self, selector: str, by: int) -> str:
        """Return why a pane cannot scroll by so many lines; "" if it can."""
        pane = self.query_one(selector)
        if pane.max_scroll_y <= 0:
            return "all of it is shown"
        if by > 0 and pane.scroll_y >= pane.max_scroll_y:
            return "this is the end"
        return "this is the beginning" if by < 0 and pane.scroll_y <= 0 else ""

    def update_keys(self) -> None:
        """Draw the keys anew after a change of what applies; those without room in their pane are in the line below."""
        if not self.is_whole:
            return
        shown: set[str] = set()
        for selector, keys in self.panes.items():
            for pane in self.query(selector):
                if pane.display and pane.size.width:
                    shown |= border_keys(pane, keys, self.actions, self.disabled_reason)
        self.pane_ids = frozenset(shown)
        for hints in self.query(KeyHints):
            hints.leave_out(shown)

    def update_keys_later(self) -> None:
        """Draw the keys anew once a new content has its size."""
        self.call_after_refresh(self.update_keys)

    def on_resize(self) -> None:
        if self.is_whole:
            self.call_after_refresh(self.update_keys)

    async def on_key(self, event: events.Key) -> None:
        """Apply a key of another keyboard layout; show that a printable key has no action here."""
        if not _takes_text(self.focused):
            await apply_unbound_key(self, event, self.actions, self.scope)

    # -- actions of several screens ---------------------------------------------------------------------------------

    def action_move_row(self, by: int) -> None:
        """Move the cursor of the table."""
        for table in self.query(StaticTable):
            table.action_move(by)

    def action_page_rows(self, by: int) -> None:
        for table in self.query(StaticTable):
            table.action_page(by)

    def action_show_help(self) -> None:
        """Show every key of this screen and what it does."""
        from workbench.tui.screens.help import HelpScreen  # only when opened

        self.app.push_screen(HelpScreen(self.actions, table="", places=(self.place,)))

    def show_message(self, message: str, *, hint: str = "", trouble: bool = False) -> None:
        """Show a message for a few seconds, in the line above the keys if it fits there; data may be in it.

        Trouble is a notification.
        """
        line = Content(display_text(f"{message} — {hint}" if hint else message, limit=300))
        for action_line in self.query(ActionLine):
            if not trouble and action_line.fits(line):
                action_line.show(line, seconds=_MESSAGE_SECONDS)
                return
        severity, seconds = ("error", 8) if trouble else ("information", _MESSAGE_SECONDS)
        self.notify(line.plain, severity=severity, timeout=seconds, markup=False)  # type: ignore[arg-type]


class _ShowsMessages(Protocol):
    def show_message(self, message: str) -> None: ...


async def apply_unbound_key(screen: Screen[Any], event: events.Key, actions: ActionMap, scope: KeyScope) -> None:
    """Apply a key of another keyboard layout; show that a printable key has no action at the moment.

    A key that has an action at the moment is left to its binding.
    """
    if not event.is_printable or not event.character or event.key in screen.active_bindings:
        return
    event.stop()
    folded = fold_key(event.character, screen._bindings.key_to_bindings)
    if folded is None or not await screen.app._check_bindings(folded):
        cast(_ShowsMessages, screen).show_message(no_action_message(event.character, actions, scope))


def no_action_message(character: str, actions: ActionMap, scope: KeyScope) -> str:
    """Return that a key has no action, and the key that lists the keys or closes the question."""
    listed, key = actions.at(scope), "space" if character == " " else display_text(character)
    if cancel := next((actions.cap(each) for each in listed if each.call.startswith("cancel_")), ""):
        return f"{key} is not an answer · {cancel} cancels"
    help_key = next((actions.cap(each) for each in listed if each.call.endswith("show_help")), "")
    return f"{key} has no action here · {help_key} lists the keys"


def _takes_text(widget: Widget | None) -> bool:
    """Return whether the widget is a field for text."""
    if widget is None or isinstance(widget, Input):
        return widget is not None
    from textual.widgets import TextArea  # only now: its import is slow, and no first card needs it

    return isinstance(widget, TextArea)
