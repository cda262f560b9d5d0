"""What the screens of all rooms do alike: keys from the registry, ways to the other rooms and back to the card."""

from __future__ import annotations

from workbench.tui.screens.base.action_screen import ActionScreen
from workbench.tui.screens.base.navigation import MainView, NavigationContext
from workbench.tui.screens.help import HelpScreen
from workbench.workspace.keymap import KeyScope


class SideScreen(ActionScreen):
    """Give it a `ROOM`, whose name is also its place in the registry."""

    VIEW: MainView

    def __init__(self, rooms: NavigationContext) -> None:
        super().__init__(rooms.actions, KeyScope(self.VIEW.value))
        self.navigation = rooms

    def action_open_screen(self, name: str) -> None:
        """The other room in place of this one."""
        refused = self.navigation.refusal(MainView(name))
        if refused is not None:
            self.show_message(refused)
        elif name != self.VIEW:
            self.app.switch_screen(self.navigation.screen(MainView(name)))

    def action_leave_screen(self) -> None:
        """Back to the card."""
        self.navigation.leave()

    def action_show_help(self) -> None:
        """What the keys do in this room."""
        self.app.push_screen(HelpScreen(self.actions, places=(self.place,)))
