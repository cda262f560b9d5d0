"""The status line: annotator and work at the left, progress at the right. Parts of low weight are dropped first."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.cells import cell_len
from textual.content import Content
from textual.widget import Widget

from curation_db.language.sanitize import display_text
from workbench.annotation.progress_counter import ThroughputSnapshot
from workbench.annotation.wording import DECISIONS
from workbench.tui.rendering.card_content import decision_style

_HASTY, _HASTY_SHORT = "⚠ too fast to have seen the image", "⚠ too fast"


@dataclass(frozen=True, slots=True)
class StatusContent:
    annotator: str
    work: str = ""
    """Pipeline and negation type of the card."""
    stream: str = ""
    """Review or audit, and the origin of the card."""
    order: str = ""
    """Queue order: what comes first."""
    progress: ThroughputSnapshot = field(default_factory=ThroughputSnapshot)
    warning: str = ""
    """Message about the last key; it replaces everything except the counts."""


class StatusLine(Widget):
    """One line with as many parts as fit."""

    DEFAULT_CSS = "StatusLine { height: 1; padding: 0 1; background: $panel; color: $foreground; }"

    _status = StatusContent("")

    def show(self, status: StatusContent) -> None:
        self._status = status
        self.refresh()

    def render(self) -> Content:
        """Render both parts with the free width between them."""
        width = self.content_size.width
        for drop in range(5):
            left, right = _left(self._status, drop), _right(self._status, drop)
            free = width - left.cell_length - right.cell_length
            if free >= 2:
                return Content.assemble(left, " " * free, right)
        return left.truncate(width, ellipsis=True)


def _left(status: StatusContent, drop: int) -> Content:
    """Return the left part; `drop`: how many parts of low weight are left out."""
    parts: list[tuple[str, str]] = [("negwb", "bold $text-accent")]
    if drop < 1:
        parts.append(("curate", ""))
    parts.append((display_text(status.annotator, limit=24), ""))
    if status.work and drop < 3:
        parts.append((display_text(status.work, limit=40), ""))
    if status.stream:
        parts.append((status.stream, "bold"))
    if status.order and drop < 2:
        parts.append((f"{display_text(status.order, limit=40)} first", ""))
    return _dotted(parts)


def _right(status: StatusContent, drop: int) -> Content:
    progress = status.progress
    if status.warning:
        counted = f"{progress.decided:,} of {progress.total:,} · " if drop < 3 else ""
        return Content.assemble((counted, ""), (f"⚠ {status.warning}", "$text-warning"))
    parts = [(f"{progress.decided:,} of {progress.total:,}", "")]
    if progress.hasty:  # the speed of hasty decisions has no meaning
        parts.append((_HASTY if drop < 2 else _HASTY_SHORT, "$text-warning"))
    elif progress.per_hour is not None and drop < 2:
        parts.append((f"{progress.per_hour:,} decisions/h" if not drop else f"{progress.per_hour:,}/h", ""))
    line = _dotted(parts)
    if progress.streak and drop < 4:
        streak = Content.assemble(*((DECISIONS[kind].glyph, decision_style(kind)) for kind in progress.streak))
        line = Content.assemble(line, (" · " if drop else " · streak ", "$foreground 70%"), streak)
    return line


def _dotted(parts: list[tuple[str, str]]) -> Content:
    content = Content("")
    for part in parts:
        content = Content.assemble(content, (" · ", "$foreground 70%"), part) if content else Content.assemble(part)
    assert cell_len(content.plain) == content.cell_length
    return content
