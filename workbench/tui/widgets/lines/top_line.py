"""The first line of a screen: the tabs at the left, counts and status at the right.

Each part has forms of different lengths. Where the line is too narrow, the part whose form has the least weight takes
its next form, until all parts fit; so the order of what is left out is in the weights and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from textual.content import Content
from textual.style import Style
from textual.widget import Widget

QUIET = "$foreground 70%"
_NONE = Content("")
_GAP = "  "
"""Between the parts at the left, and at least between left and right."""
_DOT = Content.styled(" · ", QUIET)
_ALWAYS = 1_000
_LABELS, _DIGITS = 60, 75
"""Weights of the names and of the keys of the tabs that are not open."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the line in its forms with their weights, the longest first; after the last one it is left out."""

    forms: tuple[tuple[int, Content], ...]

    @classmethod
    def of(cls, weight: int, text: str, style: str = "") -> Part:
        return cls(((weight, Content.styled(text, style)),))


@dataclass(frozen=True, slots=True)
class TabLabel:
    """A tab as the line shows it."""

    key: str
    """The key that opens it, as printed on a keyboard; "": none."""
    name: str
    is_open: bool = False
    call: str = ""
    """The action of a click; "": a click does nothing."""


def fitted(left: Sequence[Part], right: Sequence[Part], width: int) -> Content:
    """Return the line with the parts in the longest forms for which there is room."""
    parts = [*left, *right]
    chosen = [0] * len(parts)
    lengths = [[content.cell_length for _, content in part.forms] for part in parts]

    def length(at: int) -> int:
        return lengths[at][chosen[at]] if chosen[at] < len(lengths[at]) else 0

    def side(start: int, end: int, gap: int) -> int:
        shown = [number for number in (length(at) for at in range(start, end)) if number]
        return sum(shown) + gap * max(0, len(shown) - 1)

    while True:
        at_left, at_right = side(0, len(left), len(_GAP)), side(len(left), len(parts), len(_DOT))
        needed = at_left + at_right + (len(_GAP) if at_left and at_right else 0)
        shown = [at for at in range(len(parts)) if length(at)]
        if needed <= width or not shown:
            break
        least = min(shown, key=lambda at: parts[at].forms[chosen[at]][0])
        if parts[least].forms[chosen[least]][0] == _ALWAYS:
            break
        chosen[least] += 1
    contents = [part.forms[at][1] if at < len(part.forms) else _NONE for part, at in zip(parts, chosen, strict=True)]
    start = Content(_GAP).join([each for each in contents[: len(left)] if each])
    end = _DOT.join([each for each in contents[len(left) :] if each])
    free = width - start.cell_length - end.cell_length
    return Content.assemble(start, " " * free, end) if free >= 0 else start.truncate(width, ellipsis=True)


def tab_part(tabs: Sequence[TabLabel], suffix: str = "") -> Part:
    """Return the tabs; from the right they lose their names, then the keys of the tabs that are not open.

    Args:
        suffix: The place within the open tab.
    """
    return _tab_part(tuple(tabs), suffix)


@lru_cache(maxsize=64)
def _tab_part(tabs: tuple[TabLabel, ...], suffix: str) -> Part:
    # Kept: its many forms were more than half of the work on a line of which only a count has changed.
    forms = [(_LABELS, _strip(tabs, named, suffix)) for named in range(len(tabs), 0, -1)]
    forms.append((_DIGITS, _strip(tabs, 0, suffix)))
    return Part((*forms, (_ALWAYS, _strip([tab for tab in tabs if tab.is_open], 0, suffix))))


def _strip(tabs: Sequence[TabLabel], named: int, suffix: str) -> Content:
    return Content(" ").join([each for at, tab in enumerate(tabs) if (each := _tab(tab, at < named, suffix))])


def _tab(tab: TabLabel, named: bool, suffix: str) -> Content:
    if tab.is_open:
        return Content.styled(f" {' '.join(filter(None, (tab.key, tab.name)))}{suffix} ", "bold $panel on $accent")
    key = Content.styled(tab.key, "bold $text-accent")
    label = Content.assemble(key, (f" {tab.name}" if tab.key else tab.name, QUIET)) if named else key
    return label.stylize(Style.from_meta({"@click": tab.call})) if tab.call else label


class TopLine(Widget):
    """Base class: subclasses return the parts.

    The tabs come from `tab_actions` of the app (see `BaseApp`); an app without it has none.
    """

    DEFAULT_CSS = "TopLine { height: 1; padding: 0 1; background: $panel; color: $foreground; }"

    auto_links = False
    """A click on a tab opens it, but a tab is not drawn as a link."""
    tabs: tuple[TabLabel, ...] = ()

    def on_mount(self) -> None:
        """Take the tabs of the app, with that of this screen as the open one."""
        is_open = getattr(self.screen, "TAB", None) or getattr(self.app, "tab", None)
        self.tabs = tuple(
            TabLabel(key, str(action.tab), action.tab is is_open, action.call)
            for key, action in getattr(self.app, "tab_actions", ())
        )

    def parts(self) -> tuple[list[Part], list[Part]]:
        """Return the parts at the left and at the right."""
        raise NotImplementedError

    def render(self) -> Content:
        """Render both sides with the free width between them."""
        return fitted(*self.parts(), self.content_size.width)
