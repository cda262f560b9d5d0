"""Guidelines: the team's annotation guidelines, from the workspace's guidelines.md.

The file is read each time the screen opens, so edits need no restart. Links are never opened, because the file may come
from an untrusted source.
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
from workbench.workspace.keymap import Tab


class GuidelinesScreen(SideScreen):
    VIEW = MainView.GUIDELINES
    TAB = Tab.GUIDELINES
    CSS_PATH = "guidelines.tcss"
    AUTO_FOCUS = None

    def compose(self) -> ComposeResult:
        yield HeaderBar(id="top")
        with VerticalScroll(id="guidelines", can_focus=False):
            yield Markdown(open_links=False)
        yield KeyHints(self.actions, self.place, id="keys")

    async def on_mount(self) -> None:
        if not self.is_whole:
            return
        guidelines = read_guidelines(self.navigation.workspace)
        self.query_one(HeaderBar).show("guidelines", right=_origin(guidelines))
        await self.query_one(Markdown).update(guidelines.text)

    def on_markdown_link_clicked(self, event: Markdown.LinkClicked) -> None:
        """Show the address instead of opening it."""
        event.stop()
        self.show_message(f"a link to {event.href}")

    def action_scroll_text(self, by: int) -> None:
        self.query_one("#guidelines").scroll_relative(y=by, animate=False)


def _origin(guidelines: Guidelines) -> str:
    if guidelines.problem:
        return f"⚠ {guidelines.problem}"
    return "guidelines.md of this workspace" if guidelines.own else "negwb's default; write your own into guidelines.md"
