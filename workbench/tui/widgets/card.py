"""The text of a card: captions, concept, verdicts, checks and remarks."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content

from curation_db.language.sanitize import display_text
from workbench.annotation.models import PreparedCard
from workbench.annotation.text_spans import highlighted_spans
from workbench.tui.rendering import card_content
from workbench.tui.widgets.field import LabelledField, QuestionBox
from workbench.tui.widgets.judges import JudgesField

HIDDEN_AUDIT = "hidden: this is an audit card"
HIDDEN_BLIND = "hidden: this session is blind"


class CardView(VerticalScroll, can_focus=False):
    def compose(self) -> ComposeResult:
        """Compose the fields in reading order."""
        yield LabelledField("YOU DECIDED", id="past")
        yield QuestionBox("NEGATED", id="negated")
        yield LabelledField("CAPTION", id="caption")
        yield LabelledField("WAS", id="parent")
        yield LabelledField("CONCEPT", id="concept")
        yield JudgesField("JUDGES", id="judges")
        yield LabelledField("CHECKS", id="checks")
        yield LabelledField("OTHER CAPTION", id="siblings")
        yield LabelledField("IN IT", id="objects")
        yield LabelledField("REMARKS", id="remarks")
        yield LabelledField("STATE", id="state")

    def show(
        self,
        ready: PreparedCard,
        *,
        audit: bool,
        narrow: bool,
        forward_key: str,
        hidden_because: str | None = None,
        standing: str | None = None,
    ) -> None:
        """Show this card from its top.

        Args:
            audit: The card belongs to the audit.
            narrow: Lay it out for a narrow screen.
            forward_key: The key that returns to the queue from a card of the back history.
            hidden_because: Why the verdicts are hidden; default: because of the stream.
            standing: Text about the state of the card (`standing_words`).
        """
        card = ready.card
        back_key = None if ready.second_look else forward_key
        self._set("past", card_content.past_decision(ready.past, back_key) if ready.past else None)
        self._set(
            "caption", card_content.original(card.caption, card.text, base=card_content.QUIET) if card.caption else None
        )
        self._set("parent", card_content.plain(card.parent_text, card_content.QUIET) if card.parent_text else None)
        self._set("negated", card_content.marked(highlighted_spans(card.text, card.caption)))
        self._set("concept", card_content.concept_line(card, narrow=narrow))
        why = hidden_because or (HIDDEN_AUDIT if audit else HIDDEN_BLIND)
        hidden = why if ready.hidden else None
        self.query_one("#judges", JudgesField).show_card(card, hidden_because=hidden)
        self._set("checks", card_content.checks(card.findings))
        self._set("siblings", card_content.siblings(card.siblings))
        self._set("objects", _objects(card.objects))
        self._set("remarks", card_content.remarks(card))
        self._set("state", Content(standing) if standing else None)
        self.scroll_home(animate=False)

    def _set(self, field: str, content: Content | None) -> None:
        self.query_one(f"#{field}", LabelledField).set_content(content)


def _objects(objects: dict[str, int]) -> Content | None:
    if not objects:
        return None
    named = [f"{count} × {display_text(name, limit=40)}" for name, count in list(objects.items())[:12]]
    return Content.styled(" · ".join(named), card_content.QUIET)
