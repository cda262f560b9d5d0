"""Saved views: choose one, or give the one that shows a name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from curation_db.language.sanitize import display_text
from workbench.errors import UsageError
from workbench.tui.rendering.card_content import BAD, QUIET
from workbench.tui.screens.modals.dialog import Dialog

READY_MADE = {
    "judges disagree": "is:conflict state:open sort:conflict",
    "checks warn": "lint:in-sibling,in-caption,in-objects -state:rejected,superseded",
    "contested": "state:contested sort:decided",
    "flagged": "is:flagged sort:decided",
    "decided too fast": "is:hasty sort:decided",
    "decided last": "-state:open sort:decided",
    "rejected: it is there": "reason:present sort:decided",
}
"""Views that every workspace has."""
_NAME_CELLS = 24
_LONGEST_NAME = 40


class ViewsModal(Dialog[str]):
    """Dismissed with the line of a view."""

    DEFAULT_CSS = """
    ViewsModal OptionList { height: auto; max-height: 60vh; background: $surface; border: none; padding: 0; }
    ViewsModal OptionList > .option-list--option-highlighted {
        background: $primary 25%; color: $foreground; text-style: none;
    }
    ViewsModal #views-own { color: $text-muted; margin: 0 1 1 1; }
    """

    def __init__(self, own: Mapping[str, str]) -> None:
        super().__init__("views", wide=True)
        self._own = own

    def compose_body(self) -> ComposeResult:
        """Those of the workspace, then those that every workspace has."""
        if not self._own:
            yield Static("None of your own yet: W saves the one that shows.", id="views-own", markup=False)
        listed = {**READY_MADE, **self._own}
        names = [*self._own, *(name for name in READY_MADE if name not in self._own)]
        yield OptionList(
            *(Option(_line(name, listed[name], own=name in self._own), id=str(n)) for n, name in enumerate(names)),
            markup=False,
            compact=True,
        )
        self._lines = [listed[name] for name in names]
        yield self.foot("↑ ↓ choose · enter shows it · esc leaves · yours are in [browse.views] of negwb.toml")

    def on_mount(self, event: events.Mount) -> None:  # type: ignore[override]
        """The list has the keys, where other dialogs look for something to type into."""
        event.prevent_default()
        self.set_focus(self.query_one(OptionList))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter, or a click."""
        event.stop()
        self.leave(self._lines[int(event.option.id or 0)])


def _line(name: str, line: str, *, own: bool) -> Content:
    shown = display_text(name, limit=_NAME_CELLS)
    return Content.assemble(
        (f"{shown:<{_NAME_CELLS}}", "bold" if own else ""), "  ", (display_text(line, limit=200), QUIET)
    )


class SaveViewModal(Dialog[str]):
    """Dismissed with the name under which the view was saved."""

    DEFAULT_CSS = "SaveViewModal #view-line { color: $text-muted; margin: 0 1 1 1; }"

    def __init__(self, line: str, save: Callable[[str], None]) -> None:
        """`save` writes it under a name, or raises `UsageError`."""
        super().__init__("save this view")
        self._line, self._save = line, save

    def compose_body(self) -> ComposeResult:
        """What is saved, and its name."""
        yield Static(display_text(self._line, limit=300), id="view-line", markup=False)
        yield Input(placeholder="a name", max_length=_LONGEST_NAME, id="view-name")
        yield Static("", id="view-refused", markup=False)
        yield self.foot("enter saves · one of the same name is replaced · esc leaves")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter."""
        event.stop()
        name = display_text(event.value, limit=_LONGEST_NAME)
        if not name:
            return
        try:
            self._save(name)
        except UsageError as error:
            told = f"✗ {error.message} — {error.hint}"
            self.query_one("#view-refused", Static).update(Content.styled(display_text(told, limit=300), BAD))
        else:
            self.leave(name)
