"""Dialog for editing a negated caption and its negated concept, with a live check of cue and length."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static, TextArea

from curation_db.language.concepts import concept_after_edit
from curation_db.language.object_mentions import concept_cue
from curation_db.language.sanitize import clean, display_text
from curation_db.language.token_counter import TextLimit
from workbench.tui.rendering.card_content import GOOD, QUIET, WARN
from workbench.tui.screens.modals.draft import DraftDialog, Save


@dataclass(frozen=True, slots=True)
class EditedCaption:
    """The text and concept that the annotator wrote."""

    text: str
    concept: str | None
    """None: unchanged, so the concept is derived from the new text."""


_SAVE = frozenset({"enter", "ctrl+s"})
_CONCEPT_HINT = "not known: name it if the text negates a concept"
_CONCEPT_LABEL = "concept (unchanged: derived from the text)"

# The fields handle these keys, not a binding of the dialog: a binding would run before letters that are still on their
# way to the field, and save a caption that is cut short.


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


class EditModal(DraftDialog):
    """Closes once the new text has replaced the old one."""

    DEFAULT_CSS = """
    EditModal CaptionArea { height: 6; border: tall $border; }
    EditModal CaptionArea:focus { border: tall $primary; }
    EditModal #original { margin-bottom: 1; color: $text-muted; }
    EditModal #live { margin: 0 0 1 1; }
    EditModal.-short #original { margin-bottom: 0; max-height: 3; }
    EditModal.-short #live { margin-bottom: 0; }
    """

    def __init__(
        self,
        text: str,
        original: str | None,
        concept: str | None,
        save: Save[EditedCaption],
        limit: TextLimit,
    ) -> None:
        """Args: limit: the longest text that the model to be trained reads."""
        super().__init__("edit the negated caption")
        self._limit = limit
        self._save = save
        self._text = clean(text)
        self._original = original
        self._known = concept
        self._concept = _in_field(concept)
        self._derived = self._concept
        """Content of the concept field while the annotator does not change it: the concept that would be stored."""

    def compose_body(self) -> ComposeResult:
        if self._original:
            yield Static(display_text(self._original, limit=400), markup=False, id="original")
        yield CaptionArea(self._text, soft_wrap=True, tab_behavior="focus", id="text")
        yield Static(id="live", markup=False)
        yield Static(_CONCEPT_LABEL, markup=False, classes="dialog-label", id="denies")
        yield ConceptInput(self._concept, placeholder=_CONCEPT_HINT, id="concept-input", max_length=200)
        yield self.refusal()
        yield self.foot("enter or ctrl+s: save · tab: concept · esc: cancel")

    def on_mount(self) -> None:
        """Put the cursor at the end of the text."""
        area = self.query_one(CaptionArea)
        area.move_cursor(area.document.end)
        self._check_text()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Mark the focused field with a glyph, not only with a colour."""
        self.query_one("#denies", Static).update(
            f"▸ {_CONCEPT_LABEL}" if isinstance(event.widget, Input) else _CONCEPT_LABEL
        )

    def on_text_area_changed(self) -> None:
        self._check_text()

    def on_caption_area_saved(self, event: CaptionArea.Saved) -> None:
        self._save_as(event.text, self.query_one(Input).value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._save_as(self.query_one(CaptionArea).text, event.value)

    def _save_as(self, text: str, concept: str) -> None:
        edited, named = one_line(text), concept.strip()
        same_text, same_concept = self._text in {text, edited}, named in {"", self._derived}
        if not edited or (same_text and same_concept):
            line = "⚠ change the text or the concept, or cancel with esc"
            self.query_one("#live", Static).update(Content.styled(line, WARN))
            return
        self.write(self._save, EditedCaption(self._text if same_text else edited, None if same_concept else named))

    def _check_text(self) -> None:
        """Show cue and token count of the current text."""
        text = self.query_one(CaptionArea).text
        cue = concept_cue(text, self.query_one(ConceptInput).value)
        tokens = self._limit.count(text)
        fits = tokens <= self._limit.most_tokens
        content = Content.assemble(
            ("✓ ", GOOD) if cue else ("⚠ ", WARN),
            f"cue “{display_text(cue.text)}”" if cue else "no negation cue",
            "   ",
            ("✓ ", GOOD) if fits else ("⚠ ", WARN),
            f"{tokens}/{self._limit.most_tokens} tokens",
            ("" if fits else ": the model ignores the rest", QUIET),
        )
        self.query_one("#live", Static).update(content)
        self._derive_concept(one_line(text))

    def _derive_concept(self, text: str) -> None:
        """Show the concept derived from `text` in the field, unless the annotator has changed it."""
        same = text in {self._text, one_line(self._text)}
        concept = self._known if same else concept_after_edit(self._original, self._text, self._known, None, text).text
        field, before = self.query_one(ConceptInput), self._derived
        self._derived = _in_field(concept)
        if field.value == before:
            field.value = self._derived
