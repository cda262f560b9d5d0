"""Input line for a view query with completion; a line below shows the list's status, completions or an error."""

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

_INVITES = "everything · / filters: state: by: judge: is: lint: cue: concept: … or words"
_LONGEST = 500
_LAST = re.compile(r"(?:^|\s)-?(?:([a-z_]+):)?([^\s:]*)$", re.IGNORECASE)
_PLAIN = re.compile(r'[^\s,"=]+')
_MOST = 40

Values = Callable[[QueryField], Sequence[str]]


class _Completion(Suggester):
    """The first thing that could follow, behind what is typed; the right arrow takes it, and so does tab."""

    def __init__(self, values: Values) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._values = values

    async def get_suggestion(self, value: str) -> str | None:
        """The whole line as it would be."""
        found = completions(value, self._values)
        whole = completed(value, found[0]) if found else None
        return whole if whole is not None and whole.startswith(value) else None


class _Line(Input):
    """Tab takes what is suggested."""

    BINDINGS: ClassVar = [("tab", "cursor_right", "complete")]


class FilterBar(Vertical):
    """Give it `values`, the names that the record knows of a field: asked while somebody types, so it must not wait."""

    DEFAULT_CSS = """
    FilterBar { height: 2; padding: 0 1; }
    FilterBar _Line, FilterBar _Line:focus { height: 1; border: none; padding: 0; background: $background; }
    FilterBar _Line:focus { background: $surface; }
    FilterBar #filter-status { height: 1; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    @dataclass
    class ViewTyped(Message):
        """A line that is a view, and enter."""

        view: View

    class TypingLeft(Message):
        """The list has the keys again."""

    def __init__(self, values: Values, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._values = values
        self._view = View()
        self._says = Content("")

    def compose(self) -> ComposeResult:
        """The line, and what is said about it."""
        yield _Line(
            placeholder=_INVITES,
            max_length=_LONGEST,
            suggester=_Completion(self._values),
            id="filter",
            select_on_focus=False,
        )
        yield Static(id="filter-status", markup=False)

    @property
    def typed(self) -> Input:
        """The line."""
        return self.query_one(Input)

    def show(self, view: View) -> None:
        """The view that the list shows."""
        self._view = view
        self.typed.value = display_text(str(view), limit=_LONGEST)

    def say(self, told: Content) -> None:
        """What there is to say while nobody types."""
        self._says = told
        if not self.typed.has_focus:
            self.query_one("#filter-status", Static).update(told)

    def begin(self) -> None:
        """Type: at the end of what is there."""
        self.typed.focus()
        if self.typed.value and not self.typed.value.endswith(" "):
            self.typed.value += " "
        self.typed.cursor_position = len(self.typed.value)
        self._hint()

    def on_input_changed(self) -> None:
        """Say what could follow."""
        if self.typed.has_focus:
            self._hint()

    def _hint(self) -> None:
        found = completions(self.typed.value, self._values)
        told = "   ".join(display_text(end, limit=40) for end in found) or _hint_of(self.typed.value)
        self.query_one("#filter-status", Static).update(Content.styled(told, QUIET))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter: a view, or what is wrong with it."""
        event.stop()
        try:
            view = parse_view(event.value)
        except ViewError as error:
            self.query_one("#filter-status", Static).update(Content.styled(f"✗ {error}", BAD))
            return
        self.post_message(self.ViewTyped(view))

    def on_key(self, event: events.Key) -> None:
        """Escape and the way down lead back to the list."""
        if event.key in ("escape", "down"):
            event.stop()
            event.prevent_default()
            self.show(self._view)
            self.post_message(self.TypingLeft())

    def on_descendant_blur(self) -> None:
        """What is said about the list again."""
        self.query_one("#filter-status", Static).update(self._says)


def _hint_of(line: str) -> str:
    if not line.strip():
        return 'state:open   judge:llava=present   lint:in-sibling   by:ana   concept:"fire hydrant"   "red hat"'
    return "enter shows it · -term leaves out · a,b is either · sort: orders · tab completes · esc"


# -- completion ---------------------------------------------------------------------------------------------------


def completions(line: str, values: Callable[[QueryField], Sequence[str]]) -> list[str]:
    """The ends that the last term of `line` could have, whole words; `values`: what a record knows of a field."""
    last = _LAST.search(line)
    if last is None:
        return []
    name, begun = (last[1] or "").lower(), last[2]
    if not name:
        return [f"{each}:" for each in (*QueryField, "sort") if each.startswith(begun.lower())] if begun else []
    known = _known(name, values)
    if name == QueryField.JUDGE and "=" in begun:
        judge, _, said = begun.rpartition("=")
        return [f"{judge}={says}" for says in TermMeaning if says.startswith(said.lower())]
    done, comma, word = begun.rpartition(",")
    return [done + comma + each for each in known if each.lower().startswith(word.lower())][:_MOST]


def _known(name: str, values: Callable[[QueryField], Sequence[str]]) -> list[str]:
    if name == "sort":
        return [str(sort) for sort in Sort]
    if name not in list(QueryField):
        return []
    field = QueryField(name)
    known = CLOSED.get(field) or values(field)
    return [value if _PLAIN.fullmatch(value) else f'"{value}"' for value in known]


def completed(line: str, end: str) -> str:
    """`line` with its last term ended so."""
    last = _LAST.search(line)
    return line if last is None else line[: last.start(2)] + end
