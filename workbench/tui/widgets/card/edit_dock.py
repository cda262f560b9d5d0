"""Editing a negated caption and its negated concept, at the bottom of the text of its card.

It covers neither the image nor the negated caption that is replaced. While the annotator types, it shows the words that
differ from that caption, and checks the new text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events, getters
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static, TextArea

from curation_db.language.concepts import concept_after_edit
from curation_db.language.object_mentions import concept_cue
from curation_db.language.sanitize import clean, display_text
from curation_db.lint.linter import LintSettings, Rule
from curation_db.search.cards import Card
from workbench.annotation.edit_checks import findings_about
from workbench.annotation.text_spans import edited_spans
from workbench.tui.rendering.card_content import GOOD, QUIET, WARN, marked
from workbench.tui.widgets.draft import DraftWriter, RefusalLine, Save


@dataclass(frozen=True, slots=True)
class EditedCaption:
    """The text and concept that the annotator wrote."""

    text: str
    concept: str | None
    """None: unchanged, so the concept is derived from the new text."""


MOST_CHARACTERS = 5_000
"""Of a text that can be edited here."""
_SAVE = frozenset({"enter", "ctrl+s"})
_CONCEPT_HINT = "not known: name it if the text negates a concept"

# The fields handle the keys that save, not a binding: a binding would run before letters that are still on their way to
# the field, and save a caption that is cut short.


def one_line(text: str) -> str:
    """Return pasted text as a caption: line ends and tabs would break the exported files."""
    return " ".join(clean(text).split())


def _in_field(concept: str | None) -> str:
    return display_text(concept or "", limit=200)


class CaptionArea(TextArea):
    """Text area for a caption: one line of text, wrapped on the screen; enter saves it."""

    @dataclass
    class Saved(Message):
        """A key that saves was pressed."""

        text: str
        """The text at that moment; letters of keys typed ahead come after it."""

    async def _on_key(self, event: events.Key) -> None:
        if event.key in _SAVE:
            event.stop()
            event.prevent_default()
            self.post_message(self.Saved(self.text))

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        end = self.replace(one_line(event.text), *self.selection).end_location
        self.move_cursor(end)


class ConceptInput(Input):
    """Input field of one line; the same keys save."""

    async def _on_key(self, event: events.Key) -> None:
        if event.key in _SAVE:
            event.stop()
            event.prevent_default()
            await self.action_submit()


class EditDock(VerticalScroll, can_focus=False):
    """The fields, at the bottom of the screen's text; hidden until `begin`, and again once the text is saved."""

    DEFAULT_CSS = """
    EditDock {
        height: auto; max-height: 100%; padding: 0 1; display: none;
        background: $surface; border: round $accent; border-title-color: $text-accent;
        scrollbar-size-vertical: 1;
    }
    EditDock.-inline { max-height: 60%; }
    EditDock > Static { height: auto; }
    EditDock > #change { max-height: 4; color: $text-muted; }
    EditDock > CaptionArea { height: auto; min-height: 1; max-height: 5; margin: 0; padding: 0; }
    EditDock > CaptionArea, EditDock ConceptInput { background: $background; }
    EditDock > #concept { height: 1; }
    EditDock > #concept > Static { width: 10; color: $text-muted; }
    """
    BINDINGS: ClassVar = [("escape", "cancel", "cancel")]

    @dataclass
    class Closed(Message):
        """The fields are hidden again."""

        written: bool | None
        """False: cancelled after a refused write; None: cancelled."""

    area = getters.query_one(CaptionArea)
    field = getters.query_one(ConceptInput)

    def __init__(self, settings: LintSettings, *, inline: bool = False) -> None:
        """Args:
        settings: Of the checks, with the longest text that the model to be trained reads.
        inline: Below its siblings instead of above the lower part of them.
        """
        super().__init__(classes="-inline" if inline else None)
        self._settings = settings
        self._writer = DraftWriter(self, self._close)
        self._card: Card | None = None
        self._save: Save[EditedCaption] | None = None
        self._text = self._derived = ""
        self._checked: tuple[str, ...] = ()
        """The texts and the concept of the last check."""
        self.border_title = "edit the negated caption"

    def compose(self) -> ComposeResult:
        yield Static(id="change", markup=False)
        yield CaptionArea(soft_wrap=True, tab_behavior="focus", id="text", compact=True)
        with Horizontal(id="concept"):
            yield Static("concept", markup=False, id="denies")
            yield ConceptInput(placeholder=_CONCEPT_HINT, id="concept-input", max_length=200, compact=True)
        yield Static(id="live", markup=False)
        yield RefusalLine()

    @property
    def is_open(self) -> bool:
        return bool(self.display)

    def begin(self, card: Card, save: Save[EditedCaption]) -> None:
        """Show the fields with the text of a card, and put the cursor at its end."""
        self._card, self._save = card, save
        self._writer = DraftWriter(self, self._close)
        self._text, self._checked = clean(card.text), ()
        self._derived = _in_field(card.concept)
        """Content of the concept field while the annotator does not change it: the concept that would be stored."""
        self.field.value = self._derived
        self.field.select_on_focus = True
        self.area.load_text(self._text)
        self.area.move_cursor(self.area.document.end)
        self.query_one(RefusalLine).show(None)
        self.display = True
        self.scroll_home(animate=False)
        self.screen.set_focus(self.area)
        self._check_text()

    def _close(self, written: bool | None) -> None:
        if self.display:
            self.display = False
            self.screen.set_focus(None)
            self.post_message(self.Closed(written))

    def action_cancel(self) -> None:
        self._writer.cancel()

    def save(self) -> None:
        """Save what is in the fields, as the keys of the fields do."""
        self._save_as(self.area.text, self.field.value)

    def focus_other(self) -> None:
        """Move the cursor to the other field."""
        self.screen.set_focus(self.field if self.area.has_focus else self.area)

    def undo_typing(self, *, back: bool) -> None:
        """Undo or redo typing in the text."""
        self.screen.set_focus(self.area)
        (self.area.undo if back else self.area.redo)()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Mark the focused field with a glyph, not only with a colour."""
        self.query_one("#denies", Static).update("▸ concept" if isinstance(event.widget, Input) else "concept")

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        event.stop()
        self._check_text()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._check_text()

    def on_caption_area_saved(self, event: CaptionArea.Saved) -> None:
        event.stop()
        self._save_as(event.text, self.field.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._save_as(self.area.text, event.value)

    def _save_as(self, text: str, concept: str) -> None:
        edited, named = one_line(text), concept.strip()
        same_text, same_concept = self._text in {text, edited}, named in {"", self._derived}
        if not edited or (same_text and same_concept):
            self.query_one(RefusalLine).show(
                Content.styled("⚠ change the text or the concept, or cancel with esc", WARN)
            )
        elif self._save is not None:
            draft = EditedCaption(self._text if same_text else edited, None if same_concept else named)
            self._writer.write(self._save, draft)

    def _check_text(self) -> None:
        """Show what the current text changes, and the results of the checks."""
        if self._card is None or not self.is_open:
            return
        text = one_line(self.area.text)
        self._derive_concept(self._card, text)
        if (self._text, text, self.field.value) == self._checked:
            return
        self._checked = (self._text, text, self.field.value)
        self.query_one("#change", Static).update(marked(edited_spans(self._text, text), base=""))
        self.query_one("#live", Static).update(self._checks(self._card, text))

    def _checks(self, card: Card, text: str) -> Content:
        concept, limit = self.field.value, self._settings.text_limit
        cue, tokens = concept_cue(text, concept), limit.count(text)
        fits = tokens <= limit.most_tokens
        lines = [
            Content.assemble(
                ("✓ ", GOOD) if cue else ("⚠ ", WARN),
                f"cue “{display_text(cue.text)}”" if cue else "no negation cue",
                "   ",
                ("✓ ", GOOD) if fits else ("⚠ ", WARN),
                f"{tokens}/{limit.most_tokens} tokens",
                ("" if fits else ": the model ignores the rest", QUIET),
            )
        ]
        named_above = {Rule.NO_CUE, Rule.TOO_LONG}
        lines += [
            Content.styled(f"⚠ {display_text(finding.message, limit=120)}", WARN)
            for finding in findings_about(card, text, concept, self._settings)
            if finding.rule not in named_above
        ]
        return Content("\n").join(lines)

    def _derive_concept(self, card: Card, text: str) -> None:
        """Show the concept derived from `text` in the field, unless the annotator has changed it."""
        concept = card.concept
        if text not in {self._text, one_line(self._text)}:
            concept = concept_after_edit(card.caption, self._text, card.concept, None, text).text
        before, self._derived = self._derived, _in_field(concept)
        if self.field.value == before != self._derived:
            self.field.value = self._derived
