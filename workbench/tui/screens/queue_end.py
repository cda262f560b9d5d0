"""The screen at the end of the queue: what was decided, what waits, what to run next."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from textual import work
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from curation_db.enums import State
from curation_db.errors import RecordError
from workbench.annotation.models import SessionSummary, waiting_edits_line
from workbench.annotation.wording import session_counts
from workbench.tui.bindings import bind
from workbench.tui.threads import run_in_daemon_thread
from workbench.tui.widgets.key_hints import KeyHints
from workbench.tui.widgets.status import StatusContent, StatusLine
from workbench.workspace.keymap import ActionMap, KeyScope, Tab

if TYPE_CHECKING:
    from workbench.annotation.session import AnnotationSession

_QUIET = "$foreground 70%"
_WIDTH, _FRAME = 86, 6
"""Columns of the box, and of its border and padding."""
_SCROLLBAR = 2
_HIGH = 24
"""Rows from which there is room above and below the text."""
_LABEL = 15
"""Columns of the labels."""


class QueueEndScreen(Screen[str | None]):
    """Dismissed with the action that the annotator chose."""

    DEFAULT_CSS = """
    QueueEndScreen { background: $background; }
    QueueEndScreen #done-box { align: center middle; height: 1fr; }
    QueueEndScreen #done { width: 86; max-width: 100%; height: auto; border: round $border; padding: 1 2; }
    """
    AUTO_FOCUS = None
    TAB = Tab.CURATE

    def __init__(self, session: AnnotationSession, actions: ActionMap) -> None:
        super().__init__()
        self._session = session
        self._actions = actions
        self._summary: SessionSummary | None = None
        """None: not counted yet."""
        bind(self, actions, KeyScope.DONE)

    def compose(self) -> ComposeResult:
        yield StatusLine(id="status")
        with VerticalScroll(id="done-box", can_focus=False):
            yield Static(id="done", markup=False)
        yield KeyHints(self._actions, KeyScope.DONE, id="keys")

    def on_mount(self) -> None:
        """Count decisions and waiting cards, in a thread: that reads all decisions of the annotator."""
        if not self.children:  # the app is just ending
            return
        self.query_one("#done", Static).update(Content("counting …"))
        self._count()
        session = self._session
        self.query_one(StatusLine).show(
            StatusContent(session.actor.name, progress=session.progress, goal=session.settings.goal)
        )

    @work
    async def _count(self) -> None:
        try:
            self._summary = await run_in_daemon_thread(self._session.summary)
        except RecordError as error:
            if self.is_mounted:
                self.query_one("#done", Static).update(Content(error.message))
            return
        if self.is_mounted:
            self._show_summary()

    def on_resize(self) -> None:
        self._show_summary()

    def _show_summary(self) -> None:
        if self._summary is not None and self.children:
            width = min(self.size.width - _SCROLLBAR, _WIDTH) - _FRAME
            content = summary_content(self._summary, self._actions.cap_of("revisit"), width)
            box = self.query_one("#done", Static)
            box.styles.padding = (1 if self.size.height >= _HIGH else 0, 2)
            box.update(content)

    def _leave(self, action: str) -> None:
        if self.is_active:  # a second key may come before the first has closed
            self.dismiss(action)

    def action_revisit(self) -> None:
        """Go through the skipped, unsure and edited cards."""
        self._leave("revisit")

    def action_look_again(self) -> None:
        """Ask the queue again."""
        self._leave("look_again")

    def action_undo(self) -> None:
        """Undo in the session, as all actions of this screen."""
        self._leave("undo")

    def action_redo(self) -> None:
        self._leave("redo")

    def action_look_back(self) -> None:
        """Show the last decision."""
        self._leave("look_back")

    def action_find(self) -> None:
        self._leave("find")

    def open_card(self, candidate_id: int) -> None:
        self._leave(f"open_card({candidate_id})")

    async def action_quit(self) -> None:
        await self.app.action_quit()


def summary_content(summary: SessionSummary, revisit_key: str, width: int) -> Content:
    """Return the content of the box, which has `width` columns."""
    headline = "No new card waits for you." if summary.set_aside else "No card waits for you now."
    lines = [Content.styled(headline, "bold $text-accent"), Content("")]
    lines += [
        _counted("this session", session_counts(summary.decisions, glyphs=True), width),
        *(_labelled(label, words, width) for label, words in summary.report),
        _counted("the workspace", _states(summary.states), width),
    ]
    lines += [Content.styled(f"⚠ {words}", "$text-warning") for words in summary.refused.clauses]
    lines.append(Content(""))
    if summary.set_aside:
        passed = f"{summary.set_aside:,} you skipped, were unsure about or edited"
        lines += [
            Content.assemble(
                "Waiting: ", (passed, "bold"), "; ", (revisit_key, "bold $text-accent"), " goes through them again."
            ),
            Content(""),
        ]
    if summary.edits:
        lines += [Content(f"{waiting_edits_line(summary)}."), Content("")]
    if summary.fresh:
        lines += [Content(f"{summary.fresh:,} more are leased by others, or have just arrived."), Content("")]
    lines += [
        Content.styled("What to run next", "bold"),
        Content.assemble(("  negwb export    ", "bold"), ("freeze the accepted pairs into a training set", _QUIET)),
        Content.assemble(("  negwb status    ", "bold"), ("show the state of the workspace", _QUIET)),
    ]
    return Content("\n").join(lines)


def _counted(label: str, parts: list[str], width: int) -> Content:
    return _labelled(label, " · ".join(parts) or "nothing yet", width)


def _labelled(label: str, words: str, width: int) -> Content:
    """Return a label and a text that continues below its own beginning."""
    lines = textwrap.wrap(words, max(20, width - _LABEL))
    return Content.assemble((f"{label:<{_LABEL}}", _QUIET), ("\n" + " " * _LABEL).join(lines))


def _states(states: dict[State, int]) -> list[str]:
    words = {
        State.ACCEPTED: "✓ {} accepted",
        State.REJECTED: "✗ {} rejected",
        State.UNSURE: "? {} unsure",
        State.CONTESTED: "{} contested",
        State.NEEDS_MORE: "{} need another annotator",
        State.OPEN: "{} open",
    }
    return [text.format(f"{states[state]:,}") for state, text in words.items() if states.get(state)]
