"""The one list of everything a key does. Bindings, key line, help and command palette are made from it.

Knows no widget. An action's id is stable: people map keys to it in negwb.toml (`[curate.keys]`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from curation_db.enums import CAUSE_KEYS, CAUSE_TEXTS, REASON_KEYS, REASON_TEXTS
from workbench.errors import UsageError


class KeyScope(StrEnum):
    """Where an action applies."""

    CARD = "card"
    """A card is shown."""
    REASON = "reason"
    """The question after `x`."""
    DONE = "done"
    """The end of the queue."""
    ZOOM = "zoom"
    """The picture on the whole screen."""
    PROGRESS = "progress"
    """How fast, how far, how much at one."""
    BROWSE = "browse"
    """Any number of candidates."""
    GUIDELINES = "guidelines"
    """What the team has agreed on."""
    SETTINGS = "settings"
    """What can be set."""
    ADJUDICATE = "adjudicate"
    """A card about which people disagree."""
    CAUSE = "cause"
    """The question after an adjudicator's decision."""
    TALLY = "tally"
    """What everybody said, after it."""
    HISTORY = "history"
    """Everything that happened to a card."""
    GENERATE = "generate"
    """Negated captions proposed and judged."""
    RUNS = "runs"
    """Trainings."""
    REPORT = "report"
    """Models x tasks."""
    SLICES = "slices"
    """The cuts of one result."""
    ITEMS = "items"
    """The items of one result."""
    ITEM = "item"
    """One item with its picture."""


ANYWHERE = frozenset({KeyScope.CARD, KeyScope.DONE})
ROOMS = frozenset(
    {KeyScope.BROWSE, KeyScope.ADJUDICATE, KeyScope.PROGRESS, KeyScope.HISTORY, KeyScope.GUIDELINES, KeyScope.SETTINGS}
)
"""The rooms beside the card."""


@dataclass(frozen=True, slots=True)
class Action:
    """Something a key does."""

    id: str
    keys: str
    """Comma-separated, as Textual names them."""
    label: str
    """One word, for the key line."""
    says: str
    """One line, for help, palette and tooltips."""
    group: str
    places: frozenset[KeyScope]
    call: str
    """The screen's or app's action."""
    weight: int = 0
    """In a narrow key line the lightest go first; 0: never there."""


_CARD = frozenset({KeyScope.CARD})
_DONE = frozenset({KeyScope.DONE})
_ZOOM = frozenset({KeyScope.ZOOM})
_EVERYWHERE = ANYWHERE | ROOMS | _ZOOM
_GUIDELINES = frozenset({KeyScope.GUIDELINES})
_PROGRESS = frozenset({KeyScope.PROGRESS})
_SETTINGS = frozenset({KeyScope.SETTINGS})
_ADJUDICATE, _CAUSE, _TALLY = frozenset({KeyScope.ADJUDICATE}), frozenset({KeyScope.CAUSE}), frozenset({KeyScope.TALLY})
_HISTORY = frozenset({KeyScope.HISTORY})
_SCROLLED = _GUIDELINES | _PROGRESS | _HISTORY
_BROWSE = frozenset({KeyScope.BROWSE})
_DECIDE, _LOOK, _ELSE, _REASON = "Decide", "Look", "Everything else", "Reject because"
_ROOM, _PICTURE, _SETTLE, _WHY = "Rooms", "The picture", "Settle", "Why they disagreed"

