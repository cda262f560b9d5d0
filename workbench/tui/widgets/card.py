"""The text of a card: captions, concept, verdicts, checks and remarks."""

from __future__ import annotations

from textual import events
from textual.content import Content

from curation_db.language.sanitize import display_text
from curation_db.search.cards import Card
from workbench.annotation.models import PreparedCard
from workbench.annotation.probe import Probe
from workbench.annotation.text_spans import TextSpan, highlighted_spans
from workbench.tui.rendering import card_content, card_lines
from workbench.tui.rendering.card_lines import (
    FieldStyle,
    answer_box,
    answer_rows,
    field_lines,
    question_box,
    with_scroll_bar,
)
from workbench.tui.widgets.field import TrackedText
from workbench.workspace.keymap import Action, ActionMap, KeyScope

HIDDEN_AUDIT = "hidden: this is an audit card"
HIDDEN_BLIND = "hidden: this session is blind"
LABELS = {
    "probe": "QUESTION",
    "past": "YOU DECIDED",
    "negated": "NEGATED",
    "caption": "CAPTION",
    "parent": "BEFORE EDIT",
    "concept": "CONCEPT",
    "judges": "JUDGES",
    "checks": "CHECKS",
    "siblings": "OTHER CAPTION",
    "objects": "OBJECTS",
    "remarks": "REMARKS",
    "state": "STATE",
}
"""The fields of the card in reading order."""
QUESTIONS = {
    KeyScope.REASON: "reject because",
    KeyScope.COPY: "copy",
    KeyScope.CAUSE: "they disagreed because",
}
"""The questions whose answers may cover the end of the card."""
_BOXED = {"negated": card_lines.QUESTIONS, "probe": ("Is this sentence true or false of the image?", "true or false?")}
"""The fields in a box, with the question that the annotator answers about each, the longest first."""
_WHEEL_LINES = 2
_LEAST_JUDGES = 24
"""Cells; the verdicts are cut below this width."""


