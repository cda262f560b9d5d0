"""Dialog that finds a card: shows up to fifty matches while the user types, enter opens one. Searches in a thread.

Up at the first match goes to earlier searches; page up and page down always do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
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
from workbench.tui.rendering.card_content import QUIET, WARN, marked
from workbench.tui.rendering.line_cut import cut_line
from workbench.tui.screens.modals.dialog import Dialog
from workbench.tui.threads import run_in_daemon_thread
from workbench.workspace.query_history import HistoryCursor, QueryHistory

_LONGEST = 400
"""Characters of a match."""
_PAUSE = 0.12
"""Seconds after the last key before the search starts."""


class FindModal(Dialog[int]):
    """Dismissed with a candidate's id."""

    DEFAULT_CSS = """
    FindModal #matches { height: auto; max-height: 45vh; background: $surface; border: none; padding: 0; }
    FindModal #find-status { color: $text-muted; margin: 0 1; }
    """
    BINDINGS: ClassVar = [
        ("down", "move(1)", "next"),
        ("up", "move(-1)", "previous"),
        ("pageup", "recall(True)", "earlier search"),
        ("pagedown", "recall(False)", "later search"),
    ]

    def __init__(
        self, search: Callable[[str], Awaitable[tuple[list[Match], str]]], history: QueryHistory | None = None
    ) -> None:
        """Args: search: returns the matches of a query, and a warning about them or ""."""
        super().__init__("find a card", wide=True)
        self._search = search
        self._history, self._in_history = history or QueryHistory(), HistoryCursor()
        self._query = ""
        self._listed_query = ""
        """The query of the matches in the list."""
        self._open_first = False
        """Whether enter was pressed before the matches arrived."""

    def compose_body(self) -> ComposeResult:
        yield Input(placeholder="words of a caption or a concept, or like:1204", id="words")
        yield Static("", id="find-status", markup=False)
        yield OptionList(id="matches", markup=False, compact=True)
        yield self.foot("↑ ↓ choose · ↑ before the first: older · enter open · esc cancel")

    def on_mount(self) -> None:
        """Keep the focus in the input; the list is moved through from there."""
        self.query_one(OptionList).can_focus = False
        self.run_worker(run_in_daemon_thread(self._history.load))

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
        if by < 0 and not matches.highlighted:
            self.action_recall(True)
        elif matches.option_count:
            (matches.action_cursor_down if by > 0 else matches.action_cursor_up)()
        elif by > 0:
            self.action_recall(False)

    def action_recall(self, older: bool) -> None:
        """Show an earlier search, or a later one."""
        field = self.query_one(Input)
        in_history = self._in_history
        recalled = in_history.older(field.value, self._history.queries) if older else in_history.newer(field.value)
        if recalled is not None:
            field.value = recalled
            field.cursor_position = len(recalled)

    @work(exclusive=True, exit_on_error=True)
    async def _look_up(self, query: str) -> None:
        await asyncio.sleep(_PAUSE)
        try:
            matches, note = await self._search(query) if query.strip() else ([], "")
        except RecordError as error:
            self._show_status(display_text(error.message))
            return
        if query == self._query:  # a newer query may have been typed meanwhile
            self._list(query, matches, note)

    def _list(self, query: str, matches: list[Match], note: str) -> None:
        options = self.query_one(OptionList)
        options.clear_options()
        width = max(20, options.scrollable_content_region.width - 2)
        options.add_options(Option(_line(match, width), id=str(match.candidate_id)) for match in matches)
        options.highlighted = 0 if matches else None
        self._listed_query = query
        if self._open_first and matches:
            self._open(matches[0].candidate_id)
        many = f"the first {MATCHES}" if len(matches) == MATCHES else f"{len(matches)} found"
        self._show_status(many if query.strip() else "", note)

    def _show_status(self, text: str, note: str = "") -> None:
        warning = f"\n⚠ {display_text(note)}" if note else ""
        self.query_one("#find-status", Static).update(Content.assemble(text, (warning, WARN)))

    def _choose(self, option: Option) -> None:
        self._open(int(option.id or 0))

    def _open(self, candidate_id: int) -> None:
        if self.is_active:  # a second enter opens nothing
            self.app.run_worker(run_in_daemon_thread(partial(self._history.add, self._query)))
        self.leave(candidate_id)


def _line(match: Match, width: int) -> Content:
    """Return a match on one line: its text, and its state unless that must be hidden."""
    status = "" if match.state is None else f"  {STATES[match.state].status}"
    text = cut_line(marked(highlighted_spans(match.text, limit=_LONGEST), base=""), width - len(status))
    return Content.assemble(text, (status, QUIET))
