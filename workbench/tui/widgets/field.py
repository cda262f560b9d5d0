"""A labelled text of the card: a small label at the left, the text beside it, wrapped within its own column."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.geometry import Region
from textual.strip import Strip
from textual.widgets import Static


class Words(Static):
    """A text that knows whether its newest content has been drawn."""

    is_stale = False
    """It was given something that no frame holds yet."""

    def say(self, content: Content) -> None:
        """Show `content`."""
        self.is_stale = True
        self.update(content)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Lines for the next frame."""
        self.is_stale = False
        return super().render_lines(crop)


class LabelledField(Horizontal):
    """One line of the card, as many rows as its text takes; gone while it has nothing to say."""

    DEFAULT_CSS = """
    LabelledField { height: auto; }
    LabelledField > .field-label { width: 11; color: $text-muted; }
    LabelledField > .field-text { width: 1fr; height: auto; }
    """

    def __init__(self, label: str, *, id: str, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._label = label
        self._text = Words("", markup=False, classes="field-text")

    def compose(self) -> ComposeResult:
        """The label and the text."""
        yield Static(self._label, markup=False, classes="field-label")
        yield self._text

    def say(self, content: Content | None) -> None:
        """Show `content`; None or nothing: hide."""
        self.display = bool(content)
        if content:
            self._text.say(content)
        else:
            self._text.is_stale = False

    @property
    def said(self) -> str:
        """What it says, without its looks."""
        content = self._text.content
        return content.plain if isinstance(content, Content) else str(content)
