"""The first line of Curate: tabs at the left; the annotator's own work, all work and the goal at the right."""

from __future__ import annotations

from dataclasses import dataclass, field

from textual.content import Content

from curation_db.language.sanitize import display_text
from workbench.annotation.progress_counter import ThroughputSnapshot
from workbench.annotation.wording import DECISIONS
from workbench.tui.rendering.card_content import decision_style
from workbench.tui.widgets.lines.top_line import QUIET, Part, TabLabel, TopLine, tab_part

_HASTY, _HASTY_SHORT = "⚠ too fast to have seen the image", "⚠ too fast"
READ_ONLY = "read-only"
"""Mark of a session in which nothing can be decided."""
_BAR = 8
"""Cells of the bar of the goal."""
_WITHOUT_TABS = (TabLabel("", "curate", is_open=True),)


@dataclass(frozen=True, slots=True)
class StatusContent:
    annotator: str
    work: str = ""
    """Pipeline and negation type of the card."""
    place: str = ""
    """How the card was opened, where not from the queue."""
    order: str = ""
    """Queue order: what comes first."""
    audit: bool = False
    """The card is of the audit set."""
    progress: ThroughputSnapshot = field(default_factory=ThroughputSnapshot)
    goal: int = 0
    """Decisions that the annotator wants to reach in this session; 0: none."""
    warning: str = ""
    """Message about the last key."""
    read_only: bool = False
    """Nothing can be decided in this session."""


class StatusLine(TopLine):
    """One line with as many parts as fit. The counts are at the end, where they stay in place."""

    _status = StatusContent("")

    def show(self, status: StatusContent) -> None:
        if status != self._status:
            self._status = status
            self.refresh()

    def parts(self) -> tuple[list[Part], list[Part]]:
        """Return the parts; their weights say which ones a narrow line leaves out first."""
        status, progress = self._status, self._status.progress
        right = [
            Part.of(5, display_text(status.work, limit=40), QUIET),
            Part.of(10, f"{display_text(status.order, limit=40)} first" if status.order else "", QUIET),
            Part.of(50, display_text(status.annotator, limit=24)),
            Part.of(94, READ_ONLY if status.read_only else "", "bold"),
            Part.of(92, status.place, "bold"),
            _speed_or_warning(status),
            _own(progress.own, status.goal),
            _all(status),
        ]
        if progress.streak:
            glyphs = [(DECISIONS[kind].glyph, decision_style(kind)) for kind in progress.streak]
            right.insert(2, Part(((40, Content.assemble(("streak ", QUIET), *glyphs)),)))
        return [tab_part(self.tabs or _WITHOUT_TABS)], right


def _speed_or_warning(status: StatusContent) -> Part:
    """Return the warning; without one the speed, unless the decisions are hasty: then it has no meaning."""
    if status.warning:
        return Part.of(98, f"⚠ {status.warning}", "$text-warning")
    if status.progress.hasty:
        forms = ((62, _HASTY), (98, _HASTY_SHORT))
        return Part(tuple((weight, Content.styled(text, "$text-warning")) for weight, text in forms))
    if status.progress.per_hour is None:
        return Part(())
    return Part.of(30, f"{status.progress.per_hour:,} decisions/h", QUIET)


def _own(own: int, goal: int) -> Part:
    """Return the own count: with the goal and its bar, with the goal, or alone."""
    alone = Content.assemble(("you ", QUIET), (f"{own:,}", "bold"))
    if not goal:
        return Part(((85, alone),))
    if own >= goal:
        reached = Content.assemble(alone, (f" ✓ goal {goal:,}", "bold $text-success"))
        return Part(((70, reached), (85, alone)))
    with_goal = Content.assemble(alone, (" of ", QUIET), f"{goal:,}")
    full = own * _BAR // goal
    bar = Content.assemble(("▓" * full, "$text-success"), ("░" * (_BAR - full), QUIET))
    return Part(((65, Content.assemble(with_goal, " ", bar)), (70, with_goal), (85, alone)))


def _all(status: StatusContent) -> Part:
    """Return how much of all is decided; on an audit card, how much of the audit set."""
    progress = status.progress
    if not status.audit:
        return Part(((80, Content.assemble(("all ", QUIET), f"{progress.decided:,} of {progress.total:,}")),))
    label = Content.styled("audit", "bold $text-primary")
    if progress.audit is None:
        return Part(((95, label),))
    decided, total = progress.audit
    return Part(((80, Content.assemble(label, f" {decided:,} of {total:,}")), (95, label)))
