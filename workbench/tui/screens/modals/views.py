"""Dialogs for saved views: choose one, or save the current one under a name."""

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

BUILT_IN_VIEWS = {
    "judges disagree": "is:conflict state:open sort:conflict",
    "checks warn": "lint:in-sibling,in-caption,in-objects -state:rejected,superseded",
    "contested": "state:contested sort:decided",
    "flagged": "is:flagged sort:decided",
    "decided too fast": "is:hasty sort:decided",
    "decided last": "-state:open sort:decided",
    "rejected: object is present": "reason:present sort:decided",
}
"""Views that every workspace has."""
_NAME_CELLS = 24
_LONGEST_NAME = 40


class ViewsModal(Dialog[str]):
    """Dismissed with the query of a view."""

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
        """Compose the list: saved views first, then the built-in ones."""
        if not self._own:
            yield Static("No saved views yet: W saves the current one.", id="views-own", markup=False)
        listed = {**BUILT_IN_VIEWS, **self._own}
        names = [*self._own, *(name for name in BUILT_IN_VIEWS if name not in self._own)]
        yield OptionList(
            *(Option(_line(name, listed[name], own=name in self._own), id=str(n)) for n, name in enumerate(names)),
            markup=False,
            compact=True,
        )
        self._lines = [listed[name] for name in names]
        yield self.foot("↑ ↓ choose · enter open · esc cancel · saved views are in [browse.views] of negwb.toml")

    def on_mount(self, event: events.Mount) -> None:  # type: ignore[override]
        """Focus the list; other dialogs focus an input field."""
        event.prevent_default()
        self.set_focus(self.query_one(OptionList))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
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
        """`save` writes the view under a name, or raises `UsageError`."""
        super().__init__("save this view")
        self._line, self._save = line, save

    def compose_body(self) -> ComposeResult:
        yield Static(display_text(self._line, limit=300), id="view-line", markup=False)
        yield Input(placeholder="a name", max_length=_LONGEST_NAME, id="view-name")
        yield Static("", id="view-refused", markup=False)
        yield self.foot("enter save, replacing a view of the same name · esc cancel")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        name = display_text(event.value, limit=_LONGEST_NAME)
        if not name:
            return
        try:
            self._save(name)
        except UsageError as error:
            message = f"✗ {error.message} — {error.hint}"
            self.query_one("#view-refused", Static).update(Content.styled(display_text(message, limit=300), BAD))
        else:
            self.leave(name)
