"""History: everything that ever happened to a card, to the texts it came from and to those that came from it.

Read anew each time. Where a card still asks for this person's decision, nothing is told of what others decided; where
it is to be judged blind, nothing of the judges either.
"""

from __future__ import annotations

from functools import partial

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from curation_db.errors import RecordError
from curation_db.events import event_log
from curation_db.language.sanitize import counted, display_text
from curation_db.queue.claims import still_queued_for
from curation_db.search.candidate_history import Timeline, redact, timeline
from workbench.tui.rendering import history as history_lines
from workbench.tui.screens.base.navigation import MainView
from workbench.tui.screens.base.side_screen import SideScreen
from workbench.tui.threads import run_in_daemon_thread
from workbench.tui.widgets.header_bar import HeaderBar
from workbench.tui.widgets.key_hints import KeyHints


class HistoryScreen(SideScreen):
    """One text that scrolls, from the oldest to the newest."""

    VIEW = MainView.HISTORY
    CSS_PATH = "history.tcss"
    AUTO_FOCUS = None

    _told: Timeline | None = None

    def compose(self) -> ComposeResult:
        """Where one is, the text, the keys."""
        yield HeaderBar(id="top")
        with VerticalScroll(id="history", can_focus=False):
            yield Static(id="moments", markup=False)
        yield KeyHints(self.actions, self.place, id="keys")

    def on_mount(self) -> None:
        """Read."""
        if not self.is_whole:
            return
        self.query_one(HeaderBar).show("history")
        number = self.navigation.candidate
        if number is None:
            self._say(
                Content("There is no card in the seat. Look one up with / at the end of the queue, then come back.")
            )
            return
        self.run_worker(self._read(number))

    def on_resize(self) -> None:
        """Another width, other columns."""
        if self._told is not None:
            self.call_after_refresh(self._lay_out)

    async def _read(self, number: int) -> None:
        try:
            self._told = await run_in_daemon_thread(partial(self._timeline, number))
        except RecordError as error:
            self._say(Content(display_text(f"⚠ {error.message}", limit=400)))
            return
        count = len(self._told.entries)
        self.query_one(HeaderBar).show("history", f"#{number}", right=f"{counted(count, 'moment')}, the newest last")
        self.call_after_refresh(self._lay_out)

    def _timeline(self, number: int) -> Timeline:
        session = self.navigation.session
        with session.store.read() as connection:
            told = timeline(connection, number, self.navigation.workspace.exports)
            blind = {
                member.candidate_id
                for member in told.members
                if (member.audit or session.settings.blind)
                and not event_log.has_decided(connection, member.candidate_id, session.actor.name)
            }
            members = [member.candidate_id for member in told.members]
            hidden = blind | still_queued_for(connection, members, session.actor.annotator_id)
        return redact(told, hidden, session.actor.name, blind=blind) if hidden else told

    def _lay_out(self) -> None:
        if self._told is not None and self.is_mounted:
            width = self.query_one("#history").content_size.width - 1
            self._say(history_lines.timeline_content(self._told, max(40, width)))

    def _say(self, content: Content) -> None:
        self.query_one("#moments", Static).update(content)

    def action_scroll_text(self, by: int) -> None:
        """Line by line."""
        self.query_one("#history").scroll_relative(y=by, animate=False)
