"""The text of a card: captions, concept, verdicts, checks and remarks."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from textual import events
from textual._styles_cache import StylesCache
from textual.color import Color
from textual.content import Content
from textual.geometry import Region, Size, Spacing
from textual.markup import parse_style
from textual.strip import Strip
from textual.style import Style
from textual.visual import Visual

from curation_db.language.sanitize import display_text
from curation_db.search.cards import Card
from workbench.annotation.models import PreparedCard
from workbench.annotation.probe import Probe
from workbench.annotation.text_spans import TextSpan, highlighted_spans
from workbench.tui.frame_diff import CellStrip, colour_system
from workbench.tui.rendering import card_content, card_lines
from workbench.tui.rendering.card_lines import (
    FieldStyle,
    answer_box,
    answer_rows,
    field_lines,
    question_box,
    with_scroll_bar,
)
from workbench.tui.widgets.card.field import TrackedText
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


_MOST_PREPARED = 12
"""Cards whose lines are kept: the next ones, and the last ones for an undo."""


@dataclass(frozen=True, slots=True)
class CardOptions:
    """How a card is shown."""

    audit: bool
    """The card belongs to the audit."""
    narrow: bool
    """Lay it out for a narrow screen."""
    forward_key: str
    """The key that returns to the queue from a card of the back history."""
    hidden_because: str | None = None
    """Why the verdicts are hidden; None: because of the stream."""
    standing: str | None = None
    """Text about the state of the card (`standing_words`)."""


class _Place(NamedTuple):
    """Size and styles of the widget, on which the lines of a card depend."""

    outer: Size
    inner: Size
    padding: Spacing
    style: FieldStyle
    text_style: Style
    backgrounds: tuple[Color, Color]


class _CardLines(NamedTuple):
    """The fields of a card and its lines."""

    fields: dict[str, Content]
    judged: Card | None
    """The card whose verdicts are shown; they are laid out for the width."""
    lines: list[Content]


class _PreparedCard(NamedTuple):
    """A card that can be drawn without further work."""

    of: tuple[object, ...]
    """The card and its options."""
    place: _Place
    lines: _CardLines
    strips: list[CellStrip]
    """The lines of the widget, while it shows the card from its top."""


class CardView(TrackedText):
    """All fields of the card in one widget of fixed size: another card needs no layout of the screen."""

    DEFAULT_CSS = "CardView { text-wrap: nowrap; text-overflow: clip; }"

    auto_links = False

    def __init__(self, actions: ActionMap, *, id: str) -> None:
        super().__init__(markup=False, id=id)
        self._actions = actions
        self._question: KeyScope | None = None
        self._fields: dict[str, Content] = {}
        self._judged: Card | None = None
        self._lines: list[Content] = []
        self._laid_out: tuple[int, FieldStyle] | None = None
        """Width and style for which `_lines` are laid out."""
        self._top = 0
        self._prepared: OrderedDict[int, _PreparedCard] = OrderedDict()
        """The cards used last, by candidate. Threads share it."""
        self._lock = threading.Lock()
        self._parsed: dict[str, Style] = {}
        """Styles of the theme by name."""
        self._drawable: _PreparedCard | None = None
        """The shown card, if it was prepared."""

    def show(self, ready: PreparedCard, options: CardOptions) -> None:
        """Show this card from its top; equal texts draw nothing."""
        before = self._lines, self._top
        prepared = self._prepared_for(ready, options)
        if prepared is not None:
            self._fields, self._judged, self._lines = prepared.lines
            self._laid_out = (self._width, self._style)
        else:
            self._fields, self._judged = _fields_of(ready, options), None if ready.hidden else ready.card
            self._laid_out = None
            self._lay_out()
        self._drawable, self._top = prepared, 0
        is_same = not before[1] and len(before[0]) == len(self._lines)
        if not (is_same and all(map(Content.is_same, before[0], self._lines))):
            self._draw()

    # -- preparing the next cards ---------------------------------------------------------------------------------

    def prepare(self, ready: PreparedCard, options: CardOptions) -> None:
        """Lay a card out and compute the cells of its lines, so that showing it takes no time. Not for the UI thread.

        Needs the context of the app, whose theme has the colours.
        """
        place = self._place
        if place.inner.width - place.style.margin < 1 or self._prepared_for(ready, options) is not None:
            return
        fields, judged = _fields_of(ready, options), None if ready.hidden else ready.card
        lines = _laid_out(fields, judged, place.inner.width - place.style.margin, place.style)
        prepared = _PreparedCard(
            _identity(ready, options), place, _CardLines(fields, judged, lines), self._strips_of(lines, place)
        )
        with self._lock:
            self._prepared[ready.card.candidate_id] = prepared
            self._prepared.move_to_end(ready.card.candidate_id)
            while len(self._prepared) > _MOST_PREPARED:
                self._prepared.popitem(last=False)

    def _prepared_for(self, ready: PreparedCard, options: CardOptions) -> _PreparedCard | None:
        """Return the card as it was prepared, unless the card, its options or the widget have changed since."""
        with self._lock:
            prepared = self._prepared.get(ready.card.candidate_id)
        if prepared is None or prepared.of != _identity(ready, options) or prepared.place != self._place:
            return None
        return prepared

    @property
    def _place(self) -> _Place:
        return _Place(
            self.outer_size, self.size, self.styles.padding, self._style, self.visual_style, self.background_colors
        )

    def _strips_of(self, lines: Sequence[Content], place: _Place) -> list[CellStrip]:
        """Return the lines of the widget that shows these lines from the first one, as Textual renders them."""
        width, height = place.inner
        visible = Content("\n").join(with_scroll_bar(lines, 0, height, width))
        texts = Visual.to_strips(self, visible, width, height, place.text_style, apply_selection=False)
        blank = Strip.blank(width, place.text_style.rich_style)
        rendered = StylesCache().render(
            self.styles,
            place.outer,
            *place.backgrounds,
            lambda y: texts[y] if y < len(texts) else blank,
            self.get_line_filters(),
            None,
            None,
            content_size=place.inner,
            padding=place.padding,
            opacity=self.opacity,
            ansi_theme=self.app.ansi_theme,
            native_ansi=self.app.native_ansi_color,
        )
        strips = [CellStrip(strip, strip.cell_length) for strip in rendered]
        system = colour_system(self.app.console)
        for strip in strips:
            strip.cells(system)
        return strips

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the lines of the next frame, the prepared ones if they are still valid."""
        drawable = self._drawable
        if (
            drawable is None
            or self._top
            or self._question is not None
            or self.text_selection is not None
            or drawable.place != self._place
        ):
            return super().render_lines(crop)
        self.is_stale = False
        lines = drawable.strips[crop.y : crop.bottom]
        is_whole = crop.column_span == (0, drawable.place.outer.width)
        return [*lines] if is_whole else [line.crop(*crop.column_span) for line in lines]

    def _get_style(self, style: Style | str) -> Style:
        """Return the style of a name such as "bold $accent". Textual's own cache of them is not for several threads."""
        if isinstance(style, Style) or style.startswith("."):
            return super()._get_style(style)
        known = self._parsed
        parsed = known.get(style)
        if parsed is None:
            parsed = known[style] = parse_style(style)
        return parsed

    def notify_style_update(self) -> None:
        """Forget the colours of the theme before."""
        super().notify_style_update()
        self._parsed = {}  # not cleared: a thread may still add a style of the theme before

    def render(self) -> Content:
        """Return the visible lines."""
        return self._visible()

    def show_probe(self, probe: Probe) -> None:
        """Show a question of a probe instead of the card: the accepted caption would give the answer away."""
        self._fields, self._judged = {"probe": card_content.marked([TextSpan(probe.question.sentence)])}, None
        self._laid_out, self._top, self._drawable = None, 0, None
        self._lay_out()
        self._draw()

    def text_of(self, field: str) -> str:
        """Return the text of a field; "" for none."""
        if field == "judges" and self._judged is not None:
            return _verdicts(self._judged, self._style.text_width(self._width)).plain
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
        self._laid_out, self._lines = (width, style), _laid_out(self._fields, self._judged, width, style)

    def _draw(self) -> None:
        self.is_stale = True
        self.refresh()

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
            self.refresh()

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