class CardView(TrackedText):
    """All fields of the card in one widget of fixed size: another card needs no layout of the screen."""

    DEFAULT_CSS = "CardView { text-wrap: nowrap; text-overflow: clip; }"

    def __init__(self, actions: ActionMap, *, id: str) -> None:
        super().__init__(markup=False, id=id)
        self._actions = actions
        self._question: KeyScope | None = None
        self._fields: dict[str, Content] = {}
        self._judged: Card | None = None
        """The card whose verdicts are shown; they are laid out for the width."""
        self._lines: list[Content] = []
        self._laid_out: tuple[int, FieldStyle] | None = None
        """Width and style for which `_lines` are laid out."""
        self._top = 0

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
        """Show this card from its top; equal texts draw nothing.

        Args:
            audit: The card belongs to the audit.
            narrow: Lay it out for a narrow screen.
            forward_key: The key that returns to the queue from a card of the back history.
            hidden_because: Why the verdicts are hidden; default: because of the stream.
            standing: Text about the state of the card (`standing_words`).
        """
        card = ready.card
        back_key = None if ready.second_look else forward_key
        why = hidden_because or (HIDDEN_AUDIT if audit else HIDDEN_BLIND)
        quiet = card_content.QUIET
        fields = {
            "past": card_content.past_decision(ready.past, back_key) if ready.past else None,
            "negated": card_content.marked(highlighted_spans(card.text, card.caption)),
            "caption": card_content.original(card.caption, card.text, base=quiet) if card.caption else None,
            "parent": card_content.plain(card.parent_text, quiet) if card.parent_text else None,
            "concept": card_content.concept_line(card, narrow=narrow),
            "judges": Content.styled(why, f"italic {quiet}") if ready.hidden else Content(" "),
            "checks": card_content.checks(card.findings),
            "siblings": card_content.siblings(card.siblings),
            "objects": _objects(card.objects),
            "remarks": card_content.remarks(card),
            "state": Content(standing) if standing else None,
        }
        self._fields = {name: content for name, content in fields.items() if content}
        self._judged = None if ready.hidden else card
        before, self._laid_out = (self._lines, self._top), None
        self._lay_out()
        self._top = 0
        is_same = not before[1] and len(before[0]) == len(self._lines)
        if not (is_same and all(map(Content.is_same, before[0], self._lines))):
            self._draw()

    def show_probe(self, probe: Probe) -> None:
        """Show a question of a probe instead of the card: the accepted caption would give the answer away."""
        self._fields, self._judged = {"probe": card_content.marked([TextSpan(probe.question.sentence)])}, None
        self._laid_out, self._top = None, 0
        self._lay_out()
        self._draw()

    def text_of(self, field: str) -> str:
        """Return the text of a field; "" for none."""
        if field == "judges" and self._judged is not None:
            return self._verdicts(self._judged, self._style.text_width(self._width)).plain
        return self._fields[field].plain if field in self._fields else ""

    @property
    def _style(self) -> FieldStyle:
        narrow, above = self.screen.has_class("-narrow"), self.screen.has_class("-above")
        return FieldStyle(stacked=narrow and not above, spaced=not (narrow or above))

    @property
    def _width(self) -> int:
        return self.size.width - self._style.margin

    def _lay_out(self) -> None:
        """Lay the fields out for the current width."""
        width, style = self._width, self._style
        if width < 1 or self._laid_out == (width, style):
            return
        self._laid_out, self._lines = (width, style), []
        for name, content in self._fields.items():
            text = content
            if name == "judges" and self._judged is not None:
                text = self._verdicts(self._judged, style.text_width(width))
            questions = _BOXED.get(name)
            if questions is None:
                self._lines += field_lines(LABELS[name], text, width, style)
            else:
                self._lines += question_box(LABELS[name], text, width, style, questions)

    def _verdicts(self, card: Card, width: int) -> Content:
        rows = card_content.opinion_rows(card, max(_LEAST_JUDGES, width))
        return Content("\n").join(rows) if rows else Content.styled("no judge was asked", card_content.QUIET)

    def _draw(self) -> None:
        self.is_stale = True
        self.update(self._visible(), layout=False)

    def _visible(self) -> Content:
        width, height = self.size
        lines = with_scroll_bar(self._lines, self._top, height, width)
        if self._question is not None and width:
            answers = [(self._actions.cap(action), action.help) for action in self._answers]
            box = answer_box(QUESTIONS[self._question], answers, width, self._answer_columns)[:height]
            lines = [*lines, *[Content("")] * (height - len(lines))][: height - len(box)] + box
        return Content("\n").join(lines)

    # -- the answers to a question --------------------------------------------------------------------------------

    def ask(self, question: KeyScope | None) -> None:
        """List the answers of a question, one of `QUESTIONS`, over the end of the card; None: close the question."""
        if question != self._question:
            self._question = question
            self.update(self._visible(), layout=False)

    @property
    def _answers(self) -> list[Action]:
        return self._actions.at(self._question) if self._question is not None else []

    @property
    def _answer_columns(self) -> int:
        return 2 if self.screen.has_class("-above") else 1

    def on_click(self, event: events.Click) -> None:
        """Run the action of the answer that was clicked."""
        answers, columns = self._answers, self._answer_columns
        place = event.get_content_offset(self)
        rows = answer_rows(len(answers), columns)
        if not answers or place is None:
            return
        row = place.y - (self.size.height - 1 - rows)
        column = min(columns - 1, max(0, place.x - 2) // max(1, (self.size.width - 3) // columns))
        if 0 <= row < rows and row + column * rows < len(answers):
            event.stop()
            self.call_later(self.screen.run_action, answers[row + column * rows].call)

    def on_resize(self, event: events.Resize) -> None:
        """Lay the card out for another width, and keep its end in view."""
        self._lay_out()
        self.scroll_lines(0)
        self._draw()

    # -- scrolling ------------------------------------------------------------------------------------------------

    def scroll_lines(self, by: int) -> None:
        """Scroll down by so many lines."""
        top = max(0, min(self._top + by, len(self._lines) - self.size.height))
        if top != self._top:
            self._top = top
            self._draw()

    def scroll_to_top(self) -> None:
        self.scroll_lines(-len(self._lines))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self.scroll_lines(_WHEEL_LINES)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self.scroll_lines(-_WHEEL_LINES)


def _objects(objects: dict[str, int]) -> Content | None:
    if not objects:
        return None
    named = [f"{count} × {display_text(name, limit=40)}" for name, count in list(objects.items())[:12]]
    return Content.styled(" · ".join(named), card_content.QUIET)
