"""The line of key hints, and the keys in the lower border of a pane; both come from the action registry.

A click on an entry runs its action. The keys of actions that do not apply at the moment are grey; pressing them shows
why.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

from textual.actions import parse
from textual.content import Content
from textual.style import Style
from textual.widget import Widget

from workbench.tui.widgets.borders import set_border_labels
from workbench.workspace.keymap import Action, ActionMap, KeyScope

_GAP = 3
_LEAST_GAP = 2
_BORDER_ENDS = 6
"""Cells of a border beside its label: a corner, a line and a blank at each end."""
_KEY, _LABEL, _GREY = "bold $text-accent", "$foreground 70%", "$foreground 45%"

ReasonOf = Callable[[str, tuple[object, ...]], str]
"""Returns why an action of the screen does not apply at the moment, by its name and parameters; "" if it does."""


@dataclass(frozen=True, slots=True)
class PaneKeys:
    """Keys of a pane under one label, such as ↑ ↓ scroll."""

    label: str
    ids: tuple[str, ...]


def pane_keys(label: str, *ids: str) -> PaneKeys:
    return PaneKeys(label, ids)


@dataclass(frozen=True, slots=True)
class Hint:
    """An entry of a line of keys."""

    ids: frozenset[str]
    content: Content
    weight: int


def is_grey(action: Action, reason_of: ReasonOf) -> bool:
    """Return whether the action does not apply at the moment."""
    namespace, name, parameters = _parsed(action.call)
    return action.refused or (not namespace and bool(reason_of(name, parameters)))


def hint(actions: Sequence[Action], label: str, keymap: ActionMap, reason_of: ReasonOf) -> Hint | None:
    """Return the entry of `actions`, with the first key of each; None if they have no keys."""
    caps = " ".join(filter(None, (keymap.cap(action) for action in actions)))
    if not caps:
        return None
    grey = all(is_grey(action, reason_of) for action in actions)
    content = _entry(caps, label, grey, actions[0].call if len(actions) == 1 else "")
    return Hint(frozenset(action.id for action in actions), content, max(action.weight for action in actions))


# The same few lines of keys are drawn again and again.
_parsed = lru_cache(maxsize=512)(parse)


@lru_cache(maxsize=512)
def _entry(caps: str, label: str, grey: bool, call: str) -> Content:
    """Return an entry; a click on it runs the action `call`, if any."""
    content = key_label(caps, label, grey=grey)
    click = call if call.startswith("app.") else f"screen.{call}"
    return content.stylize(Style.from_meta({"@click": click})) if call else content


def key_label(caps: str, label: str, *, grey: bool = False) -> Content:
    return Content.assemble((caps, _GREY if grey else _KEY), " ", (label, _GREY if grey else _LABEL))


def fitted(hints: Sequence[Hint], width: int) -> tuple[list[Hint], Content]:
    """Return the entries of a line that fit, and the line; those of the least weight are left out first."""
    shown = list(hints)
    while shown and _width(shown, _LEAST_GAP) > width:
        shown.remove(min(reversed(shown), key=lambda each: each.weight))
    gap = _GAP if _width(shown, _GAP) <= width else _LEAST_GAP
    return shown, Content(" " * gap).join([each.content for each in shown])


def _width(hints: Sequence[Hint], gap: int) -> int:
    return sum(each.content.cell_length for each in hints) + gap * max(0, len(hints) - 1)


def border_keys(pane: Widget, keys: Sequence[PaneKeys], keymap: ActionMap, reason_of: ReasonOf) -> set[str]:
    """Show the keys of a pane in its lower border, as far as they fit; return the ids of their actions."""
    known = {action.id: action for action in keymap.all_actions}
    hints = [hint([known[each] for each in entry.ids], entry.label, keymap, reason_of) for entry in keys]
    shown, line = fitted([each for each in hints if each is not None], pane.outer_size.width - _BORDER_ENDS)
    pane.auto_links = False  # a click runs the action, but the keys are not drawn as links
    set_border_labels(pane, subtitle=line)
    return {each for entry in shown for each in entry.ids}


class KeyHints(Widget):
    """One line of keys; on a narrow screen entries of low weight are left out (the help lists all keys)."""

    DEFAULT_CSS = "KeyHints { height: 1; padding: 0 1; background: $panel; }"

    auto_links = False

    def __init__(self, actions: ActionMap, place: KeyScope, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._actions = actions
        self._without: frozenset[str] = frozenset()
        self.show(place)

    def show(self, place: KeyScope) -> None:
        self._entries = [each for each in self._actions.at(place) if each.weight and self._actions.keys(each)]
        self.refresh()

    def leave_out(self, ids: Collection[str]) -> None:
        """Leave out actions whose keys are shown in a pane."""
        self._without = frozenset(ids)
        self.refresh()

    def render(self) -> Content:
        """Render the entries that fit, in order."""
        return fitted(self._hints(), self.content_size.width)[1]

    @property
    def shown_ids(self) -> set[str]:
        """The ids of the actions whose keys are on the line."""
        return {each for entry in fitted(self._hints(), self.content_size.width)[0] for each in entry.ids}

    def _may_open(self, action: Action) -> bool:
        """Return whether the action opens no tab, or one that this user may open, as in the first line."""
        namespace, name, parameters = parse(action.call)
        tabs = getattr(self.app, "tab_actions", None)
        if (namespace, name) != ("app", "open_tab") or tabs is None:
            return True
        return parameters[0] in [tab.tab for _, tab in tabs]

    def _hints(self) -> list[Hint]:
        reason_of: ReasonOf = getattr(self.screen, "disabled_reason", lambda name, parameters: "")
        make = partial(hint, keymap=self._actions, reason_of=reason_of)
        listed = [action for action in self._entries if action.id not in self._without and self._may_open(action)]
        return [each for action in listed if (each := make([action], action.label)) is not None]
