"""Curate: the screen on which cards are decided. A thin layer around `AnnotationSession`: keys in, cards out.

Everything that touches the record runs in a thread, one call at a time, and the next key waits for it. So keys typed
ahead are applied in order, each to the card that is current by then. Data text is never parsed as markup.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from textual import events, getters, work
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.widgets import Static

from curation_db.enums import Kind, Reason, Stream
from curation_db.errors import NoLongerQueued, RecordError
from curation_db.language.sanitize import clean, display_text
from curation_db.queue.gold import ANSWERS
from workbench.annotation.decision_kind import state_line
from workbench.annotation.models import DEPTH, ActionError, CardOrigin, PreparedCard, Severity
from workbench.annotation.wording import DECISIONS, edit_outcome, gold_feedback, judge_reveal, readable, reversed_line
from workbench.tui.bindings import bind, methods_at
from workbench.tui.rendering.card_content import QUIET, decision_style, zoomed_card, zoomed_probe
from workbench.tui.rendering.card_layout import NARROW, CardLayout, PanelRoom
from workbench.tui.screens.base.action_screen import no_action_message
from workbench.tui.screens.base.decision_screen import BEHIND, EARLY_KEY_MESSAGES
from workbench.tui.screens.base.image_actions import open_outside, picture_name
from workbench.tui.screens.base.zooming_screen import ZoomingScreen
from workbench.tui.threads import run_in_daemon_thread
from workbench.tui.widgets.borders import set_border_labels
from workbench.tui.widgets.card.card import CardOptions, CardView
from workbench.tui.widgets.card.picture_box import PictureBox, lay_out_card
from workbench.tui.widgets.card.side_panel import (
    DECISIONS_SHOWN,
    PanelView,
    SidePanel,
    caption_lines,
    decision_lines,
    guideline_lines,
)
from workbench.tui.widgets.lines.action_line import ActionLine
from workbench.tui.widgets.lines.answer_lines import AnswerLines
from workbench.tui.widgets.lines.key_hints import KeyHints, key_label
from workbench.tui.widgets.lines.status import StatusContent, StatusLine
from workbench.tui.widgets.picture import SETTLE_SECONDS, PicturePane
from workbench.workspace.guidelines import shipped_guidelines
from workbench.workspace.keymap import ActionMap, KeyScope, Tab
from workbench.workspace.query_history import QueryHistory

if TYPE_CHECKING:
    from curation_db.review.decisions import DecisionResult
    from curation_db.search.queries import Match
    from workbench.annotation.key_guard import KeyTooEarly
    from workbench.annotation.probe import Probe
    from workbench.annotation.session import AnnotationSession
    from workbench.tui.screens.base.own_commands import CommandRuns
    from workbench.tui.widgets.card.edit_dock import EditDock
    from workbench.tui.widgets.zoom_view import ZoomView

T = TypeVar("T")
_OTHER_LINES = 3
"""Lines above and below the card: status, action line and keys."""
_SLOW_SECONDS = 0.5
_NEED_CARD = frozenset(
    {"decide", "ask_reason", "repeat_reason", "edit", "edit_outside", "note", "flag", "judges", "zoom", "open_outside",
     "ask_copy", "run_own", "show_similar", "reject_family"}
)  # fmt: skip
_QUESTIONS = (KeyScope.REASON, KeyScope.COPY)
"""The questions of the screen; while one is asked, only its answers apply."""
_DECIDING = frozenset({"decide", "ask_reason", "repeat_reason", "answer_probe"})
_PAUSE_SECONDS = 0.4
"""Seconds without a key after a key that found no card; an early second key must not decide about the next card."""


class CurateScreen(ZoomingScreen):
    """One card at a time, until the queue is empty."""

    HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-narrow"), (NARROW, "-wide")]  # noqa: RUF012
    AUTO_FOCUS = ""  # none: the first field is that of an edit, which is closed
    DECIDING = _DECIDING
    TAB = Tab.CURATE

    status = getters.query_one(StatusLine)
    picture = getters.query_one("#picture", PicturePane)
    picture_box = getters.query_one(PictureBox)
    card_view = getters.query_one(CardView)
    action_line = getters.query_one(ActionLine)
    panel = getters.query_one(SidePanel)

    def __init__(
        self,
        session: AnnotationSession,
        actions: ActionMap,
        *,
        protocol: str,
        banner: str | Callable[[], str] | None = None,
        viewer: str = "",
        guidelines: Callable[[], str] = shipped_guidelines,
        panel: PanelView | None = None,
        keep_panel: Callable[[PanelView], None] = lambda _view: None,
        searches: QueryHistory | None = None,
    ) -> None:
        """Create the screen.

        Args:
            guidelines: Returns the guidelines as Markdown, for the panel below the image.
            panel: What the annotator chose for the panel in an earlier session.
            keep_panel: Stores the annotator's choice; called in a thread, it may raise a `UsageError`.
        """
        super().__init__()
        self._guidelines = guidelines
        self._searches = searches or QueryHistory()
        self.session = session
        self.card_visibility = session.card_visibility
        self.actions = actions
        self.shown: PreparedCard | None = None
        """The card on the screen."""
        self._protocol = protocol
        self._viewer = viewer
        self._banner = banner
        self.question: KeyScope | None = None
        """The question that is asked, one of `_QUESTIONS`; then only its keys apply."""
        self._probe: Probe | None = None
        """The probe whose question is on the screen."""
        self._edit: EditDock | None = None
        """The fields of the text, once they were opened."""
        self._last_reason: Reason | None = None
        """The reason of the last rejection of this session."""
        self._panel, self._panel_chosen = panel or PanelView.DECISIONS, panel is not None
        self._keep_panel, self._kept_panel, self._keeping_panel = keep_panel, panel, False
        self._commands: CommandRuns | None = None
        """Commands of [commands], once one was run."""
        self._at_end = False
        """Whether the queue-end screen is shown above."""
        self._banner_line = ""
        self._painted_narrow = False
        self._layout: CardLayout | None = None
        """The layout that image, panel and text have."""
        self._warning = ""
        """Why the last key was dropped."""
        self._turn = asyncio.Lock()
        self._missed = -_PAUSE_SECONDS
        """Time of the last key that found no card, or that followed closely on such a key."""
        self._methods = {
            scope: methods_at(actions, scope)
            for scope in (KeyScope.CARD, KeyScope.CARD_ZOOM, KeyScope.EDIT, KeyScope.PROBE, *_QUESTIONS)
        }
        bind(self, actions, *self._methods)

    def compose(self) -> ComposeResult:
        yield StatusLine(id="status")
        yield Static(id="banner", markup=False)
        with Container(id="main"):
            with Container(id="left"):
                yield PictureBox(self._protocol, id="picture-box")
                yield SidePanel(id="panel")
            with Container(id="text-box"):
                yield CardView(self.actions, id="card")
        yield ActionLine(id="done")
        yield AnswerLines(self.actions, id="answers")
        yield KeyHints(self.actions, KeyScope.CARD, id="keys")

    def on_mount(self) -> None:
        """Show the first card, if it is ready."""
        if self.is_whole:
            context = copy_context()  # has the app, and so the colours of its theme
            self.session.prepare = lambda ready: context.run(self._prepare, ready)
            self._update_banner()
            self._show_current()

    def on_unmount(self) -> None:
        """Prepare no more cards."""
        self.session.prepare = lambda _ready: None

    def on_resize(self) -> None:
        if self.is_whole:
            self.call_after_refresh(self._lay_out)
        if self.is_whole and self.shown is not None and self._narrow is not self._painted_narrow:
            self._paint(self.shown)

    def on_screen_suspend(self) -> None:
        if self.is_whole:
            self.shown_pane.hide_for_modal()

    def on_screen_resume(self) -> None:
        """Show what has changed meanwhile, unless the closing screen still has to report its result."""
        if not self.is_whole:
            return
        self.shown_pane.restore()
        self._track_shown()
        if not self._at_end:
            self.session_changed()

    @property
    def asks_question(self) -> bool:
        return self.question is not None

    def note_key(self, key: str) -> None:
        """Note every key before it is applied."""
        if self.shown is not None and not self._is_burst():
            return
        self._missed = time.monotonic()
        actions = [bound.action.partition("(")[0] for bound in self._bindings.key_to_bindings.get(key, [])]
        if not _NEED_CARD.isdisjoint(actions):
            self.show_message("still loading; key ignored", severity="warning")

    def show_unknown_key(self, event: events.Key) -> None:
        """Show that a printable key has no action here, or the keys of a question after an accept."""
        if self._probe is not None:
            keys = [f"{self.actions.cap_of(f'probe-{answer}')} {answer}" for answer in ("true", "false", "skip")]
            self.show_message(f"one question first: {' · '.join(keys)}")
            return
        if event.is_printable and event.character and self.shown is not None:
            self.show_message(no_action_message(event.character, self.actions, self.scope))

    def _is_burst(self) -> bool:
        return time.monotonic() - self._missed < _PAUSE_SECONDS

    @property
    def scope(self) -> KeyScope:
        """The meaning of the keys at the moment."""
        if self.is_editing:
            return KeyScope.EDIT
        if self._probe is not None:
            return KeyScope.PROBE
        return self.question or (KeyScope.CARD_ZOOM if self.is_zoomed else KeyScope.CARD)

    def offers(self, action: str) -> bool:
        """Return whether an action of this screen or the app applies in the current scope."""
        if action in self._methods[self.scope]:
            return True
        return self.question is None and not any(action in methods for methods in self._methods.values())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Allow only answers while a question is asked, and no action on a card without a card."""
        if not self.offers(action):
            return False
        if self.question is None and action in _DECIDING and self._is_burst():
            return False
        return not (action in _NEED_CARD and self.shown is None)

    # -- deciding -----------------------------------------------------------------------------------------------

    async def action_decide(self, kind: str) -> None:
        """Accept, unsure or skip."""
        await self._decide(Kind(kind))

    def action_ask_reason(self) -> None:
        self._ask(KeyScope.REASON)

    def action_cancel_reason(self) -> None:
        self._ask(None)

    async def action_repeat_reason(self) -> None:
        """Reject with the reason of the last rejection."""
        if self._last_reason is None:
            self.show_message("no reason to repeat: you have rejected nothing in this session")
            return
        await self._decide(Kind.REJECT, self._last_reason)

    async def action_reject(self, reason: str) -> None:
        """Reject with a reason. The question closes together with its card, so that one frame removes both."""
        try:
            await self._decide(Kind.REJECT, Reason(reason))
        finally:
            self._ask(None)

    async def _decide(self, kind: Kind, reason: Reason | None = None) -> None:
        ready = self.shown
        done = await self._run(lambda: self.session.submit(kind, reason, may_probe=True))
        if done is None or ready is None:
            return
        if reason is not None:
            self._last_reason = reason
        if self.app._notifications:  # an earlier message must not seem to be about the new card
            self.app.clear_notifications()
        self._show_decision(kind, reason)
        if done.known is not None and kind in ANSWERS:
            right, line = gold_feedback(done.known, kind)
            self.show_message(line, severity="information" if right else "warning")
        elif self.session.settings.reveal and ready.hidden and (verdicts := judge_reveal(ready.card)):
            self.show_message(verdicts, hint="you can go back and change your decision")

    def _show_decision(self, kind: Kind, reason: Reason | None) -> None:
        wording = DECISIONS[kind]
        because = f": {readable(reason)}" if reason is not None else ""
        line = (f"{wording.glyph} {wording.past}{because}", decision_style(kind))
        undo = (f" · {self.actions.cap_of('undo')} undo", QUIET)
        self.action_line.show(Content.assemble(line, undo, (self._goal_note(), "$text-success")))

    def _goal_note(self) -> str:
        """Return that the last decision has reached the goal of the session; "" if it has not."""
        return f" · goal reached: {self.session.settings.goal:,}" if self.session.goal_reached else ""

    async def action_answer_probe(self, is_true: bool) -> None:
        """Answer the question after an accept."""
        probe = self._probe
        await self._run(lambda: self.session.answer_probe(is_true))
        if self._probe is not probe:
            answer = f"answered: {'true' if is_true else 'false'} · {self.actions.cap_of('undo')} undo"
            self.action_line.show(Content(answer))

    async def action_skip_probe(self) -> None:
        await self._run(self.session.skip_probe)

    async def action_undo(self) -> None:
        await self._travel(back=True)

    async def action_redo(self) -> None:
        await self._travel(back=False)

    async def _travel(self, *, back: bool) -> None:
        """Undo or redo, and name what it was about."""
        moved = await self._run(lambda: (self.session.undo() if back else self.session.redo(),))
        if moved is None:
            return
        action = self.session.reversed_action
        if moved[0] is None or action is None:
            self.show_message("nothing to undo" if back else "nothing to redo")
        else:
            self.show_message(reversed_line(action, back=back))

    async def action_flag(self) -> None:
        await self._run(self.session.toggle_flag)

    async def action_note(self) -> None:
        from workbench.tui.screens.modals.note import NoteModal  # only when opened

        if self.shown is not None:
            modal = NoteModal(partial(self._save_note, self.shown.card.candidate_id))
            await self.app.push_screen(modal, self._written)  # so that the next key goes there

    async def action_edit(self) -> None:
        """Open the fields for the text below it; the keys after this one go there."""
        from workbench.tui.widgets.card.edit_dock import MOST_CHARACTERS  # only when opened

        if self.shown is None:
            return
        card = self.shown.card
        if len(card.text) > MOST_CHARACTERS:
            self.show_message(f"too long to edit here: {len(card.text):,} characters", severity="warning")
            return
        dock = await self.mount_edit_dock(self.session.settings.checks)
        self.card_view.scroll_to_top()  # the caption that is replaced stays in view
        self.app.clear_notifications()
        self._edit = dock
        dock.begin(card, lambda typed: self._save_edit(card.candidate_id, typed.text, typed.concept))
        self._show_keys()

    @property
    def is_editing(self) -> bool:
        """Whether the fields of the text take the keys."""
        return self._edit is not None and self._edit.is_open

    async def on_edit_dock_closed(self, event: EditDock.Closed) -> None:
        self._show_keys()
        await self._written(event.written)
        self.session_changed()  # the end of the queue does not cover the fields

    async def action_edit_outside(self) -> None:
        """Correct the text in the annotator's editor, and store it as an edit of the card that was shown."""
        from workbench.tui.screens.base.text_editor import NoEditor, edit_in_editor  # only when opened

        if self.shown is None:
            return
        card = self.shown.card
        try:
            text = edit_in_editor(self.app, card.text, card.caption)
        except NoEditor as error:
            self.show_message(error.message, hint=error.hint, severity="warning")
            return
        if not text or text == card.text:
            self.show_message("the text is unchanged")
            return
        refused = await self._save_edit(card.candidate_id, text, None)
        if refused is not None:
            self.show_message(refused, severity="error")

    async def _save_note(self, candidate_id: int, words: str) -> str | None:
        return await self._save(candidate_id, lambda: self.session.note(words))

    async def _save_edit(self, candidate_id: int, text: str, concept: str | None) -> str | None:
        return await self._save(candidate_id, lambda: self.session.edit(text, concept))

    async def _save(self, candidate_id: int, work: Callable[[], DecisionResult]) -> str | None:
        """Write about the card for which the dialog was opened; return why that failed, or None."""

        def write() -> DecisionResult:
            self.session.open(candidate_id)  # usually already the current card
            return work()

        done = await self._try(write)
        if isinstance(done, ActionError):
            return str(done)
        self.draw_now()  # as after a key on a card
        self.session.card_drawn()
        if done.child is not None:
            self.show_message(edit_outcome(done.child) + self._goal_note())
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

        await self.app.push_screen(FindModal(self._search, self._searches), self._found)

    async def _search(self, words: str) -> tuple[list[Match], str]:
        async with self._turn:
            matches = await asyncio.to_thread(self.session.find, words)
            return matches, await asyncio.to_thread(self.session.find_note, words)

    async def _found(self, candidate_id: int | None) -> None:
        if candidate_id is not None:
            await self.action_open_card(candidate_id)

    async def action_open_card(self, candidate_id: int) -> None:
        """Show this card; the current one is put back to the front of the queue."""
        await self._run(lambda: self.session.open(candidate_id))

    def action_show_similar(self) -> None:
        """List similar candidates in Browse."""
        if self.shown is not None:
            self.app.list_in_browse(f"like:{self.shown.card.candidate_id}")  # type: ignore[attr-defined]

    async def action_reject_family(self) -> None:
        """Ask whether to reject the cards that repeat this one, together with it."""
        from workbench.tui.screens.modals.family import FamilyModal  # only when opened

        if self.shown is not None:
            modal = FamilyModal(self.session, self.actions, self.shown.card.candidate_id)
            await self.app.push_screen(modal)  # so that the next key goes there

    def action_judges(self) -> None:
        """Show all verdicts about the card."""
        from workbench.tui.screens.modals.judges import JudgesModal  # only when opened

        if self.shown is None:
            return
        if self.shown.hidden:
            self.show_message("verdicts are hidden until you have decided")
            return
        self.app.push_screen(JudgesModal(self.shown.card))

    # -- the image on the whole screen ----------------------------------------------------------------------------

    async def action_zoom(self) -> None:
        """Show the image of this card and of the next ones on the whole screen, until `action_leave_zoom`."""
        await self.mount_zoom(self._protocol)
        self._set_zoom(True)

    def action_leave_zoom(self) -> None:
        self._note_zoom()
        self._set_zoom(False)

    def _note_zoom(self) -> None:
        """Note that the annotator has zoomed into the image of the card."""
        self.session.zoomed |= self.has_zoomed_image

    def _set_zoom(self, zooms: bool) -> None:
        self.show_zoom(zooms)
        self._show_keys()
        if self.shown is not None:
            self._paint(self.shown)
        self.call_after_refresh(self._lay_out)  # the window may have another size by now

    def _zoom_to(self, view: ZoomView, ready: PreparedCard) -> None:
        if self._probe is not None:
            text = zoomed_probe(self._probe)
        else:
            text = zoomed_card(ready, forward_key=self.actions.cap_of("forward"))
        view.show(ready.path, picture_name(ready), first=ready.thumbnail, text=text)

    def action_open_outside(self) -> None:
        """Open the image in an external viewer."""
        if self.shown is not None:
            open_outside(self, self._viewer, self.shown.path, picture_name(self.shown))

    def action_run_own(self, name: str) -> None:
        """Run a command of [commands] about the card."""
        from workbench.tui.screens.base.own_commands import CommandRuns  # only when asked for

        if self.shown is None:
            return
        if self._commands is None:
            self._commands = CommandRuns(self, self.session.store.path.parent)
        self._commands.start(self.actions.commands[name], self.shown)

    def action_ask_copy(self) -> None:
        self._ask(KeyScope.COPY)

    def action_cancel_copy(self) -> None:
        self._ask(None)

    def action_copy(self, what: str) -> None:
        """Copy a part of the card to the clipboard of the terminal (OSC 52)."""
        self._ask(None)
        if self.shown is None:
            return
        card, path = self.shown.card, self.shown.path
        if what == "path" and path is None:
            self.show_message("the image is missing", severity="warning")
            return
        self.app.copy_to_clipboard({"text": clean(card.text), "id": str(card.candidate_id), "path": str(path)}[what])
        self.show_message(f"copied: the {what}")

    def action_next_panel(self) -> None:
        """Show the next content of the panel below the image."""
        if self._panel_chosen or self.panel.display:
            self._panel = self._panel.following()
        self._panel_chosen = True
        self._lay_out()
        if not self._keeping_panel:
            self._store_panel()

    @work(group="keep-panel", exit_on_error=False)
    async def _store_panel(self) -> None:
        """Store the choice for the annotator's next session; one write at a time, so that the last choice stays."""
        from workbench.errors import UsageError  # only when asked for

        self._keeping_panel = True
        try:
            while self._kept_panel is not self._panel:
                self._kept_panel = self._panel
                await run_in_daemon_thread(partial(self._keep_panel, self._panel))
        except UsageError as error:
            self.show_message(f"{error.message}; the panel is as before in the next session", severity="warning")
        finally:
            self._keeping_panel = False

    def _lay_out(self) -> None:
        """Give image, panel and text their places, which depend on the screen and on the shape of the image."""
        ready = self.shown
        if ready is None or not self.is_whole or self.is_zoomed:
            return
        # Before the first layout the room is that of the screen without its other lines.
        room = self.query_one("#main").size or self.size - (0, _OTHER_LINES)
        layout = self.picture_box.layout_of(ready, room, self._panel_room)
        if layout != self._layout:
            self._layout = layout
            lay_out_card(self, layout)
        self.picture_box.show(ready, layout, name=picture_name(ready), zoom_key=self.actions.cap_of("zoom"))
        was_shown, self.panel.display = self.panel.display, layout.panel is not None
        set_border_labels(self.panel, subtitle=key_label(self.actions.cap_of("panel"), "next"))
        if self.panel.border_title != self._panel or not was_shown:
            self._fill_panel()

    @property
    def _panel_room(self) -> PanelRoom:
        if self._panel is PanelView.NONE:
            return PanelRoom.NONE
        return PanelRoom.CHOSEN if self._panel_chosen else PanelRoom.LEFT_OVER

    def _fill_panel(self) -> None:
        if self.panel.display:
            self._read_panel()

    @work(group="panel", exclusive=True, exit_on_error=False)
    async def _read_panel(self) -> None:
        view, shown = self._panel, self.shown
        if view is PanelView.DECISIONS:
            decisions = await asyncio.to_thread(self.session.recent_decisions, DECISIONS_SHOWN)
            content = decision_lines(decisions, self.panel.content_size.width or self.app.size.width)
        elif view is PanelView.GUIDELINES:
            content = guideline_lines(await asyncio.to_thread(self._guidelines))
        else:
            content = caption_lines(shown.card.siblings if shown is not None else ())
        self.panel.show(view, content)

    def action_scroll_card(self, by: int) -> None:
        self.card_view.scroll_lines(by)

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
            self.session.picture_shown = self.shown_pane.shown_as
            self._note_zoom()
            self.session.rest()
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
        """Show the current card, a question after an accept, the loading state, or the end of the queue."""
        if not self.is_whole:
            return
        if self.session.probe is not None:
            self._ask_probe(self.session.probe)
            return
        if self._probe is not None:
            self._probe, self.shown = None, None
            self._show_keys()
        ready, before = self.session.current_card(), self.shown
        self.shown = ready
        if ready is not before:
            self._track_shown()
        if ready is not None and ready is not before:
            self._paint(ready)
            if self._panel is not PanelView.GUIDELINES:
                self._fill_panel()
        elif ready is None and self.session.finished and self.is_active and not self.is_editing:
            self._show_done()
        self._prepare_next()
        self._show_status()
        self._show_card_widgets(ready is not None)

    def _show_card_widgets(self, shows: bool) -> None:
        for widget in (self.picture, self.card_view, self._zoom):
            if widget is not None:
                widget.visible = shows

    @work(group="prepare", exclusive=True, exit_on_error=False)
    async def _prepare_next(self) -> None:
        """Prepare the next cards for a screen or theme that has changed, while no card needs the processor."""
        await asyncio.sleep(SETTLE_SECONDS)
        for ready in self.session.upcoming()[:DEPTH]:
            await asyncio.to_thread(self._prepare, ready)

    def _prepare(self, ready: PreparedCard) -> None:
        """Lay out the text of a card and scale or encode its image, before it is shown. Not for the UI thread."""
        with suppress(Exception):  # as of a screen that is just removed; the card is drawn as one that is not prepared
            self.card_view.prepare(ready, self._card_options(ready))
            pictures = self.session.loader.pictures
            self.picture_box.prepare(ready.thumbnail or pictures.thumbnail(ready.card.picture, ready.path))

    def _ask_probe(self, probe: Probe) -> None:
        """Show a question about the image of the accepted card; only its keys apply."""
        if probe is self._probe:
            return
        self._probe, self.shown = probe, probe.ready
        self._paint(probe.ready)
        self._show_card_widgets(True)
        self._show_keys()
        self._track_shown()
        self._show_status()

    def _track_shown(self) -> None:
        """Register the card or the question that keys decide about."""
        if self._probe is not None:  # a number of its own: no card has a negative one
            self.track_card(-2 * self._probe.ready.card.candidate_id - self._probe.at)
            return
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
        return self.app.size.width < NARROW

    def _paint(self, ready: PreparedCard) -> None:
        if self._zoom is not None and self.is_zoomed:
            self._zoom_to(self._zoom, ready)
            return
        self._painted_narrow = self._narrow
        self._lay_out()
        if self._probe is not None:
            self.card_view.show_probe(self._probe)
            return
        self.card_view.show(ready, self._card_options(ready))

    def _card_options(self, ready: PreparedCard) -> CardOptions:
        return CardOptions(
            audit=ready.stream is Stream.AUDIT,
            narrow=self._narrow and not self.has_class("-above"),
            forward_key=self.actions.cap_of("forward"),
            standing=state_line(ready, self.session.actor.role),
        )

    def _show_status(self) -> None:
        ready, session = self.shown, self.session
        work = f"{ready.card.pipeline} {ready.card.negation_type}" if ready else ""
        origin = CardOrigin.QUEUE if ready is None else ready.origin
        place = {CardOrigin.QUEUE: "", CardOrigin.HISTORY: "history", CardOrigin.SEARCH: "search"}[origin]
        order = session.order if ready is not None and not place else ""
        self.status.show(
            StatusContent(
                session.actor.name,
                work,
                place,
                order,
                audit=ready is not None and ready.stream is Stream.AUDIT,
                progress=session.progress,
                goal=session.settings.goal,
                warning=self._warning or (BEHIND if self.card_visibility.is_behind else ""),
                read_only=self.actions.read_only,
            )
        )

    def _update_banner(self, waiting: str | None = None) -> None:
        if not self.is_whole:
            return
        trouble = waiting or self.session.problem
        quiet = self._banner() if callable(self._banner) else self._banner
        line = f"⚠ {trouble}" if trouble else (quiet or "")
        banner = self.query_one("#banner", Static)
        if line != self._banner_line:
            self._banner_line = line
            banner.update(Content(display_text(line, limit=200)))
        if banner.display is not bool(line):
            banner.display = bool(line)
            self.call_after_refresh(self._lay_out)
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

    def _ask(self, question: KeyScope | None) -> None:
        """Ask a question whose answer is one key; None: close the question."""
        self.question = question
        if not self.is_whole:
            return
        self.card_view.ask(question)
        self._show_keys()

    def _show_keys(self) -> None:
        self.show_keys_of(self.scope, is_question=self.question is not None)

    def show_message(self, message: str, *, hint: str = "", severity: Severity = "information") -> None:
        """Show a message for a few seconds, in the line above the keys if it fits there; data may be in it.

        Warnings and errors are notifications.
        """
        line = display_text(f"{message} — {hint}" if hint else message, limit=300)
        if severity == "information" and self.is_whole and self.action_line.fits(Content(line)):
            self.action_line.show(Content(line), seconds=3)
            return
        self.notify(line, severity=severity, timeout=3 if severity == "information" else 8, markup=False)

    async def action_quit(self) -> None:
        """Quit. An action of the screen, not of the app, so that it does not apply while the reason is asked."""
        await self.app.action_quit()
