"""Guidelines: the team's annotation guidelines, from the workspace's guidelines.md.

The file is read each time the screen opens, so edits need no restart. Links are never opened, because the file may come
from an untrusted source.
"""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Markdown

from workbench.tui.screens.base.navigation import MainView
from workbench.tui.screens.base.side_screen import SideScreen
from workbench.tui.widgets.lines.header_bar import HeaderBar
from workbench.tui.widgets.lines.key_hints import pane_keys
from workbench.workspace.guidelines import Guidelines, read_guidelines
from workbench.workspace.keymap import Tab


class GuidelinesScreen(SideScreen):
    VIEW = MainView.GUIDELINES
    TAB = Tab.GUIDELINES
    CSS_PATH = "guidelines.tcss"
    AUTO_FOCUS = None
    PANES: ClassVar = {"#guidelines": [pane_keys("scroll", "text-up", "text-down")]}

    def compose(self) -> ComposeResult:
        yield HeaderBar(id="top")
        with VerticalScroll(id="guidelines", classes="pane", can_focus=False) as pane:
            pane.border_title = "guidelines"
            yield Markdown(open_links=False)
        yield from self.compose_foot()

    async def on_mount(self) -> None:
        if not self.is_whole:
            return
        guidelines = read_guidelines(self.navigation.workspace)
        self.query_one(HeaderBar).show("guidelines", right=f"⚠ {guidelines.problem}" if guidelines.problem else "")
        self.query_one("#guidelines").border_title = _origin(guidelines)
        await self.query_one(Markdown).update(guidelines.text)
        self.update_keys_later()

    def disabled_reason(self, action: str, parameters: tuple[object, ...]) -> str:
        return self.scroll_reason("#guidelines", *parameters) if action == "scroll_text" else ""  # type: ignore[arg-type]

    def on_markdown_link_clicked(self, event: Markdown.LinkClicked) -> None:
        """Show the address instead of opening it."""
        event.stop()
        self.show_message(f"a link to {event.href}")

    def action_scroll_text(self, by: int) -> None:
        self.query_one("#guidelines").scroll_relative(y=by, animate=False)


def _origin(guidelines: Guidelines) -> str:
    return "guidelines.md of this workspace" if guidelines.own else "negwb's default; write your own into guidelines.md"