def _identity(ready: PreparedCard, options: CardOptions) -> tuple[object, ...]:
    """Return everything on which the fields of a card depend."""
    return ready.card, ready.past, ready.hidden, ready.second_look, options


def _fields_of(ready: PreparedCard, options: CardOptions) -> dict[str, Content]:
    """Return the fields of a card that have a content, in reading order."""
    card = ready.card
    back_key = None if ready.second_look else options.forward_key
    why = options.hidden_because or (HIDDEN_AUDIT if options.audit else HIDDEN_BLIND)
    quiet = card_content.QUIET
    fields = {
        "past": card_content.past_decision(ready.past, back_key) if ready.past else None,
        "negated": card_content.marked(highlighted_spans(card.text, card.caption)),
        "caption": card_content.original(card.caption, card.text, base=quiet) if card.caption else None,
        "parent": card_content.plain(card.parent_text, quiet) if card.parent_text else None,
        "concept": card_content.concept_line(card, narrow=options.narrow),
        "judges": Content.styled(why, f"italic {quiet}") if ready.hidden else Content(" "),
        "checks": card_content.checks(card.findings),
        "siblings": card_content.siblings(card.siblings),
        "objects": _objects(card.objects),
        "remarks": card_content.remarks(card),
        "state": Content(options.standing) if options.standing else None,
    }
    return {name: content for name, content in fields.items() if content}


def _laid_out(fields: Mapping[str, Content], judged: Card | None, width: int, style: FieldStyle) -> list[Content]:
    """Return the lines of the fields for a width; `judged`: the card whose verdicts are shown."""
    lines: list[Content] = []
    for name, content in fields.items():
        text = content
        if name == "judges" and judged is not None:
            text = _verdicts(judged, style.text_width(width))
        questions = _BOXED.get(name)
        if questions is None:
            lines += field_lines(LABELS[name], text, width, style)
        else:
            lines += question_box(LABELS[name], text, width, style, questions)
    return lines


def _verdicts(card: Card, width: int) -> Content:
    rows = card_content.opinion_rows(card, max(_LEAST_JUDGES, width))
    return Content("\n").join(rows) if rows else Content.styled("no judge was asked", card_content.QUIET)


def _objects(objects: dict[str, int]) -> Content | None:
    if not objects:
        return None
    named = [f"{count} × {display_text(name, limit=40)}" for name, count in list(objects.items())[:12]]
    return Content.styled(" · ".join(named), card_content.QUIET)
