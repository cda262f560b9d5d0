"""Dialog that finds a card: shows up to fifty matches while the user types, enter opens one. Searches in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from curation_db.errors import RecordError
from curation_db.language.sanitize import display_text
from curation_db.search.queries import Match
from workbench.annotation.session import MATCHES
from workbench.annotation.text_spans import highlighted_spans
from workbench.annotation.wording import STATES
from workbench.tui.rendering.card_content import QUIET, marked
from workbench.tui.screens.modals.dialog import Dialog

_PAUSE = 0.12
"""Seconds after the last key before the search starts."""


class FindModal(Dialog[int]):
    """Dismissed with a candidate's id."""

    DEFAULT_CSS = """
    FindModal #matches { height: auto; max-height: 45vh; background: $surface; border: none; padding: 0; }
    FindModal #find-status { color: $text-muted; margin: 0 1; }
    """
    BINDINGS: ClassVar = [("down", "move(1)", "next"), ("up", "move(-1)", "previous")]

    def __init__(self, search: Callable[[str], Awaitable[list[Match]]]) -> None:
        super().__init__("find a card", wide=True)
        self._search = search
        self._query = ""
        self._listed_query = ""
        """The query of the matches in the list."""
        self._open_first = False
        """Whether enter was pressed before the matches arrived."""

    def compose_body(self) -> ComposeResult:
        yield Input(placeholder="words of a caption or a concept", id="words")
        yield Static("", id="find-status", markup=False)
        yield OptionList(id="matches", markup=False, compact=True)
        yield self.foot("↑ ↓ choose · enter: open · esc: cancel")

    def on_mount(self) -> None:
        """Keep the focus in the input; the list is moved through from there."""
        self.query_one(OptionList).can_focus = False

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search for the current text."""
        self._query, self._open_first = event.value, False
        self._look_up(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Open the highlighted match, or the first match once it arrives."""
        event.stop()
        self._open_first = self._listed_query != event.value
        if self._open_first:
            return
        matches = self.query_one(OptionList)
        if matches.highlighted is not None:
            self._choose(matches.get_option_at_index(matches.highlighted))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._choose(event.option)

    def action_move(self, by: int) -> None:
        matches = self.query_one(OptionList)
        (matches.action_cursor_down if by > 0 else matches.action_cursor_up)()

    @work(exclusive=True, exit_on_error=True)
    async def _look_up(self, query: str) -> None:
        await asyncio.sleep(_PAUSE)
        try:
            matches = await self._search(query) if query.strip() else []
        except RecordError as error:
            self._show_status(display_text(error.message))
            return
        if query == self._query:  # a newer query may have been typed meanwhile
            self._list(query, matches)

    def _list(self, query: str, matches: list[Match]) -> None:
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(Option(_line(match), id=str(match.candidate_id)) for match in matches)
        options.highlighted = 0 if matches else None
        self._listed_query = query
        if self._open_first and matches:
            self.leave(matches[0].candidate_id)
        many = f"the first {MATCHES}" if len(matches) == MATCHES else f"{len(matches)} found"
        self._show_status(many if query.strip() else "")

    def _show_status(self, text: str) -> None:
        self.query_one("#find-status", Static).update(text)

    def _choose(self, option: Option) -> None:
        self.leave(int(option.id or 0) or None)


def _line(match: Match) -> Content:
    """Return a match on one line: its text, and its state unless that must be hidden."""
    status = "" if match.state is None else STATES[match.state].status
    return Content.assemble(marked(highlighted_spans(match.text, limit=100), base=""), (f"  {status}", QUIET))
