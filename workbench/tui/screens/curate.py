"""Curate: the screen on which cards are decided. A thin layer around `AnnotationSession`: keys in, cards out.

Everything that touches the record runs in a thread, one call at a time, and the next key waits for it. So keys typed
ahead are applied in order, each to the card that is current by then. Data text is never parsed as markup.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from textual import getters
from textual.app import ComposeResult
from textual.containers import Container, Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from curation_db.enums import Kind, PictureShown, Reason, Stream
from curation_db.errors import NoLongerQueued, RecordError
from curation_db.language.sanitize import display_text
from curation_db.queue.gold import ANSWERS
from workbench.annotation.decision_kind import state_line
from workbench.annotation.models import ActionError, CardOrigin, PreparedCard, Severity
from workbench.annotation.wording import COUNTED, DECISIONS, edit_outcome, gold_feedback, judge_reveal
from workbench.tui.bindings import bind
from workbench.tui.screens.base.decision_screen import BEHIND, EARLY_KEY_MESSAGES, DecisionScreen
from workbench.tui.screens.base.image_actions import open_outside, picture_name
from workbench.tui.widgets.card import CardView
from workbench.tui.widgets.key_hints import KeyHints
from workbench.tui.widgets.picture import PicturePane
from workbench.tui.widgets.reasons import ReasonStrip
from workbench.tui.widgets.status import StatusContent, StatusLine
from workbench.workspace.keymap import ActionMap, KeyScope

if TYPE_CHECKING:
    from curation_db.review.decisions import DecisionResult
    from curation_db.search.queries import Match
    from workbench.annotation.key_guard import KeyTooEarly
    from workbench.annotation.session import AnnotationSession
    from workbench.tui.screens.modals.edit import EditedCaption

T = TypeVar("T")
_NARROW = 100
_SLOW_SECONDS = 0.5
_LONGEST_EDITED = 5_000
_NEED_CARD = frozenset({"decide", "ask_reason", "edit", "note", "flag", "judges", "zoom", "open_outside"})
_ASKED = frozenset({"reject", "cancel_reason"})
_DECIDING = frozenset({"decide", "ask_reason"})
_PAUSE_SECONDS = 0.4
"""Seconds without a key after a key that found no card; an early second key must not decide about the next card."""


class CurateScreen(DecisionScreen):
    """One card at a time, until the queue is empty."""

    HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-narrow"), (_NARROW, "-wide")]  # noqa: RUF012
    AUTO_FOCUS = None
    DECIDING = _DECIDING

    status = getters.query_one(StatusLine)
    picture = getters.query_one(PicturePane)
    card_view = getters.query_one(CardView)
    reasons = getters.query_one(ReasonStrip)

    def __init__(
        self,
        session: AnnotationSession,
        actions: ActionMap,
        *,
        protocol: str,
        banner: str | None = None,
        viewer: str = "",
    ) -> None:
        super().__init__()
        self.session = session
        self.card_visibility = session.card_visibility
        self.actions = actions
        self.shown: PreparedCard | None = None
        """The card on the screen."""
        self._protocol = protocol
        self._viewer = viewer
        self._banner = banner
        self.asks_reason = False
        """Whether the reason of a rejection is asked for; then only the keys of that question apply."""
        self._at_end = False
        """Whether the queue-end screen is shown above."""
        self._painted_narrow = False
        self._warning = ""
        """Why the last key was dropped."""
        self._turn = asyncio.Lock()
        self._missed = -_PAUSE_SECONDS
        """Time of the last key that found no card, or that followed closely on such a key."""
        bind(self, actions, KeyScope.CARD, KeyScope.REASON)

    @property
    def is_whole(self) -> bool:
        """Whether the widgets are mounted: an app that is just ending opens a screen without any, and removes them."""
        return bool(self.children)

    def compose(self) -> ComposeResult:
        yield StatusLine(id="status")
        yield Static(id="banner", markup=False)
        with Horizontal(id="main"):
            with Vertical(id="picture-box"):
                yield PicturePane(self._protocol, id="picture")
            with Container(id="text-box"):
                yield CardView(id="card")
                yield ReasonStrip(self.actions)
        yield KeyHints(self.actions, KeyScope.CARD, id="keys")

    def on_mount(self) -> None:
        """Show the first card, if it is ready."""
        if self.is_whole:
            self._update_banner()
            self._show_current()

    def on_resize(self) -> None:
        if self.is_whole and self.shown is not None and self._narrow is not self._painted_narrow:
            self._paint(self.shown)

    def on_screen_suspend(self) -> None:
        if self.is_whole:
            self.picture.hide_for_modal()

    def on_screen_resume(self) -> None:
        """Show what has changed meanwhile, unless the closing screen still has to report its result."""
        if not self.is_whole:
            return
        self.picture.restore()
        self._track_shown()
        if not self._at_end:
            self.session_changed()

    def note_key(self, key: str) -> None:
        """Note every key before it is applied."""
        if self.shown is not None and not self._is_burst():
            return
        self._missed = time.monotonic()
        actions = [bound.action.partition("(")[0] for bound in self._bindings.key_to_bindings.get(key, [])]
        if not _NEED_CARD.isdisjoint(actions):
            self.show_message("no card yet: that key did nothing", severity="warning")

    def _is_burst(self) -> bool:
        return time.monotonic() - self._missed < _PAUSE_SECONDS

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Allow only reasons while the reason is asked, and no action on a card without a card."""
        if self.asks_reason or action in _ASKED:
            return self.asks_reason and action in _ASKED
        if action in _DECIDING and self._is_burst():
            return False
        return not (action in _NEED_CARD and self.shown is None)

    # -- deciding -----------------------------------------------------------------------------------------------

    async def action_decide(self, kind: str) -> None:
        """Accept, unsure or skip."""
        await self._decide(Kind(kind))

    def action_ask_reason(self) -> None:
        self._ask(True)

    def action_cancel_reason(self) -> None:
        self._ask(False)

    async def action_reject(self, reason: str) -> None:
        """Reject with a reason. The question closes together with its card, so that one frame removes both."""
        try:
            await self._decide(Kind.REJECT, Reason(reason))
        finally:
            self._ask(False)

    async def _decide(self, kind: Kind, reason: Reason | None = None) -> None:
        ready = self.shown
        done = await self._run(lambda: self.session.submit(kind, reason))
        if done is None or ready is None:
            return
        self.app.clear_notifications()  # an earlier message must not seem to be about the new card
        if done.known is not None and kind in ANSWERS:
            right, line = gold_feedback(done.known, kind)
            self.show_message(line, severity="information" if right else "warning")
        elif self.session.settings.reveal and ready.hidden and (verdicts := judge_reveal(ready.card)):
            self.show_message(verdicts, hint="you can go back and change your decision")

    async def action_undo(self) -> None:
        await self._travel(self.session.undo, "undone", "nothing to undo")

    async def action_redo(self) -> None:
        await self._travel(self.session.redo, "redone", "nothing to redo")

    async def _travel(self, move: Callable[[], Kind | None], done: str, nothing: str) -> None:
        moved = await self._run(lambda: (move(),))
        if moved is not None:
            kind = moved[0]
            many = f" of {self.session.affected:,} cards" if self.session.affected > 1 else ""
            glyph = f"{DECISIONS[kind].glyph} " if kind in COUNTED else ""
            self.show_message(nothing if kind is None else f"{done}: {glyph}{kind}{many}")

    async def action_flag(self) -> None:
        await self._run(self.session.toggle_flag)

    async def action_note(self) -> None:
        from workbench.tui.screens.modals.note import NoteModal  # only when opened

        if self.shown is not None:
            modal = NoteModal(partial(self._save_note, self.shown.card.candidate_id))
            await self.app.push_screen(modal, self._written)  # so that the next key goes there

    async def action_edit(self) -> None:
        from workbench.tui.screens.modals.edit import EditModal  # only when opened

        if self.shown is None:
            return
        card = self.shown.card
        if len(card.text) > _LONGEST_EDITED:
            self.show_message(f"too long to edit here: {len(card.text):,} characters", severity="warning")
            return
        modal = EditModal(
            card.text,
            card.caption,
            card.concept,
            partial(self._save_edit, card.candidate_id),
            self.session.settings.checks.text_limit,
        )
        await self.app.push_screen(modal, self._written)

    async def _save_note(self, candidate_id: int, words: str) -> str | None:
        return await self._save(candidate_id, lambda: self.session.note(words))

    async def _save_edit(self, candidate_id: int, typed: EditedCaption) -> str | None:
        return await self._save(candidate_id, lambda: self.session.edit(typed.text, typed.concept))

    async def _save(self, candidate_id: int, work: Callable[[], DecisionResult]) -> str | None:
        """Write about the card for which the dialog was opened; return why that failed, or None."""

        def write() -> DecisionResult:
            self.session.open(candidate_id)  # usually already the current card
            return work()

        done = await self._try(write)
        if isinstance(done, ActionError):
            return str(done)
        if done.child is not None:
            self.show_message(edit_outcome(done.child))
        return None

    async def _written(self, written: bool | None) -> None:
        """Handle a closed dialog; False: the record refused the text, perhaps because the caption was replaced."""
        if written is False and await self._run(self.session.leave_replaced):
            self.show_message("an edit has replaced that caption; this is the next card")

    # -- navigation ---------------------------------------------------------------------------------------------

    async def action_look_back(self) -> None:
        """Show the previous own decision."""
        if await self._run(self.session.look_back) is False:
            self.show_message("no earlier decision")

    async def action_look_forward(self) -> None:
        """Show the next own decision, or the queue."""
        if await self._run(self.session.look_forward) is False:
            self.show_message("this is the newest card")

    async def action_find(self) -> None:
        """Search, and open a match."""
        from workbench.tui.screens.modals.find import FindModal  # only when opened

        await self.app.push_screen(FindModal(self._search), self._found)

    async def _search(self, words: str) -> list[Match]:
        async with self._turn:
            return await asyncio.to_thread(self.session.find, words)

    async def _found(self, candidate_id: int | None) -> None:
        if candidate_id is not None:
            await self.action_open_card(candidate_id)

    async def action_open_card(self, candidate_id: int) -> None:
        """Show this card; the current one is put back to the front of the queue."""
        await self._run(lambda: self.session.open(candidate_id))

    def action_judges(self) -> None:
        """Show all verdicts about the card."""
        from workbench.tui.screens.modals.judges import JudgesModal  # only when opened

        if self.shown is None:
            return
        if self.shown.hidden:
            self.show_message("verdicts are hidden until you have decided")
            return
        self.app.push_screen(JudgesModal(self.shown.card))

    def action_zoom(self) -> None:
        """Show the image on the whole screen."""
        if self.shown is not None:
            self.session.zoomed = self.picture.shown_as is not PictureShown.NONE
            from workbench.tui.screens.zoom import zoom_into  # only when opened

            zoom_into(self, self.shown, self.actions, protocol=self._protocol, viewer=self._viewer)

    def action_open_outside(self) -> None:
        """Open the image in an external viewer."""
        if self.shown is not None:
            open_outside(self, self._viewer, self.shown.path, picture_name(self.shown))

    def action_scroll_card(self, by: int) -> None:
        self.card_view.scroll_relative(y=by, animate=False)

    # -- the session --------------------------------------------------------------------------------------------

    def session_changed(self) -> None:
        """Handle a change of the session: a card has come, the queue has ended, or there is a problem."""
        if self.session.failure is not None:
            raise self.session.failure
        if not self.is_whole:
            return
        self._update_banner()
        if not self._turn.locked() and self.is_active:
            self._show_current()

    async def _run(self, work: Callable[[], T]) -> T | None:
        """Run work in the session, then show the current card; return None after showing an error message."""
        result = await self._try(work)
        if isinstance(result, ActionError):
            self.show_message(result.message, hint=result.hint, severity=result.severity)
            return None
        return result

    async def _try(self, work: Callable[[], T]) -> T | ActionError:
        slow = asyncio.get_running_loop().call_later(_SLOW_SECONDS, self._update_banner, "waiting for the record …")
        result: T | ActionError
        async with self._turn:
            self.session.picture_shown = self.picture.shown_as
            try:
                result = await asyncio.to_thread(work)
            except NoLongerQueued as error:
                self._missed = time.monotonic()  # a key typed ahead is not an answer to this question
                result = ActionError(error.message, error.hint, severity="warning")
            except RecordError as error:
                result = ActionError(error.message, error.hint)
            except ValueError as error:
                result = ActionError(str(error), severity="warning")
            finally:
                slow.cancel()
        if self.is_running:
            self._update_banner()
            self._show_current()
        return result

    def _show_current(self) -> None:
        """Show the current card, or the loading state, or the end of the queue."""
        if not self.is_whole:
            return
        ready, before = self.session.current_card(), self.shown
        self.shown = ready
        if ready is not before:
            self._track_shown()
        if ready is not None and ready is not before:
            self._paint(ready)
        elif ready is None and self.session.finished and self.is_active:
            self._show_done()
        self._show_status()
        for widget in (self.picture, self.card_view):
            widget.visible = ready is not None

    def _track_shown(self) -> None:
        """Register the card that keys decide about."""
        number = self.shown.card.candidate_id if self.shown is not None else None
        self.track_card(number, known=self.session.seen_before)

    def show_early_key(self, early: KeyTooEarly | None) -> None:
        """Show the warning in the status line until the next key."""
        warning = EARLY_KEY_MESSAGES[early] if early is not None else ""
        if warning != self._warning:
            self._warning = warning
            self._show_status()

    def show_lag(self) -> None:
        """Show the lag in the status line, which takes few bytes on a slow connection."""
        self._show_status()

    @property
    def _narrow(self) -> bool:
        return self.app.size.width < _NARROW

    def _paint(self, ready: PreparedCard) -> None:
        self._painted_narrow = self._narrow
        self.picture.show(ready.thumbnail, alt="images are turned off")
        box, note = self.query_one("#picture-box"), ready.thumbnail.note if ready.thumbnail else ""
        box.border_subtitle = Content.styled(display_text(picture_name(ready), limit=60), "$foreground 60%")
        box.border_title = Content.styled(note, "$text-warning")
        forward = next(action for action in self.actions.at(KeyScope.CARD) if action.id == "forward")
        audit, key = ready.stream is Stream.AUDIT, self.actions.cap(forward)
        standing = state_line(ready, self.session.actor.role)
        self.card_view.show(ready, audit=audit, narrow=self._narrow, forward_key=key, standing=standing)

    def _show_status(self) -> None:
        ready = self.shown
        work = f"{ready.card.pipeline} {ready.card.negation_type}" if ready else ""
        stream = "" if ready is None else str(ready.stream)
        if ready is not None and ready.origin is not CardOrigin.QUEUE:
            stream += " · history" if ready.origin is CardOrigin.HISTORY else " · search"
        order = self.session.order if ready is not None and ready.origin is CardOrigin.QUEUE else ""
        warning = self._warning or (BEHIND if self.card_visibility.is_behind else "")
        self.status.show(StatusContent(self.session.actor.name, work, stream, order, self.session.progress, warning))

    def _update_banner(self, waiting: str | None = None) -> None:
        if not self.is_whole:
            return
        trouble = waiting or self.session.problem
        line = f"⚠ {trouble}" if trouble else (self._banner or "")
        banner = self.query_one("#banner", Static)
        banner.update(Content(display_text(line, limit=200)))
        banner.display = bool(line)
        banner.set_class(bool(trouble), "-trouble")

    def _show_done(self) -> None:
        from workbench.tui.screens.queue_end import QueueEndScreen  # only when opened

        self._at_end = True
        self.app.push_screen(QueueEndScreen(self.session, self.actions), self._after_done)

    async def _after_done(self, action: str | None) -> None:
        """Run the action chosen at the end of the queue."""
        self._at_end = False
        if action == "revisit":
            self.session.revisit()
        elif action == "look_again":
            self.session.look_again()
        elif action is not None:
            await self.run_action(action)
            return
        self._show_current()

    def _ask(self, asking: bool) -> None:
        self.asks_reason = asking
        if not self.is_whole:
            return
        self.reasons.display = asking
        self.query_one(KeyHints).show(KeyScope.REASON if asking else KeyScope.CARD)

    def show_message(self, message: str, *, hint: str = "", severity: Severity = "information") -> None:
        """Show a notification for a few seconds; data may be in it."""
        line = display_text(f"{message} — {hint}" if hint else message, limit=300)
        self.notify(line, severity=severity, timeout=3 if severity == "information" else 8, markup=False)

    async def action_quit(self) -> None:
        """Quit. An action of the screen, not of the app, so that it does not apply while the reason is asked."""
        await self.app.action_quit()
