"""First line of a screen: path at the left, status at the right."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget

from curation_db.language.sanitize import display_text


class HeaderBar(Widget):
    """One line; the status is dropped first on a narrow screen."""

    DEFAULT_CSS = "HeaderBar { height: 1; padding: 0 1; background: $panel; color: $foreground; }"

    _path: tuple[str, ...] = ()
    _right = ""

    def show(self, *path: str, right: str = "") -> None:
        """Show the path of the screen, and `right` as its status."""
        self._path, self._right = path, right
        self.refresh()

    def render(self) -> Content:
        """Render both parts with the free width between them."""
        dot = ("  ·  " if len(self._path) < 3 else " · ", "$foreground 70%")
        left = Content.styled("negwb", "bold $text-accent")
        for number, part in enumerate(self._path, 1):
            last = "bold" if number == len(self._path) else ""
            left = Content.assemble(left, dot, (display_text(part, limit=40), last))
        free = self.content_size.width - left.cell_length
        right = Content(display_text(self._right, limit=120))
        if free - right.cell_length < 2:
            return left.truncate(self.content_size.width, ellipsis=True)
        return Content.assemble(left, " " * (free - right.cell_length), right)
