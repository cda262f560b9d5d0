"""Bulk decision: shows what would change, asks for a reason where one is needed, and for the number as confirmation.

Preview and decision run in threads. While the decision runs, no key is accepted, because its progress would be unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from curation_db.enums import REASON_KEYS, Kind, Reason
from curation_db.errors import RecordError
from curation_db.language.sanitize import display_text
from curation_db.review.bulk import BulkDone, decide_in_bulk, preview
from curation_db.review.bulk_preview import BulkPreview
from workbench.annotation.wording import BULK
from workbench.tui.rendering import bulk
from workbench.tui.rendering.card_content import BAD, MARK, QUIET, WARN, bar
from workbench.tui.screens.modals.dialog import Dialog
from workbench.tui.threads import run_in_daemon_thread
from workbench.workspace.keymap import KeyScope

if TYPE_CHECKING:
    from workbench.annotation.session import AnnotationSession
    from workbench.workspace.keymap import Action, ActionMap

_BAR_CELLS = 30


class BulkModal(Dialog[BulkDone]):
    """Dismissed with the result, or with None if nothing changed. The session has been updated by then."""

    DEFAULT_CSS = """
    BulkModal #bulk-number { margin-top: 1; width: 24; border: tall $border; }
    BulkModal #bulk-number:focus { border: tall $primary; }
    BulkModal #bulk-text { height: auto; }
    """

    class Step(Message):
        """Progress of the decision."""

        def __init__(self, what: str, done: int, total: int) -> None:
            super().__init__()
            self.what, self.done, self.total = what, done, total

        def can_replace(self, message: Message) -> bool:
            """Keep only the newest message."""
            return isinstance(message, BulkModal.Step)

    def __init__(
        self, session: AnnotationSession, actions: ActionMap, ids: Sequence[int], kind: Kind, *, title: str = ""
    ) -> None:
        """`ids`: the selected candidates; `kind`: accept, reject or requeue."""
        super().__init__(title or f"{BULK[kind].title}: {bulk.cards(len(ids))} selected")
        self._session, self._actions = session, actions
        self._whole = title or "a selection"
        """What is decided, for the log of the session."""
        self._ids, self._kind = ids, kind
        self._summary: BulkPreview | None = None
        self._reason: Reason | None = None
        self._asks_reason = False
        self._deciding = False
        self._done: BulkDone | None = None

    def compose_body(self) -> ComposeResult:
        yield Static(Content.styled("checking the selected cards …", QUIET), id="bulk-text", markup=False)
        number = Input(id="bulk-number", max_length=12, disabled=True)  # disabled: it must not take the reason's key
        number.display = False
        yield number
        yield Static(Content.styled("esc cancel: nothing is changed", QUIET), id="bulk-foot", classes="dialog-foot")

    def on_mount(self) -> None:
        self.run_worker(self._look())

    async def _look(self) -> None:
        try:
            self._summary = await run_in_daemon_thread(self._preview)
        except RecordError as error:
            self._refuse(error)
            return
        if not self._summary.changing:
            about = [*self.about(self._summary), Content("")] if self.about(self._summary) else []
            nothing = bulk.nothing_to_do(self._summary, self._kind)
            self._show_content(Content("\n").join([*about, nothing]), "esc cancel")
        elif self._kind is Kind.REJECT:
            self._ask_reason()
        else:
            self._ask_number()

    def _preview(self) -> BulkPreview:
        with self._session.store.read() as connection:
            return preview(connection, self._session.actor, self._ids, self._kind)

    def _ask_reason(self) -> None:
        self._asks_reason = True
        assert self._summary is not None
        lines = [
            Content.assemble((f" {self._actions.cap(action):<3} ", f"bold {MARK}"), action.help)
            for action, _ in self._reasons()
        ]
        head = Content.styled(f"Reject {bulk.cards(self._summary.changing)} because", "bold")
        about = [*self.about(self._summary), Content("")] if self.about(self._summary) else []
        rejects = "" if self.asks_number(self._summary) else " and rejects them"
        foot = f"a key says why{rejects} · esc cancel"
        self._show_content(Content("\n").join([*about, head, Content(""), *lines]), foot)

    def about(self, preview: BulkPreview) -> list[Content]:
        """Return lines about the candidates, above the question for the reason."""
        return []

    def asks_number(self, preview: BulkPreview) -> bool:
        """Return whether the number of candidates has to be typed to confirm."""
        return True

    def _reasons(self) -> list[tuple[Action, Reason]]:
        """Return the actions of the question after `x`, with the user's own keys."""
        listed = [each for each in self._actions.at(KeyScope.REASON) if each.id != "reason-cancel"]
        return list(zip(listed, REASON_KEYS.values(), strict=True))

    def on_key(self, event: events.Key) -> None:
        """Take the reason."""
        for action, reason in self._reasons() if self._asks_reason else ():
            if event.key in self._actions.keys(action):
                event.stop()
                self._asks_reason, self._reason = False, reason
                assert self._summary is not None
                if self.asks_number(self._summary):
                    self._ask_number()
                else:
                    self._begin()

    def _ask_number(self) -> None:
        assert self._summary is not None
        self._show_content(
            bulk.confirmation(self._summary, self._kind, self._reason),
            f"type {self._summary.changing} and enter to confirm · esc cancel: nothing is changed",
        )
        number = self.query_one(Input)
        number.placeholder = str(self._summary.changing)
        number.display, number.disabled = True, False
        self.set_focus(number)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Check the confirmed number, and decide."""
        event.stop()
        if self._summary is None or self._deciding:
            return
        if event.value.replace(",", "").strip() != str(self._summary.changing):
            self._foot(Content.styled(f"⚠ that is not {self._summary.changing}; esc cancel: nothing is changed", WARN))
            return
        event.input.display = False
        self.set_focus(None)
        self._begin()

    def _begin(self) -> None:
        self._deciding = True
        self.run_worker(self._decide())

    async def _decide(self) -> None:
        self._foot(Content.styled("deciding about all of them or none", QUIET))
        try:
            self._done = await run_in_daemon_thread(self._work)
        except RecordError as error:
            self._deciding = False
            self._refuse(error)
            return
        undo = self._actions.cap_of("undo")
        self.app.notify(bulk.outcome_line(self._done, undo), timeout=8, markup=False)
        self.leave(self._done)

    def _work(self) -> BulkDone:
        with self._session.answers.counting(self._ids):
            done = decide_in_bulk(
                self._session.store,
                self._session.actor,
                self._ids,
                self._kind,
                self._reason,
                progress=self._post_progress,
            )
        self._session.acts.decided_in_bulk(self._ids, self._kind, self._reason, self._whole)
        self._session.refresh()
        return done

    def _post_progress(self, what: str, done: int, total: int) -> None:
        self.post_message(self.Step(what, done, total))

    def on_bulk_modal_step(self, event: Step) -> None:
        if not self.is_whole:
            return
        share = event.done / max(event.total, 1)
        content = Content.assemble(f"{event.what} … ", (bar(share, _BAR_CELLS), "$primary"), f" {share:4.0%}")
        self.query_one("#bulk-text", Static).update(content)

    def action_cancel(self) -> None:
        """Cancel, except while the decision runs."""
        if not self._deciding:
            self.leave(None)

    def on_screen_resume(self) -> None:
        """Close if a screen above, such as the one for small terminals, prevented it."""
        if self._done is not None:
            self.leave(self._done)

    def _refuse(self, error: RecordError) -> None:
        hint = f" — {error.hint}" if error.hint else ""
        self._show_content(
            Content.styled(f"✗ {display_text(error.message + hint, limit=400)}", BAD), "nothing was changed · esc"
        )

    def _show_content(self, content: Content, foot: str) -> None:
        self.query_one("#bulk-text", Static).update(content)
        self._foot(Content.styled(foot, QUIET))

    def _foot(self, content: Content) -> None:
        self.query_one("#bulk-foot", Static).update(content)
