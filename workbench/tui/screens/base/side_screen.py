"""Base class of side screens: keys from the registry, and navigation to other side screens and back to the card."""

from __future__ import annotations

from typing import ClassVar

from workbench.tui.screens.base.action_screen import ActionScreen
from workbench.tui.screens.base.navigation import MainView, NavigationContext
from workbench.tui.screens.help import HelpScreen
from workbench.workspace.keymap import KeyScope


class SideScreen(ActionScreen):
    """Subclasses set `VIEW`, whose name is also their key scope."""

    VIEW: MainView
    QUESTIONS: ClassVar[tuple[KeyScope, ...]] = ()
    """The scopes of the questions that the screen asks, whose keys the help lists, too."""

    def __init__(self, navigation: NavigationContext) -> None:
        super().__init__(navigation.actions, KeyScope(self.VIEW.value))
        self.navigation = navigation

    def action_leave_screen(self) -> None:
        self.navigation.leave()

    def action_show_help(self) -> None:
        self.app.push_screen(HelpScreen(self.actions, places=(self.place, *self.QUESTIONS)))
