"""What the screens of all rooms do alike: keys from the registry, ways to the other rooms and back to the card."""

from __future__ import annotations

from workbench.tui.screens.base.action_screen import ActionScreen
from workbench.tui.screens.base.navigation import MainView, NavigationContext
from workbench.tui.screens.help import HelpScreen
from workbench.workspace.keymap import KeyScope


class SideScreen(ActionScreen):
    """Give it a `ROOM`, whose name is also its place in the registry."""

    ROOM: MainView

    def __init__(self, rooms: NavigationContext) -> None:
        super().__init__(rooms.actions, KeyScope(self.ROOM.value))
        self.rooms = rooms

    def action_enter_room(self, name: str) -> None:
        """The other room in place of this one."""
        refused = self.rooms.refusal(MainView(name))
        if refused is not None:
            self.tell(refused)
        elif name != self.ROOM:
            self.app.switch_screen(self.rooms.screen(MainView(name)))

    def action_leave_room(self) -> None:
        """Back to the card."""
        self.rooms.leave()

    def action_show_help(self) -> None:
        """What the keys do in this room."""
        self.app.push_screen(HelpScreen(self.actions, places=(self.place,)))
