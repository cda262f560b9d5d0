"""Help: every key and what it does, generated from the action registry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.cells import set_cell_size
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from workbench.tui.screens.modals.dialog import Dialog
from workbench.workspace.keymap import GROUPS, Action, ActionMap, KeyScope

_LEAST_KEY_CELLS = 13
_KEY_GAP = _INDENT = 2
_LEAST_HELP_CELLS = 20
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
            yield KeyList(self.lines)
        ids = f" · ids are for [{self._table}] in negwb.toml" if self._with_ids else ""
        yield self.foot("esc close · ↑ ↓ scroll" + ids)

    @property
    def _with_ids(self) -> bool:
        return bool(self._table) and self.app.size.width >= _MIN_WIDTH_FOR_IDS

    def action_scroll(self, by: int) -> None:
        self.query_one("#help-scroll").scroll_relative(y=by, animate=False)

    def lines(self, width: int) -> list[Content]:
        """Return the lines of all actions in `width` cells."""
        lines: list[Content] = []
        listed = self._actions.at(*self._places)
        keys = max([_LEAST_KEY_CELLS, *(len(self._actions.caps(each)) + _KEY_GAP for each in listed)])
        room = width - _INDENT - keys
        for group in GROUPS:
            if shown := [each for each in listed if each.group == group]:
                ids = max(len(each.id) for each in shown) + _KEY_GAP if self._with_ids else 0
                cells = min(max(len(each.help) for each in shown), max(_LEAST_HELP_CELLS, room - ids))
                lines += [Content.styled(group.upper(), "bold $text-accent")]
                lines += [line for each in shown for line in self._entry(each, keys, cells)]
                lines.append(Content(""))
        return lines[:-1]

    def _entry(self, action: Action, key_cells: int, help_cells: int) -> list[Content]:
        """Return keys, description and id in columns; the description is folded in its column."""
        keys = Content.styled(" " * _INDENT + set_cell_size(self._actions.caps(action), key_cells), "bold")
        first, *others = Content(action.help).wrap(help_cells)
        if self._with_ids:
            gap = " " * (help_cells - first.cell_length + _KEY_GAP)
            first = Content.assemble(first, gap, (action.id, "$foreground 70% italic"))
        return [keys + first, *(Content(" " * keys.cell_length) + line for line in others)]


class KeyList(Widget):
    """Lines that are laid out for the width of the widget."""

    DEFAULT_CSS = "KeyList { height: auto; }"

    def __init__(self, lines: Callable[[int], list[Content]]) -> None:
        """Args: lines: returns the lines for a width in cells."""
        super().__init__()
        self._lines = lines

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines(width))

    def render(self) -> Content:
        return Content("\n").join(self._lines(self.content_size.width))
