"""The screen at the end of the queue: what was decided, what waits, what to run next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from curation_db.enums import State
from curation_db.errors import RecordError
from curation_db.language.sanitize import display_text
from workbench.annotation.models import SessionSummary, waiting_edits_line
from workbench.annotation.wording import session_counts, session_figures
from workbench.tui.bindings import bind
from workbench.tui.screens.base.action_screen import apply_unbound_key
from workbench.tui.widgets.lines.action_line import ActionLine
from workbench.tui.widgets.lines.key_hints import KeyHints
from workbench.tui.widgets.lines.status import StatusContent, StatusLine
from workbench.workspace.keymap import ActionMap, KeyScope, Tab

if TYPE_CHECKING:
    from workbench.annotation.session import AnnotationSession

_QUIET = "$foreground 70%"


class QueueEndScreen(Screen[str | None]):
    """Dismissed with the action that the annotator chose."""

    DEFAULT_CSS = """
    QueueEndScreen { background: $background; }
    QueueEndScreen #done-box { align: center middle; height: 1fr; }
    QueueEndScreen #done { width: 74; max-width: 100%; height: auto; border: round $border; padding: 1 3; }
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
        yield ActionLine(id="message")
        yield KeyHints(self._actions, KeyScope.DONE, id="keys")

    async def on_key(self, event: events.Key) -> None:
        """Apply a key of another keyboard layout; show that a printable key has no action here."""
        await apply_unbound_key(self, event, self._actions, KeyScope.DONE)

    def show_message(self, message: str) -> None:
        """Show a message in the line above the keys for a few seconds."""
        self.query_one(ActionLine).show(Content(display_text(message, limit=300)), seconds=3)

    def on_mount(self) -> None:
        """Count decisions and waiting cards."""
        if not self.children:  # the app is just ending
            return
        try:
            self._summary = self._session.summary()
            content = summary_content(self._summary, self._revisit_cap())
        except RecordError as error:
            content = Content(error.message)
        self.query_one(KeyHints).refresh()
        self.query_one("#done", Static).update(content)
        session = self._session
        self.query_one(StatusLine).show(
            StatusContent(
                session.actor.name,
                progress=session.progress,
                goal=session.settings.goal,
                read_only=self._actions.read_only,
            )
        )

    def _revisit_cap(self) -> str:
        return self._actions.cap_of("revisit")

    def disabled_reason(self, action: str, parameters: tuple[object, ...]) -> str:
        """Return why an action does not apply at the moment; "" if it does. Its key is grey."""
        summary = self._summary
        if summary is None:
            return ""
        applies, reason = {
            "undo": (summary.can_undo, "nothing to undo"),
            "redo": (summary.can_redo, "nothing to redo"),
            "look_back": (summary.can_look_back, "no earlier decision"),
            "revisit": (summary.set_aside > 0, "you have skipped, edited or been unsure about no card"),
        }.get(action, (True, ""))
        return "" if applies else reason

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


def summary_content(summary: SessionSummary, revisit_key: str) -> Content:
    headline = "No new card in your queue." if summary.set_aside else "Your queue is empty."
    lines = [Content.styled(headline, "bold $text-accent"), Content("")]
    lines += [
        _counted("this session", session_counts(summary.decisions, glyphs=True)),
        *(_counted(label, [text]) for label, text in session_figures(summary)),
        _counted("the workspace", _states(summary.states)),
    ]
    lines += [Content.styled(f"⚠ {words}", "$text-warning") for words in summary.refused.clauses]
    lines.append(Content(""))
    if summary.set_aside:
        passed = f"{summary.set_aside:,} you skipped, were unsure about or edited"
        lines += [
            Content.assemble(
                "Set aside: ", (passed, "bold"), "; ", (revisit_key, "bold $text-accent"), " goes through them again."
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


def _counted(label: str, parts: list[str]) -> Content:
    return Content.assemble((f"{label:<15}", _QUIET), " · ".join(parts) or "nothing yet")


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
