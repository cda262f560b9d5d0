"""The card's text: what was said, what is to be judged, and everything that helps to judge it."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content

from curation_db.text import display_text
from workbench.tui import paint
from workbench.tui.marks import pieces
from workbench.tui.sitting import Ready
from workbench.tui.widgets.field import Field
from workbench.tui.widgets.judges import JudgesField

HIDDEN_AUDIT = "hidden: this is an audit card"
HIDDEN_BLIND = "hidden: this sitting is blind"


class CardView(VerticalScroll, can_focus=False):
    """One card at a time."""

    def compose(self) -> ComposeResult:
        """The fields, in reading order."""
        yield Field("YOU SAID", id="past")
        yield Field("CAPTION", id="caption")
        yield Field("WAS", id="parent")
        yield Field("NEGATED", id="negated")
        yield Field("CONCEPT", id="concept")
        yield JudgesField("JUDGES", id="judges")
        yield Field("CHECKS", id="checks")
        yield Field("ALSO SAID", id="siblings")
        yield Field("IN IT", id="objects")
        yield Field("REMARKS", id="remarks")
        yield Field("STATE", id="state")

    def show(
        self,
        ready: Ready,
        *,
        audit: bool,
        narrow: bool,
        forward_key: str,
        hidden_because: str | None = None,
        standing: str | None = None,
    ) -> None:
        """Show this card from its top.

        Args:
            ready: The card.
            audit: It belongs to the audit.
            narrow: Lay it out for a narrow screen.
            forward_key: The key that goes on from a card that one looks back at.
            hidden_because: Why the judges are hidden, where the stream does not say it.
            standing: What to say about its state (`standing_words`).
        """
        card = ready.card
        self._say("past", paint.past_decision(ready.past, forward_key) if ready.past else None)
        self._say("caption", paint.original(card.caption, card.text) if card.caption else None)
        self._say("parent", paint.plain(card.parent_text, paint.QUIET) if card.parent_text else None)
        self._say("negated", paint.marked(pieces(card.text, card.caption)))
        self._say("concept", paint.concept_line(card, narrow=narrow))
        why = hidden_because or (HIDDEN_AUDIT if audit else HIDDEN_BLIND)
        hidden = why if ready.hidden else None
        self.query_one("#judges", JudgesField).show_card(card, hidden_because=hidden)
        self._say("checks", paint.checks(card.findings))
        self._say("siblings", paint.siblings(card.siblings))
        self._say("objects", _objects(card.objects))
        self._say("remarks", paint.remarks(card))
        self._say("state", Content(standing) if standing else None)
        self.scroll_home(animate=False)

    def _say(self, field: str, content: Content | None) -> None:
        self.query_one(f"#{field}", Field).say(content)


def _objects(objects: dict[str, int]) -> Content | None:
    """What is annotated in the picture."""
    if not objects:
        return None
    named = [f"{count} × {display_text(name, limit=40)}" for name, count in list(objects.items())[:12]]
    return Content.styled(" · ".join(named), paint.QUIET)
