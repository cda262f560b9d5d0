"""First line of a screen: tabs and path at the left, status at the right."""

from __future__ import annotations

from itertools import dropwhile

from textual.content import Content

from curation_db.language.sanitize import display_text
from workbench.tui.widgets.lines.top_line import QUIET, Part, TopLine, tab_part

_RIGHT = 90
"""Weight of the status: it goes before the name of the open tab, and after all other tabs."""
_PATH = 1_000
_RESULTS = "results"
"""First part of the path of the results screens, whose tabs have names of their own."""


class HeaderBar(TopLine):
    """One line; the status is dropped first on a narrow screen, after the other tabs."""

    _path: tuple[str, ...] = ()
    _right = ""

    def show(self, *path: str, right: str = "") -> None:
        """Show the path of the screen, and `right` as its status."""
        if (path, right) != (self._path, self._right):
            self._path, self._right = path, right
            self.refresh()

    def parts(self) -> tuple[list[Part], list[Part]]:
        """Return the tabs with the place in the open one, or the whole path where there are none."""
        path = [display_text(part, limit=40) for part in self._path]
        if self.tabs:
            named = {_RESULTS, *(tab.name for tab in self.tabs if tab.is_open)}
            inside = dropwhile(named.__contains__, path)
            left = tab_part(self.tabs, "".join(f" · {part}" for part in inside))
        else:
            left = Part(((_PATH, _path_content(path)),))
        return [left], [Part.of(_RIGHT, display_text(self._right, limit=120))]


def _path_content(path: list[str]) -> Content:
    dot = ("  ·  " if len(path) < 3 else " · ", QUIET)
    content = Content.styled("negwb", "bold $text-accent")
    for number, part in enumerate(path, 1):
        content = Content.assemble(content, dot, (part, "bold" if number == len(path) else ""))
    return content
