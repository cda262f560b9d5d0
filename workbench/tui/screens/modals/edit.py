"""Mending a negated caption: the text, what it denies, and live what the checks will say."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static, TextArea

from curation_db.language.clip_tokenizer import CONTEXT_LENGTH, count_tokens
from curation_db.language.concepts import concept_after_edit
from curation_db.language.object_mentions import concept_cue
from curation_db.language.sanitize import clean, display_text
from workbench.tui.rendering.card_content import GOOD, QUIET, WARN
from workbench.tui.screens.modals.draft import DraftDialog, Save


@dataclass(frozen=True, slots=True)
class Edited:
    """What the person wrote."""

    text: str
    concept: str | None
    """None: left alone, so that it is worked out from the new text."""


_SAVE = frozenset({"enter", "ctrl+s"})
_UNKNOWN = "not known: name it, if the text denies anything"
_DENIES = "denies (left alone: worked out from the text)"

# Handled by the fields themselves and not by a binding of the dialog: a binding would overtake letters that are still
# on their way to the field, and save a caption that is cut short.


def one_line(text: str) -> str:
    """What may have been pasted, as a caption is: line ends and tabs would break the files that it is written to."""
    return " ".join(clean(text).split())


def _in_field(concept: str | None) -> str:
    return display_text(concept or "", limit=200)


class CaptionArea(TextArea):
    """A caption is one line, however it wraps: enter saves it."""

    @dataclass
    class Saved(Message):
        """A key that saves was pressed."""

        text: str
        """As it stood then; the letters of keys typed ahead come after it."""

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
    """One line; the same keys save."""

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

    def __init__(self, text: str, original: str | None, concept: str | None, save: Save[Edited]) -> None:
        super().__init__("edit the negated caption")
        self._save = save
        self._text = clean(text)
        self._original = original
        self._known = concept
        self._concept = _in_field(concept)
        self._worked_out = self._concept
        """What the field shows as long as the person leaves it alone: what would be stored with the text as it is."""

    def compose_body(self) -> ComposeResult:
        """The original, the text, what is to say about it, and the concept."""
        if self._original:
            yield Static(display_text(self._original, limit=400), markup=False, id="original")
        yield CaptionArea(self._text, soft_wrap=True, tab_behavior="focus", id="text")
        yield Static(id="live", markup=False)
        yield Static(_DENIES, markup=False, classes="dialog-label", id="denies")
        yield ConceptInput(self._concept, placeholder=_UNKNOWN, id="concept-input", max_length=200)
        yield self.refusal()
        yield self.foot("enter or ctrl+s saves · tab concept · esc leaves")

    def on_mount(self) -> None:
        """The cursor stands at the end of the text."""
        area = self.query_one(CaptionArea)
        area.move_cursor(area.document.end)
        self._look()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Where letters go must not be told by a colour alone."""
        self.query_one("#denies", Static).update(f"▸ {_DENIES}" if isinstance(event.widget, Input) else _DENIES)

    def on_text_area_changed(self) -> None:
        """While the person types."""
        self._look()

    def on_caption_area_saved(self, event: CaptionArea.Saved) -> None:
        """Enter in the text."""
        self._save_as(event.text, self.query_one(Input).value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter in the concept."""
        event.stop()
        self._save_as(self.query_one(CaptionArea).text, event.value)

    def _save_as(self, text: str, concept: str) -> None:
        mended, denied = one_line(text), concept.strip()
        same_text, same_concept = self._text in {text, mended}, denied in {"", self._worked_out}
        if not mended or (same_text and same_concept):
            line = "⚠ change the text or what it denies, or leave with esc"
            self.query_one("#live", Static).update(Content.styled(line, WARN))
            return
        self.write(self._save, Edited(self._text if same_text else mended, None if same_concept else denied))

    def _look(self) -> None:
        """Cue and tokens of the text as it stands."""
        text = self.query_one(CaptionArea).text
        cue = concept_cue(text, self.query_one(ConceptInput).value)
        tokens = count_tokens(text)
        fits = tokens <= CONTEXT_LENGTH
        said = Content.assemble(
            ("✓ ", GOOD) if cue else ("⚠ ", WARN),
            f"cue “{display_text(cue.text)}”" if cue else "no negation cue",
            "   ",
            ("✓ ", GOOD) if fits else ("⚠ ", WARN),
            f"{tokens}/{CONTEXT_LENGTH} tokens",
            ("" if fits else ": CLIP cuts the rest off", QUIET),
        )
        self.query_one("#live", Static).update(said)
        self._work_out(one_line(text))

    def _work_out(self, text: str) -> None:
        """Show what `text` denies in the field, unless the person has named it there."""
        same = text in {self._text, one_line(self._text)}
        denied = self._known if same else concept_after_edit(self._original, self._text, self._known, None, text).text
        field, before = self.query_one(ConceptInput), self._worked_out
        self._worked_out = _in_field(denied)
        if field.value == before:
            field.value = self._worked_out
