"""History: all events of a candidate, of its earlier texts and of the edits made from it.

Read each time the screen opens. While the candidate asks for this annotator's decision, decisions of others are hidden;
on a blind card the verdicts are hidden, too.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from curation_db.errors import RecordError
from curation_db.events import event_log
from curation_db.language.sanitize import display_text
from curation_db.queue.claims import still_queued_for
from curation_db.search.candidate_history import Timeline, redact, timeline
from workbench.tui.rendering import history as history_lines
from workbench.tui.screens.base.navigation import MainView
from workbench.tui.screens.base.side_screen import SideScreen
from workbench.tui.threads import run_in_daemon_thread
from workbench.tui.widgets.lines.header_bar import HeaderBar
from workbench.tui.widgets.lines.key_hints import pane_keys
from workbench.workspace.keymap import Tab


class HistoryScreen(SideScreen):
    """One scrolling text, oldest event first."""

    VIEW = MainView.HISTORY
    TAB = Tab.HISTORY
    CSS_PATH = "history.tcss"
    AUTO_FOCUS = None
    PANES: ClassVar = {
        "#history": [pane_keys("scroll", "text-up", "text-down"), pane_keys("refresh", "history-refresh")]
    }

    _loaded: Timeline | None = None

    def compose(self) -> ComposeResult:
        yield HeaderBar(id="top")
        with VerticalScroll(id="history", classes="pane", can_focus=False) as pane:
            pane.border_title = "events"
            yield Static(id="moments", markup=False)
        yield from self.compose_foot()

    def on_mount(self) -> None:
        if not self.is_whole:
            return
        self.query_one(HeaderBar).show("history")
        number = self.navigation.candidate
        if number is None:
            self._show_content(Content("No card is open. Find one with /, then come back."))
            return
        self.run_worker(self._read(number))

    async def action_refresh(self) -> None:
        """Read the events again."""
        if self.navigation.candidate is not None:
            await self._read(self.navigation.candidate)
            self.show_message("refreshed")

    def on_resize(self) -> None:
        if self._loaded is not None:
            self.call_after_refresh(self._lay_out)

    async def _read(self, number: int) -> None:
        try:
            self._loaded = await run_in_daemon_thread(partial(self._timeline, number))
        except RecordError as error:
            self._show_content(Content(display_text(f"⚠ {error.message}", limit=400)))
            return
        count = len(self._loaded.entries)
        self.query_one(HeaderBar).show(
            "history", f"#{number}", right=f"{count:,} {'entry' if count == 1 else 'entries'}, newest last"
        )
        self.call_after_refresh(self._lay_out)

    def _timeline(self, number: int) -> Timeline:
        session = self.navigation.session
        with session.store.read() as connection:
            events = timeline(connection, number, self.navigation.workspace.exports)
            blind = {
                member.candidate_id
                for member in events.members
                if (member.audit or session.settings.blind)
                and not event_log.has_decided(connection, member.candidate_id, session.actor.name)
            }
            members = [member.candidate_id for member in events.members]
            hidden = blind | still_queued_for(connection, members, session.actor.annotator_id)
        return redact(events, hidden, session.actor.name, blind=blind) if hidden else events

    def _lay_out(self) -> None:
        if self._loaded is not None and self.is_whole:
            width = self.query_one("#history").content_size.width - 1
            self._show_content(history_lines.timeline_content(self._loaded, max(40, width)))

    def _show_content(self, content: Content) -> None:
        self.query_one("#moments", Static).update(content)
        self.update_keys_later()

    def disabled_reason(self, action: str, parameters: tuple[object, ...]) -> str:
        if action == "refresh" and self.navigation.candidate is None:
            return "no card is open"
        return self.scroll_reason("#history", *parameters) if action == "scroll_text" else ""  # type: ignore[arg-type]

    def action_scroll_text(self, by: int) -> None:
        self.query_one("#history").scroll_relative(y=by, animate=False)
