"""Turn the action registry into the bindings of a screen, with the user's own keys."""

from __future__ import annotations

from typing import Any

from textual.binding import Binding
from textual.screen import Screen

from workbench.workspace.keymap import ActionMap, KeyScope


def bind(screen: Screen[Any], actions: ActionMap, *places: KeyScope) -> None:
    """Give `screen` the bindings of these scopes.

    They are set on the screen and not through `App.set_keymap`, which drops the second action of a key that means
    something else while a question is open (`u`). The screen's `check_action` decides which of the two applies.
    """
    for action in actions.at(*places):
        for key in actions.keys(action):
            binding = Binding(
                key,
                action.call,
                action.label,
                show=bool(action.weight),
                key_display=actions.cap(action),
                tooltip=action.help,
                id=action.id,
            )
            screen._bindings.key_to_bindings.setdefault(key, []).append(binding)


def methods_at(actions: ActionMap, place: KeyScope) -> frozenset[str]:
    """Return the names of the methods, of the screen or the app, that the actions of this scope call."""
    return frozenset(action.call.partition("(")[0].removeprefix("app.") for action in actions.at(place))
