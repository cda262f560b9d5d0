"""Navigation between Curate and its side screens.

The card stays below a side screen, with its lease. A side screen replaces the previous one (`switch_screen`), so
leaving always leads back to the card. A side screen is one line in `_SCREENS`; its keys are in the action registry.
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
    from workbench.workspace.settings.settings import Settings


ROLE_HINT = "restart as an adjudicator: negwb adjudicate --role adjudicator"


class MainView(StrEnum):
    """The side screens, by the names that actions use."""

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
"""Module and class of each screen; imported when the screen is first opened."""


@dataclass
class NavigationContext:
    """State that the side screens share."""

    session: AnnotationSession
    """The session; its store is the record that all screens read."""
    workspace: Workspace
    settings: Settings
    actions: ActionMap
    leave: Callable[[], Any]
    """Close the screens above the card."""
    open_card: Callable[[int], Any]
    """Close the side screens and show this candidate as a card."""
    protocol: str = "halfcell"
    candidate: int | None = None
    """The candidate that was shown when the side screens were opened, or that another side screen selected."""
    view: str = ""
    """Query that Browse lists when it is first opened."""
    memory: dict[MainView, Any] = field(default_factory=dict)

    def list_in_browse(self, line: str) -> None:
        """Let Browse list this query when it is opened next."""
        from curation_db.search.query_language import parse_view  # only when asked for

        self.view = line
        if (memory := self.memory.get(MainView.BROWSE)) is not None:
            memory.view, memory.at = parse_view(line), None
            memory.selection.clear()

    def refusal(self, view: MainView) -> str | None:
        """Return why the annotator may not open the screen, or None."""
        if view is MainView.ADJUDICATE and self.session.actor.role is not Role.ADJUDICATOR:
            return f"only adjudicators can settle disagreements — {ROLE_HINT}"
        return None

    def screen(self, view: MainView) -> Screen[None]:
        """Create a screen; it finds its earlier state in `memory`."""
        module, name = _SCREENS[view]
        screen: Screen[None] = getattr(import_module(module), name)(self)
        return screen
