"""Guidelines: what the team has agreed on, one key away from the card. The workspace's own guidelines.md.

It is read anew each time, so whoever mends it need not ask people to start again. Links lead nowhere: the text may
come from anybody.
"""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Markdown

from workbench.tui.screens.base.navigation import MainView
from workbench.tui.screens.base.side_screen import SideScreen
from workbench.tui.widgets.header_bar import HeaderBar
from workbench.tui.widgets.key_hints import KeyHints
from workbench.workspace.guidelines import Guidelines, read_guidelines


class GuidelinesScreen(SideScreen):
    """One text that scrolls."""

    ROOM = MainView.GUIDELINES
    CSS_PATH = "guidelines.tcss"
    AUTO_FOCUS = None

    def compose(self) -> ComposeResult:
        """Where one is, the text, the keys."""
        yield HeaderBar(id="top")
        with VerticalScroll(id="guidelines", can_focus=False):
            yield Markdown(open_links=False)
        yield KeyHints(self.actions, self.place, id="keys")

    async def on_mount(self) -> None:
        """Read and show."""
        if not self.is_whole:
            return
        told = read_guidelines(self.rooms.workspace)
        self.query_one(HeaderBar).tell("guidelines", right=_origin(told))
        await self.query_one(Markdown).update(told.text)

    def on_markdown_link_clicked(self, event: Markdown.LinkClicked) -> None:
        """Nothing is opened; the address is told instead."""
        event.stop()
        self.tell(f"a link to {event.href}")

    def action_scroll_room(self, by: int) -> None:
        """Line by line."""
        self.query_one("#guidelines").scroll_relative(y=by, animate=False)


def _origin(told: Guidelines) -> str:
    if told.problem:
        return f"⚠ {told.problem}"
    return "guidelines.md of this workspace" if told.own else "negwb's own; yours go into guidelines.md"
