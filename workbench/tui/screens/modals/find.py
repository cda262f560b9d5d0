"""Finding a card: words go in, up to fifty matches come out, enter opens one. The search runs off the UI thread."""

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
"""Seconds after the last key before the search begins."""


class FindModal(Dialog[int]):
    """Dismissed with a candidate's id."""

    DEFAULT_CSS = """
    FindModal #matches { height: auto; max-height: 45vh; background: $surface; border: none; padding: 0; }
    FindModal #said { color: $text-muted; margin: 0 1; }
    """
    BINDINGS: ClassVar = [("down", "move(1)", "next"), ("up", "move(-1)", "previous")]

    def __init__(self, search: Callable[[str], Awaitable[list[Match]]]) -> None:
        super().__init__("find a card", wide=True)
        self._search = search
        self._asked = ""
        self._listed = ""
        """What the matches in the list were found for."""
        self._open_first = False
        """Enter came before the matches."""

    def compose_body(self) -> ComposeResult:
        """The words, the matches."""
        yield Input(placeholder="words of a caption or a concept", id="words")
        yield Static("", id="said", markup=False)
        yield OptionList(id="matches", markup=False, compact=True)
        yield self.foot("↑ ↓ choose · enter opens · esc leaves")

    def on_mount(self) -> None:
        """The list is moved through from the input; it takes no keys."""
        self.query_one(OptionList).can_focus = False

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search for what stands there now."""
        self._asked, self._open_first = event.value, False
        self._look_up(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter: open what is chosen, or the first match once it is there."""
        event.stop()
        self._open_first = self._listed != event.value
        if self._open_first:
            return
        matches = self.query_one(OptionList)
        if matches.highlighted is not None:
            self._choose(matches.get_option_at_index(matches.highlighted))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click."""
        event.stop()
        self._choose(event.option)

    def action_move(self, by: int) -> None:
        """Up and down the matches."""
        matches = self.query_one(OptionList)
        (matches.action_cursor_down if by > 0 else matches.action_cursor_up)()

    @work(exclusive=True, exit_on_error=True)
    async def _look_up(self, words: str) -> None:
        await asyncio.sleep(_PAUSE)
        try:
            found = await self._search(words) if words.strip() else []
        except RecordError as error:
            self._say(display_text(error.message))
            return
        if words == self._asked:  # a newer question may have been asked meanwhile
            self._list(words, found)

    def _list(self, words: str, found: list[Match]) -> None:
        matches = self.query_one(OptionList)
        matches.clear_options()
        matches.add_options(Option(_line(match), id=str(match.candidate_id)) for match in found)
        matches.highlighted = 0 if found else None
        self._listed = words
        if self._open_first and found:
            self.leave(found[0].candidate_id)
        many = f"the first {MATCHES}" if len(found) == MATCHES else f"{len(found)} found"
        self._say(many if words.strip() else "")

    def _say(self, words: str) -> None:
        self.query_one("#said", Static).update(words)

    def _choose(self, option: Option) -> None:
        self.leave(int(option.id or 0) or None)


def _line(match: Match) -> Content:
    """A match on one line: its text, and where it stands as far as that may be told."""
    where = "" if match.state is None else STATES[match.state].status
    return Content.assemble(marked(highlighted_spans(match.text, limit=100), base=""), (f"  {where}", QUIET))
