"""The rooms beside the card, as screens over curate: what they share, and the way from one to another.

The card stays below as it is, with its lease. A room replaces the one before it (`switch_screen`), so leaving always
leads back to the card. A room is one line in `_SCREENS`; its keys are in the one action registry (`actions`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Any

from textual.screen import Screen

from curation_db.enums import Role
from workbench.workspace.keymap import ActionMap

if TYPE_CHECKING:
    from workbench.annotation.session import Desk
    from workbench.workspace.layout import Workspace
    from workbench.workspace.settings import Settings


SIT_DOWN_AS_ONE = "sit down as one: negwb adjudicate --role adjudicator"


class Room(StrEnum):
    """The rooms, by the names that actions call them."""

    BROWSE = "browse"
    ADJUDICATE = "adjudicate"
    PROGRESS = "progress"
    HISTORY = "history"
    GUIDELINES = "guidelines"
    SETTINGS = "settings"


_SCREENS: dict[Room, tuple[str, str]] = {
    Room.BROWSE: ("workbench.tui.screens.browse", "BrowseScreen"),
    Room.ADJUDICATE: ("workbench.tui.screens.adjudicate", "AdjudicateScreen"),
    Room.PROGRESS: ("workbench.tui.screens.progress", "ProgressScreen"),
    Room.HISTORY: ("workbench.tui.screens.history", "HistoryScreen"),
    Room.GUIDELINES: ("workbench.tui.screens.guidelines", "GuidelinesScreen"),
    Room.SETTINGS: ("workbench.tui.screens.settings", "SettingsScreen"),
}
"""Module and class, imported when a room is first entered."""


@dataclass
class Rooms:
    """What the rooms share, and what one of them remembers while another shows."""

    desk: Desk
    """Whose sitting it is; its store is the record that all rooms look at."""
    workspace: Workspace
    settings: Settings
    actions: ActionMap
    leave: Callable[[], Any]
    """Back to the card."""
    open_card: Callable[[int], Any]
    """Back to the seat, with this candidate in it."""
    protocol: str = "halfcell"
    candidate: int | None = None
    """The card that was shown when the rooms were entered, or that another room pointed at."""
    view: str = ""
    """What the browse room lists when it is first entered, as it is typed."""
    memory: dict[Room, Any] = field(default_factory=dict)

    def refusal(self, room: Room) -> str | None:
        """Why this person may not enter the room, in a line."""
        if room is Room.ADJUDICATE and self.desk.actor.role is not Role.ADJUDICATOR:
            return f"only an adjudicator settles what others said — {SIT_DOWN_AS_ONE}"
        return None

    def screen(self, room: Room) -> Screen[None]:
        """A room, anew; it finds what it remembers in `memory`."""
        module, name = _SCREENS[room]
        made: Screen[None] = getattr(import_module(module), name)(self)
        return made
