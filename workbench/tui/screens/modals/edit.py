"""Mending a negated caption: the text, what it denies, and live what the checks will say."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static, TextArea

from curation_db.bpe import CONTEXT_LENGTH, count_tokens
from curation_db.negation import find_cues
from curation_db.text import clean, display_text
from workbench.tui.paint import GOOD, QUIET, WARN
from workbench.tui.screens.modals.dialog import Dialog


@dataclass(frozen=True, slots=True)
class Edited:
    """What the person wrote."""

    text: str
    concept: str | None
    """None: left alone, so that it is worked out from the new text."""


_SAVE = frozenset({"enter", "ctrl+s"})
# Handled by the fields themselves and not by a binding of the dialog: a binding would overtake letters that are still
# on their way to the field, and save a caption that is cut short.


class CaptionArea(TextArea):
    """A caption is one line, however it wraps: enter saves it."""

    class Saved(Message):
        """A key that saves was pressed."""

    async def _on_key(self, event: events.Key) -> None:
        if event.key in _SAVE:
            event.stop()
            event.prevent_default()
            self.post_message(self.Saved())


class ConceptInput(Input):
    """One line; the same keys save."""

    async def _on_key(self, event: events.Key) -> None:
        if event.key in _SAVE:
            event.stop()
            event.prevent_default()
            await self.action_submit()


class EditModal(Dialog[Edited]):
    """Dismissed with the new text."""

    DEFAULT_CSS = """
    EditModal CaptionArea { height: 6; border: tall $border; }
    EditModal CaptionArea:focus { border: tall $primary; }
    EditModal #original { margin-bottom: 1; color: $text-muted; }
    EditModal #live { margin: 0 0 1 1; }
    """

    def __init__(self, text: str, original: str | None, concept: str | None) -> None:
        super().__init__("edit the negated caption")
        self._text = clean(text)
        self._original = original
        self._concept = display_text(concept or "", limit=200)

    def compose_body(self) -> ComposeResult:
        """The original, the text, what is to say about it, and the concept."""
        if self._original:
            yield Static(display_text(self._original, limit=400), markup=False, id="original")
        yield CaptionArea(self._text, soft_wrap=True, tab_behavior="focus", id="text")
        yield Static(id="live", markup=False)
        yield Static("denies (left alone: worked out from the text)", markup=False, classes="dialog-label")
        yield ConceptInput(self._concept, id="concept-input", max_length=200)
        yield self.foot("enter or ctrl+s saves · tab to the concept · esc leaves")

    def on_mount(self) -> None:
        """The cursor stands at the end of the text."""
        area = self.query_one(CaptionArea)
        area.move_cursor(area.document.end)
        self._look()

    def on_text_area_changed(self) -> None:
        """While the person types."""
        self._look()

    def on_caption_area_saved(self) -> None:
        """Enter in the text."""
        self.action_save()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter in the concept."""
        event.stop()
        self.action_save()

    def action_save(self) -> None:
        """Close with the text, where there is one."""
        text = self.query_one(CaptionArea).text
        concept = self.query_one(Input).value.strip()
        if not text.strip() or text == self._text:
            self.query_one("#live", Static).update(Content.styled("⚠ change the text, or leave with esc", WARN))
            return
        self.leave(Edited(text, concept if concept != self._concept else None))

    def _look(self) -> None:
        """Cue and tokens of the text as it stands."""
        text = self.query_one(CaptionArea).text
        cue = next(iter(find_cues(text)), None)
        tokens = count_tokens(text)
        fits = tokens <= CONTEXT_LENGTH
        said = Content.assemble(
            ("✓ ", GOOD) if cue else ("⚠ ", WARN), f"cue “{display_text(cue.text)}”" if cue else "no negation cue",
            "   ", ("✓ ", GOOD) if fits else ("⚠ ", WARN), f"{tokens}/{CONTEXT_LENGTH} tokens",
            ("" if fits else ": CLIP cuts the rest off", QUIET),
        )  # fmt: skip
        self.query_one("#live", Static).update(said)
