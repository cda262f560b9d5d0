"""Verdicts of a card with bars, as wide as the field; replaced by a reason while they are hidden."""

from __future__ import annotations

from textual import events
from textual.content import Content

from curation_db.search.cards import Card
from workbench.tui.rendering import card_content
from workbench.tui.widgets.field import LabelledField


class JudgesField(LabelledField):
    """The verdicts of the card; laid out again when the width changes."""

    _card: Card | None = None

    def show_card(self, card: Card, *, hidden_because: str | None) -> None:
        """Show the verdicts about `card`, or why they are hidden."""
        if hidden_because is not None:
            self._card = None
            self.set_content(Content.styled(hidden_because, f"italic {card_content.QUIET}"))
            return
        self._card = card
        self._lay_out()

    def on_resize(self, event: events.Resize) -> None:
        self._lay_out()

    def _lay_out(self) -> None:
        if self._card is None:
            return
        rows = card_content.opinion_rows(self._card, max(24, self._text.size.width or 48))
        self.set_content(Content("\n").join(rows) if rows else Content.styled("no judge was asked", card_content.QUIET))
