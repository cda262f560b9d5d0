"""Labels in the border of a widget, which is drawn again only if they change."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget


def set_border_labels(widget: Widget, *, title: Content | None = None, subtitle: Content | None = None) -> None:
    """Set title and subtitle; None leaves the label as it is."""
    if title is not None and not _is_same(widget._border_title, title):
        widget.border_title = title
    if subtitle is not None and not _is_same(widget._border_subtitle, subtitle):
        widget.border_subtitle = subtitle


def _is_same(before: Content | None, after: Content) -> bool:
    return before is not None and before.is_same(after)
