"""A labelled text of the card: a small label at the left, the text beside it, wrapped in its own column."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.geometry import Region
from textual.strip import Strip
from textual.widgets import Static

_BORDER_LABEL = 6
"""Cells of a border beside its label: a corner, a line and a blank at each end."""


class TrackedText(Static):
    """A text that knows whether its newest content has been drawn."""

    is_stale = False
    """Whether its newest content is not in any frame yet."""

    def set_content(self, content: Content) -> None:
        self.is_stale = True
        self.update(content)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the lines of the next frame."""
        self.is_stale = False
        return super().render_lines(crop)


class LabelledField(Horizontal):
    """A field of the card, as many rows as its text needs; hidden while it is empty."""

    DEFAULT_CSS = """
    LabelledField { height: auto; }
    LabelledField > .field-label { width: 14; color: $text-muted; }
    LabelledField > .field-text { width: 1fr; height: auto; }
    """

    def __init__(self, label: str, *, id: str, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._label = label
        self._text = TrackedText("", markup=False, classes="field-text")

    def compose(self) -> ComposeResult:
        yield Static(self._label, markup=False, classes="field-label")
        yield self._text

    def set_content(self, content: Content | None) -> None:
        """Show `content`; hide the field if it is None or empty."""
        self.display = bool(content)
        if content:
            self._text.set_content(content)
        else:
            self._text.is_stale = False


class QuestionBox(LabelledField):
    """The negated caption in a box of its own, with the question that the annotator answers about it."""

    DEFAULT_CSS = """
    QuestionBox {
        border: round $accent; border-title-color: $text-accent; border-subtitle-color: $text-muted;
        border-subtitle-align: left; padding: 0 1;
    }
    """
    QUESTIONS = ("Is this true of the image, and would a person say it?", "true of the image, and natural?", "true?")
    """The question, the longest first; the box shows the first that fits."""

    def __init__(self, label: str, *, id: str) -> None:
        super().__init__(label, id=id)
        self.border_title = label

    def compose(self) -> ComposeResult:
        yield self._text

    def on_resize(self, event: events.Resize) -> None:
        widest = self.outer_size.width - _BORDER_LABEL
        self.border_subtitle = next((each for each in self.QUESTIONS if len(each) <= widest), "")
