"""The panel below the image: the annotator's last decisions, the guidelines, or the other captions of the image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum

from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from curation_db.language.sanitize import display_text
from workbench.annotation.models import RecentDecision
from workbench.annotation.wording import DECISIONS, readable
from workbench.tui.rendering.card_content import MARK, QUIET, decision_style
from workbench.tui.rendering.line_cut import cut_line
from workbench.tui.widgets.borders import set_border_labels
from workbench.workspace.settings.choices import PanelChoice

DECISIONS_SHOWN = 8
_PARAGRAPH = re.compile(r"\n(?=\s*(?:[-*+#|]|\d+\.)|[ \t]*(?:\n|$))|(?<=\n)\n")
"""Between two lines of Markdown that are not of one paragraph: before a list item, a heading, a row of a table or a
blank line, and after a blank line."""


class PanelView(StrEnum):
    """What the panel shows; the key of the panel goes through them in this order."""

    DECISIONS = "your last decisions"
    GUIDELINES = "guidelines"
    CAPTIONS = "other captions"
    NONE = "none"

    @property
    def choice(self) -> PanelChoice:
        """The name in negwb.toml."""
        return PanelChoice[self.name]

    def following(self) -> PanelView:
        views = list(PanelView)
        return views[(views.index(self) + 1) % len(views)]


class SidePanel(VerticalScroll, can_focus=False):
    """A titled box; its content is set by the screen."""

    DEFAULT_CSS = """
    SidePanel { display: none; border: round $border; padding: 0 1; scrollbar-size-vertical: 1;
        scrollbar-background: $background; scrollbar-color: $border;
        border-title-color: $text-muted; border-subtitle-color: $text-muted; }
    SidePanel > Static { height: auto; }
    SidePanel.-one-line > Static { text-wrap: nowrap; text-overflow: ellipsis; }
    """

    _shown: tuple[PanelView, Content] | None = None

    def compose(self) -> ComposeResult:
        yield Static(markup=False)

    def on_resize(self, event: events.Resize) -> None:
        """Fill another height with lines."""
        if self._shown is not None:
            self.show(*self._shown)

    def show(self, view: PanelView, content: Content) -> None:
        """Show `content` from its first line; the same content draws nothing."""
        self._shown = view, content
        text, one_line = self.query_one(Static), view is PanelView.DECISIONS
        set_border_labels(self, title=Content(view))
        if one_line:  # as many lines as fit, so that the next decision changes no layout
            content += "\n" * (self.size.height - 1 - content.plain.count("\n"))
        before, was_one_line = text.content, self.has_class("-one-line")
        if was_one_line is one_line and isinstance(before, Content) and before.is_same(content):
            return
        moves = not (one_line and was_one_line and str(before).count("\n") == content.plain.count("\n"))
        self.set_class(one_line, "-one-line")
        text.update(content, layout=moves)
        self.scroll_home(animate=False)


def decision_lines(decisions: Sequence[RecentDecision], cells: int) -> Content:
    """Return one line of `cells` per decision: glyph, reason of a rejection, text."""
    if not decisions:
        return Content.styled("none yet", QUIET)
    return Content("\n").join([_decision_line(each, cells) for each in decisions])


def _decision_line(decision: RecentDecision, cells: int) -> Content:
    wording = DECISIONS[decision.kind]
    reason = f"{readable(decision.reason)}: " if decision.reason else ""
    head = Content.assemble((f"{wording.glyph} ", decision_style(decision.kind)), (reason, QUIET))
    text = Content(display_text(decision.text, limit=1_000))
    return Content.assemble(head, cut_line(text, max(1, cells - head.cell_length)))


def caption_lines(captions: Sequence[str]) -> Content:
    """Return the other captions of the image, one per line."""
    if not captions:
        return Content.styled("the image has no other caption", QUIET)
    return Content("\n").join([Content(display_text(text, limit=400)) for text in captions])


def guideline_lines(markdown: str) -> Content:
    """Return the guidelines as text: headings are bold, and the lines of a paragraph are joined."""
    lines: list[Content] = []
    for paragraph in re.split(_PARAGRAPH, markdown.replace("**", "").strip()):
        is_heading = paragraph.startswith("#")
        text = display_text(" ".join(paragraph.lstrip("# " if is_heading else "").split()), limit=2_000)
        lines.append(Content.styled(text, f"bold {MARK}" if is_heading else ""))
    return Content("\n").join(lines)