# fmt: off
_ACTIONS = (
    Action("accept", "a", "accept", "It is true, and someone could say it", _DECIDE, _CARD,
           "decide('accept')", 9),
    Action("reject", "x", "reject", "It is not; one more key says why", _DECIDE, _CARD, "ask_reason", 9),
    Action("edit", "e", "edit", "Mend the text; your version replaces it", _DECIDE, _CARD, "edit", 8),
    Action("unsure", "u", "unsure", "You cannot tell; others are asked first", _DECIDE, _CARD,
           "decide('unsure')", 8),
    Action("skip", "space", "skip", "Leave it for others, or for later", _DECIDE, _CARD, "decide('skip')", 8),
    Action("undo", "z", "undo", "Take back your last act and show its card again", _DECIDE, ANYWHERE, "undo", 8),
    Action("redo", "Z,ctrl+y", "redo", "Take back the last undo", _DECIDE, ANYWHERE, "redo"),
    Action("back", "[", "back", "Your decision before this one; deciding there replaces it",
           _LOOK, ANYWHERE, "look_back", 5),
    Action("forward", "]", "forward", "From looking back or a search to the work", _LOOK, _CARD,
           "look_forward"),
    Action("note", "n", "note", "Write something about this card", _DECIDE, _CARD, "note", 4),
    Action("flag", "f", "flag", "Mark this card, or take the mark back", _DECIDE, _CARD, "flag", 3),
    Action("judges", "v", "judges", "What the judges said, in full", _LOOK, _CARD,
           "judges", 4),
    Action("zoom", "i", "zoom", "The picture on the whole screen, to zoom into", _LOOK, _CARD, "zoom", 4),
    Action("zoom-in", "+,=", "larger", "Zoom in, as the mouse wheel does", _PICTURE, _ZOOM, "step(1)", 8),
    Action("zoom-out", "-,_", "smaller", "Zoom out", _PICTURE, _ZOOM, "step(-1)", 8),
    Action("zoom-fit", "0", "all of it", "As large as it fits", _PICTURE, _ZOOM, "fit", 7),
    Action("zoom-actual", "1", "pixel for pixel", "A dot of the screen for each pixel", _PICTURE, _ZOOM, "actual", 6),
    Action("pan-left", "left,h", "left", "Move left; the mouse drags", _PICTURE, _ZOOM, "pan(-1, 0)"),
    Action("pan-right", "right,l", "right", "Move right", _PICTURE, _ZOOM, "pan(1, 0)"),
    Action("pan-up", "up,k", "up", "Move up", _PICTURE, _ZOOM, "pan(0, -1)"),
    Action("pan-down", "down,j", "down", "Move down", _PICTURE, _ZOOM, "pan(0, 1)"),
    Action("outside", "o", "outside", "The picture in a program of its own, as [curate] viewer says",
           _LOOK, _CARD | _ZOOM, "open_outside", 1),
    Action("zoom-close", "escape,i,q", "back", "Back to the card", _PICTURE, _ZOOM, "close", 9),
    Action("zoom-help", "?,f1", "help", "This page", _ELSE, _ZOOM, "show_help", 4),
    Action("find", "/", "find", "Search texts, concepts and captions, and open a card", _LOOK, ANYWHERE, "find", 5),
    Action("revisit", "r", "revisit", "At the end: what you skipped, were unsure about or edited", _DECIDE, _DONE,
           "revisit", 9),
    Action("look-again", "enter,space", "look again", "At the end: see whether new cards have come", _DECIDE, _DONE,
           "look_again", 8),
    Action("scroll-down", "down,j", "down", "Scroll a long card down", _LOOK, _CARD, "scroll_card(1)"),
    Action("scroll-up", "up,k", "up", "Scroll a long card up", _LOOK, _CARD, "scroll_card(-1)"),
    Action("browse", "b", "browse", "All candidates, by what is known of them; many can be decided at once",
           _ROOM, ANYWHERE, "app.enter_room('browse')", 1),
    Action("guidelines", "g", "guidelines", "What counts as true, clear and worth saying; every reason with an example",
           _ROOM, ANYWHERE, "app.enter_room('guidelines')", 1),
    Action("adjudicate", "d", "adjudicate", "Settle what people disagree on; for adjudicators", _ROOM, ANYWHERE,
           "app.enter_room('adjudicate')", 1),
    Action("history", "h", "history", "Everything that ever happened to this card, and who did it", _ROOM,
           ANYWHERE | _TALLY, "app.enter_room('history')", 1),
    Action("progress", "p", "progress", "Speed, time left, balance, agreement, what the judges are worth",
           _ROOM, ANYWHERE, "app.enter_room('progress')", 1),
    Action("settings", "comma", "settings", "Everything that can be set, where it is set, and your keys",
           _ROOM, ANYWHERE, "app.enter_room('settings')"),
    Action("leave-room", "escape,q", "back to the card", "Leave the room; your card waits", _ROOM, ROOMS,
           "leave_room", 9),
    Action("browse-open", "enter", "open", "Open the card; in the facets: put the value into the view, or take it out",
           _LOOK, _BROWSE, "open", 9),
    Action("browse-filter", "/", "filter", "Type which candidates are listed; the line says what is known",
           _LOOK, _BROWSE, "filter", 9),
    Action("browse-choose", "space", "choose", "Choose this one, or let it go; with shift and an arrow a range",
           _DECIDE, _BROWSE, "choose", 8),
    Action("browse-all", "*", "all", "Choose all of the view; escape lets all go", _DECIDE, _BROWSE, "choose_all", 5),
    Action("browse-range-down", "shift+down,J", "range down", "Choose downwards", _DECIDE, _BROWSE,
           "choose_range(1)"),
    Action("browse-range-up", "shift+up,K", "range up", "Choose upwards", _DECIDE, _BROWSE, "choose_range(-1)"),
    Action("browse-accept", "A", "accept", "Accept what is chosen, or all of the view", _DECIDE, _BROWSE,
           "bulk('accept')", 6),
    Action("browse-reject", "X", "reject", "Reject what is chosen, or all of the view", _DECIDE, _BROWSE,
           "bulk('reject')", 6),
    Action("browse-requeue", "Q", "ask anew", "Ask everybody anew about what is chosen, or all of the view", _DECIDE,
           _BROWSE, "bulk('requeue')", 3),
    Action("browse-undo", "z", "undo", "Take back your last act, a bulk as a whole", _DECIDE, _BROWSE,
           "travel(True)", 4),
    Action("browse-redo", "Z,ctrl+y", "redo", "Take back the last undo", _DECIDE, _BROWSE, "travel(False)"),
    Action("browse-sort", "s", "sort", "The next order", _LOOK, _BROWSE, "sort(1)", 7),
    Action("browse-sort-back", "S", "sort back", "The order before", _LOOK, _BROWSE, "sort(-1)"),
    Action("browse-facets", "f", "facets", "How many there are of each; enter narrows the view", _LOOK, _BROWSE,
           "facets", 7),
    Action("browse-facet-next", "right,l", "next facet", "In the facets: the next field", _LOOK, _BROWSE,
           "turn_facets(1)"),
    Action("browse-facet-back", "left,h", "facet before", "In the facets: the field before", _LOOK, _BROWSE,
           "turn_facets(-1)"),
    Action("browse-views", "w", "views", "Saved views", _LOOK, _BROWSE, "views", 5),
    Action("browse-save-view", "W", "save view", "Save this view under a name", _LOOK, _BROWSE, "save_view", 1),
    Action("browse-down", "down,j", "down", "Down the list", _LOOK, _BROWSE, "move(1)"),
    Action("browse-up", "up,k", "up", "Up the list", _LOOK, _BROWSE, "move(-1)"),
    Action("browse-page-down", "pagedown,ctrl+d", "page down", "A page down", _LOOK, _BROWSE, "page(1)"),
    Action("browse-page-up", "pageup,ctrl+u", "page up", "A page up", _LOOK, _BROWSE, "page(-1)"),
    Action("browse-first", "home,g", "first", "To the first", _LOOK, _BROWSE, "move(-1000000000)"),
    Action("browse-last", "end,G", "last", "To the last", _LOOK, _BROWSE, "move(1000000000)"),
    Action("settle-accept", "a", "accept", "The final word: it is true, and someone could say it", _SETTLE, _ADJUDICATE,
           "final('accept')", 9),
    Action("settle-reject", "x", "reject", "The final word: it is not; one more key says why", _SETTLE, _ADJUDICATE,
           "ask_reason", 9),
    Action("settle-edit", "e", "edit", "Mend the text; people decide about your version", _SETTLE, _ADJUDICATE,
           "edit", 7),
    Action("settle-next", "space", "next", "Leave it for now", _SETTLE, _ADJUDICATE, "go_on", 8),
    Action("settle-undo", "z", "undo", "Take back what you settled last and show it again", _SETTLE,
           _ADJUDICATE | _TALLY, "undo", 8),
    Action("settle-zoom", "i", "zoom", "The picture on the whole screen", _LOOK, _ADJUDICATE, "zoom", 3),
    *(Action(f"cause-{cause.value.replace('_', '-')}", key, cause.value.replace("_", " "), CAUSE_TEXTS[cause],
             _WHY, _CAUSE, f"settle('{cause.value}')")
      for key, cause in CAUSE_KEYS.items()),
    Action("cause-none", "enter,space", "none", "leave it open", _WHY, _CAUSE, "settle('')"),
    Action("cause-cancel", "escape,backspace", "cancel", "do not settle it after all", _WHY, _CAUSE, "cancel_cause", 9),
    Action("tally-on", "enter,space", "next: any key", "To the next card", _SETTLE, _TALLY, "go_on", 9),
    Action("tally-down", "down,j", "down", "Scroll down", _LOOK, _TALLY | _ADJUDICATE, "scroll_room(1)"),
    Action("tally-up", "up,k", "up", "Scroll up", _LOOK, _TALLY | _ADJUDICATE, "scroll_room(-1)"),
    Action("next-page", "right,l,tab", "next page", "The next page", _ROOM, _PROGRESS, "turn_page(1)", 8),
    Action("previous-page", "left,h,shift+tab", "page before", "The page before", _ROOM, _PROGRESS,
           "turn_page(-1)", 7),
    Action("count-anew", "r", "count anew", "Count now; it also does so by itself when something was decided", _ROOM,
           _PROGRESS, "count_anew", 6),
    Action("change", "enter,e", "change", "Choose another value; it is written into negwb.toml", _ROOM, _SETTINGS,
           "change", 8),
    Action("room-browse", "1", "browse", "All candidates, by what is known of them", _ROOM, ROOMS - _BROWSE,
           "enter_room('browse')", 4),
    Action("room-adjudicate", "2", "adjudicate", "Settle what people disagree on", _ROOM, ROOMS - _ADJUDICATE,
           "enter_room('adjudicate')", 3),
    Action("room-progress", "3", "progress", "Speed, time left, balance, agreement, judges", _ROOM, ROOMS - _PROGRESS,
           "enter_room('progress')", 4),
    Action("room-history", "4", "history", "Everything that happened to a card", _ROOM, ROOMS - _HISTORY,
           "enter_room('history')", 3),
    Action("room-guidelines", "5", "guidelines", "What the team has agreed on", _ROOM, ROOMS - _GUIDELINES,
           "enter_room('guidelines')", 4),
    Action("room-settings", "6", "settings", "What can be set", _ROOM, ROOMS - _SETTINGS, "enter_room('settings')", 4),
    Action("room-down", "down,j", "down", "Scroll down", _LOOK, _SCROLLED, "scroll_room(1)"),
    Action("room-up", "up,k", "up", "Scroll up", _LOOK, _SCROLLED, "scroll_room(-1)"),
    Action("room-page-down", "pagedown,space", "page down", "Scroll a page down", _LOOK, _SCROLLED,
           "scroll_room(20)"),
    Action("room-page-up", "pageup", "page up", "Scroll a page up", _LOOK, _SCROLLED, "scroll_room(-20)"),
    Action("lab", "f4", "lab", "Generation, training runs and report; your card stays where it is", _ELSE, ANYWHERE,
           "app.show_lab", 1),
    Action("theme", "f2", "theme", "Dark or light", _ELSE, _EVERYWHERE, "app.toggle_dark"),
    Action("keep-theme", "f3", "keep theme", "Write the theme that shows into negwb.toml", _ELSE, _EVERYWHERE,
           "app.keep_theme"),
    Action("palette", "ctrl+p", "palette", "All actions by name, and all themes", _ELSE, _EVERYWHERE,
           "app.command_palette"),
    Action("help", "?,f1", "help", "This page", _ELSE, ANYWHERE, "app.show_help", 7),
    Action("room-help", "?,f1", "help", "This page", _ELSE, ROOMS, "show_help", 5),
    Action("quit", "q", "quit", "Leave; everything is kept", _ELSE, ANYWHERE,
           "quit", 2),
    *(Action(f"reason-{reason.value.replace('_', '-')}", key, reason.value.replace("_", " "), REASON_TEXTS[reason],
             _REASON, frozenset({KeyScope.REASON}), f"reject('{reason.value}')")
      for key, reason in REASON_KEYS.items()),
    Action("reason-cancel", "escape,backspace", "cancel", "do not reject after all", _REASON,
           frozenset({KeyScope.REASON}), "cancel_reason", 9),
)
# fmt: on

