"""Input line for a view query with completion and history; a line below shows the list's status, completions or an
error."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, Static

from curation_db.language.sanitize import display_text
from curation_db.search.query_language import CLOSED, QueryField, Sort, TermMeaning, View, ViewError, parse_view
from workbench.tui.rendering.card_content import BAD, QUIET
from workbench.workspace.query_history import HistoryCursor, QueryHistory

_PLACEHOLDER = "everything · / filters: state: by: judge: is: lint: cue: concept: … or words"
_LONGEST = 500
_LAST = re.compile(r"(?:^|\s)-?(?:([a-z_]+):)?([^\s:]*)$", re.IGNORECASE)
_PLAIN = re.compile(r'[^\s,"=]+')
_MAX_COMPLETIONS = 40

Values = Callable[[QueryField], Sequence[str]]


class _Completion(Suggester):
    """Suggests the first completion behind the typed text; right arrow or tab accepts it."""

    def __init__(self, values: Values) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._values = values

    async def get_suggestion(self, value: str) -> str | None:
        """Return the whole line with the first completion."""
        ends = completions(value, self._values)
        whole = completed(value, ends[0]) if ends else None
        return whole if whole is not None and whole.startswith(value) else None


class _Line(Input):
    """An input in which tab accepts the suggestion."""

    BINDINGS: ClassVar = [("tab", "cursor_right", "complete")]


class FilterBar(Vertical):
    """`values` returns the known names of a field; it is called while the user types, so it must not block."""

    DEFAULT_CSS = """
    FilterBar { height: 2; padding: 0 1; }
    FilterBar _Line, FilterBar _Line:focus { height: 1; border: none; padding: 0; background: $background; }
    FilterBar _Line:focus { background: $surface; }
    FilterBar #filter-status { height: 1; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    @dataclass
    class ViewTyped(Message):
        """Enter was pressed on a valid query."""

        view: View
        line: str
        """The query as it was typed."""

    class TypingLeft(Message):
        """The user left the input."""

    def __init__(self, values: Values, history: QueryHistory, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._values = values
        self._history, self._in_history = history, HistoryCursor()
        self._view = View()
        self._status_text = Content("")

    def compose(self) -> ComposeResult:
        yield _Line(
            placeholder=_PLACEHOLDER,
            max_length=_LONGEST,
            suggester=_Completion(self._values),
            id="filter",
            select_on_focus=False,
        )
        yield Static(id="filter-status", markup=False)

    @property
    def typed(self) -> Input:
        return self.query_one(Input)

    def show(self, view: View) -> None:
        """Show the query of the list."""
        self._view = view
        self.typed.value = display_text(str(view), limit=_LONGEST)

    def show_status(self, status: Content) -> None:
        """Set the text that is shown while the input has no focus."""
        self._status_text = status
        if not self.typed.has_focus:
            self.query_one("#filter-status", Static).update(status)

    def begin(self) -> None:
        """Focus the input, with the cursor at its end."""
        self.typed.focus()
        self._in_history = HistoryCursor()
        if self.typed.value and not self.typed.value.endswith(" "):
            self.typed.value += " "
        self.typed.cursor_position = len(self.typed.value)
        self._hint()

    def on_input_changed(self) -> None:
        if self.typed.has_focus:
            self._hint()

    def _hint(self) -> None:
        ends = completions(self.typed.value, self._values)
        text = "   ".join(display_text(end, limit=40) for end in ends) or _hint_of(self.typed.value)
        self.query_one("#filter-status", Static).update(Content.styled(text, QUIET))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Post the query, or show its error."""
        event.stop()
        try:
            view = parse_view(event.value)
        except ViewError as error:
            self.query_one("#filter-status", Static).update(Content.styled(f"✗ {error}", BAD))
            return
        self.post_message(self.ViewTyped(view, event.value))

    def on_key(self, event: events.Key) -> None:
        """Go through the earlier queries on up and down; return to the list on escape, and on down at the newest."""
        if event.key not in ("escape", "up", "down"):
            return
        event.stop()
        event.prevent_default()
        line = self.typed.value
        if event.key == "up":
            recalled = self._in_history.older(line, self._history.queries)
        else:
            recalled = self._in_history.newer(line) if event.key == "down" else None
        if recalled is not None:
            self.typed.value = recalled
            self.typed.cursor_position = len(recalled)
        elif event.key != "up":
            self.show(self._view)
            self.post_message(self.TypingLeft())

    def on_descendant_blur(self) -> None:
        """Show the status of the list again."""
        self.query_one("#filter-status", Static).update(self._status_text)


def _hint_of(line: str) -> str:
    if not line.strip():
        return 'state:open   judge:llava=present   lint:in-sibling   by:ana   concept:"fire hydrant"   like:1204'
    return "enter apply · -term exclude · a,b either · sort: order · tab complete · ↑ earlier · esc"


# -- completion ---------------------------------------------------------------------------------------------------


def completions(line: str, values: Callable[[QueryField], Sequence[str]]) -> list[str]:
    """Return the possible completions of the last term of `line`; `values`: known values of a field."""
    last = _LAST.search(line)
    if last is None:
        return []
    name, prefix = (last[1] or "").lower(), last[2]
    if not name:
        return [f"{each}:" for each in (*QueryField, "sort") if each.startswith(prefix.lower())] if prefix else []
    known = _known(name, values)
    if name == QueryField.JUDGE and "=" in prefix:
        judge, _, typed = prefix.rpartition("=")
        return [f"{judge}={meaning}" for meaning in TermMeaning if meaning.startswith(typed.lower())]
    done, comma, word = prefix.rpartition(",")
    return [done + comma + each for each in known if each.lower().startswith(word.lower())][:_MAX_COMPLETIONS]


def _known(name: str, values: Callable[[QueryField], Sequence[str]]) -> list[str]:
    if name == "sort":
        return [str(sort) for sort in Sort]
    if name not in list(QueryField):
        return []
    field = QueryField(name)
    known = CLOSED.get(field) or values(field)
    return [value if _PLAIN.fullmatch(value) else f'"{value}"' for value in known]


def completed(line: str, end: str) -> str:
    """Return `line` with its last term replaced by `end`."""
    last = _LAST.search(line)
    return line if last is None else line[: last.start(2)] + end
