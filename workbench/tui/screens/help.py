"""Help: every key and what it does, generated from the action registry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from workbench.tui.screens.modals.dialog import Dialog
from workbench.workspace.keymap import GROUPS, Action, ActionMap, KeyScope

_LEAST_KEY_CELLS = 13
_KEY_GAP = 2
_MIN_WIDTH_FOR_IDS = 100


class HelpScreen(Dialog[None]):
    """Dialog that any of its keys, escape or q closes."""

    DEFAULT_CSS = "HelpScreen #help-scroll { height: auto; max-height: 62vh; }"
    BINDINGS: ClassVar = [
        ("q,question_mark,f1,enter", "cancel", "close"),
        ("j,down", "scroll(1)", "down"),
        ("k,up", "scroll(-1)", "up"),
        ("space,pagedown", "scroll(10)", "on"),
    ]

    def __init__(
        self, actions: ActionMap, *, table: str = "curate.keys", places: Sequence[KeyScope] = tuple(KeyScope)
    ) -> None:
        """Create the dialog.

        Args:
            table: Table of negwb.toml that holds own keys for these actions; "" if there is none.
            places: Scopes whose actions are shown.
        """
        super().__init__("keys", wide=True)
        self._actions = actions
        self._places = places
        self._table = table

    def compose_body(self) -> ComposeResult:
        with VerticalScroll(id="help-scroll", can_focus=False):
            yield Static(self._text(), markup=False)
        ids = f" · ids are for [{self._table}] in negwb.toml" if self._with_ids else ""
        yield self.foot("esc close · ↑ ↓ scroll" + ids)

    @property
    def _with_ids(self) -> bool:
        return bool(self._table) and self.app.size.width >= _MIN_WIDTH_FOR_IDS

    def action_scroll(self, by: int) -> None:
        self.query_one("#help-scroll").scroll_relative(y=by, animate=False)

    def _text(self) -> Content:
        lines: list[Content] = []
        listed = self._actions.at(*self._places)
        keys = max([_LEAST_KEY_CELLS, *(len(self._actions.caps(each)) + _KEY_GAP for each in listed)])
        for group in GROUPS:
            if shown := [each for each in listed if each.group == group]:
                widest = max(len(each.help) for each in shown)
                lines += [Content.styled(group.upper(), "bold $text-accent")]
                lines += [*(self._line(each, keys, widest) for each in shown), Content("")]
        return Content("\n").join(lines[:-1])

    def _line(self, action: Action, key_cells: int, widest: int) -> Content:
        """Return keys, description and id in columns; `widest` is the width of the widest description."""
        keys = (f"  {self._actions.caps(action):<{key_cells}}", "bold")
        if not self._with_ids:
            return Content.assemble(keys, action.help)
        return Content.assemble(keys, f"{action.help:<{widest}}", ("  " + action.id, "$foreground 70% italic"))