GENERATION, RUNS, REPORT = "Generation", "Training runs", "Report"
GROUPS = (_DECIDE, _SETTLE, _REASON, _WHY, GENERATION, RUNS, REPORT, _PICTURE, _LOOK, _ROOM, _ELSE)
"""In the order of the help; a group without actions is not shown."""

# fmt: off
_CAPS = {
    "space": "space", "left_square_bracket": "[", "right_square_bracket": "]", "slash": "/", "question_mark": "?",
    "escape": "esc", "backspace": "⌫", "up": "↑", "down": "↓", "left": "←", "right": "→",
    "plus": "+", "minus": "-", "underscore": "_",
}
# fmt: on


_TEXTUAL_NAMES = {
    "solidus": "slash",
    "reverse_solidus": "backslash",
    "commercial_at": "at",
    "hyphen_minus": "minus",
    "plus_sign": "plus",
    "low_line": "underscore",
}
"""Where Textual's name of a key is not the character's."""


class ActionMap:
    """The actions with the keys that apply here: the defaults, or the person's own."""

    def __init__(self, own_keys: Mapping[str, str] | None = None, actions: Sequence[Action] = _ACTIONS) -> None:
        """`own_keys`: action id to comma-separated keys; `actions`: curate's unless told.

        Raises:
            UsageError: an id that is none, no key, or a key that does two things in one place.
        """
        own = dict(own_keys or {})
        self._actions = tuple(actions)
        known = {action.id for action in self._actions}
        if unknown := sorted(own.keys() - known):
            raise UsageError(f"[curate.keys] has no action {unknown[0]!r}", hint=f"known: {', '.join(sorted(known))}")
        self._keys = {action.id: _split(action.id, own.get(action.id, action.keys)) for action in self._actions}
        self._refuse_clashes()

    @property
    def every(self) -> tuple[Action, ...]:
        """All actions, wherever they apply."""
        return self._actions

    def at(self, *places: KeyScope) -> list[Action]:
        """The actions that apply in one of `places`, in order."""
        return [action for action in self._actions if action.places & set(places)]

    def keys(self, action: Action) -> list[str]:
        """The keys of an action, by their long names."""
        return self._keys[action.id]

    def cap(self, action: Action) -> str:
        """The action's first key as it is printed on a keyboard."""
        return key_cap(self._keys[action.id][0])

    def caps(self, action: Action) -> str:
        """All of its keys, for the help."""
        return " ".join(key_cap(key) for key in self._keys[action.id])

    def usual_caps(self, action: Action) -> list[str]:
        """The keys that it has where nobody chose others."""
        return [key_cap(key) for key in _split(action.id, action.keys)]

    def _refuse_clashes(self) -> None:
        taken: dict[tuple[KeyScope, str], str] = {}
        for action in self._actions:
            for place in sorted(action.places):
                for key in self._keys[action.id]:
                    other = taken.setdefault((place, key), action.id)
                    if other != action.id:
                        raise UsageError(
                            f"[curate.keys] the key {key_cap(key)!r} would mean both {other} and {action.id}",
                            hint=f'give one of them another key, as in: {action.id} = "f5"',
                        )


def _split(action_id: str, keys: str) -> list[str]:
    named = [long_name(key.strip()) for key in keys.split(",") if key.strip()]
    if not named:
        raise UsageError(f"[curate.keys] {action_id} = {keys!r}: no key", hint='write keys as in: accept = "a,f5"')
    return list(dict.fromkeys(named))


def long_name(key: str) -> str:
    """A key by the name Textual gives it: "?" is question_mark."""
    if len(key) != 1 or key.isalnum():
        return key
    name = unicodedata.name(key, key).lower().replace("-", "_").replace(" ", "_")
    return _TEXTUAL_NAMES.get(name, name)


def key_cap(key: str) -> str:
    """A key as a person knows it."""
    if key in _CAPS:
        return _CAPS[key]
    try:
        return unicodedata.lookup(key.replace("_", " "))
    except KeyError:
        return key
