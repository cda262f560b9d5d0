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
    from workbench.annotation.session import AnnotationSession
    from workbench.workspace.layout import Workspace
    from workbench.workspace.settings import Settings


SIT_DOWN_AS_ONE = "sit down as one: negwb adjudicate --role adjudicator"


class MainView(StrEnum):
    """The rooms, by the names that actions call them."""

    BROWSE = "browse"
    ADJUDICATE = "adjudicate"
    PROGRESS = "progress"
    HISTORY = "history"
    GUIDELINES = "guidelines"
    SETTINGS = "settings"


_SCREENS: dict[MainView, tuple[str, str]] = {
    MainView.BROWSE: ("workbench.tui.screens.browse", "BrowseScreen"),
    MainView.ADJUDICATE: ("workbench.tui.screens.adjudicate", "AdjudicateScreen"),
    MainView.PROGRESS: ("workbench.tui.screens.progress", "ProgressScreen"),
    MainView.HISTORY: ("workbench.tui.screens.history", "HistoryScreen"),
    MainView.GUIDELINES: ("workbench.tui.screens.guidelines", "GuidelinesScreen"),
    MainView.SETTINGS: ("workbench.tui.screens.settings", "SettingsScreen"),
}
"""Module and class, imported when a room is first entered."""


@dataclass
class NavigationContext:
    """What the rooms share, and what one of them remembers while another shows."""

    session: AnnotationSession
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
    memory: dict[MainView, Any] = field(default_factory=dict)

    def refusal(self, room: MainView) -> str | None:
        """Why this person may not enter the room, in a line."""
        if room is MainView.ADJUDICATE and self.session.actor.role is not Role.ADJUDICATOR:
            return f"only an adjudicator settles what others said — {SIT_DOWN_AS_ONE}"
        return None

    def screen(self, room: MainView) -> Screen[None]:
        """A room, anew; it finds what it remembers in `memory`."""
        module, name = _SCREENS[room]
        made: Screen[None] = getattr(import_module(module), name)(self)
        return made
