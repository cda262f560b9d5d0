"""Labels in the border of a widget, which is drawn again only if they change."""

from __future__ import annotations

from textual.content import Content
from textual.geometry import Region
from textual.widget import Widget


def set_border_labels(widget: Widget, *, title: Content | None = None, subtitle: Content | None = None) -> None:
    """Set title and subtitle; None leaves the label as it is."""
    if title is not None and not _is_same(widget._border_title, title):
        widget._border_title = title
        _refresh_row(widget, 0)
    if subtitle is not None and not _is_same(widget._border_subtitle, subtitle):
        widget._border_subtitle = subtitle
        _refresh_row(widget, widget.outer_size.height - 1)


def _refresh_row(widget: Widget, row: int) -> None:
    """Draw a row of the widget again. Textual draws the whole widget when a label is set."""
    widget.refresh(Region(0, row, widget.outer_size.width, 1).translate(-widget.content_offset))


def _is_same(before: Content | None, after: Content) -> bool:
    return before is not None and before.is_same(after)
