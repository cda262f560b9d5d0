"""Adjudicate: the candidates on which annotators disagree, one at a time; votes and verdicts are hidden before.

Keys work as on a card. Work on the record runs in a thread, one call at a time. The cause of the disagreement is asked
before a decision is written, because events never change; then the vote summary is shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Container, VerticalScroll
from textual.widgets import Static

from curation_db.enums import Cause, Kind, PictureShown, Reason
from curation_db.errors import RecordError
from curation_db.events import event_log
from curation_db.language.sanitize import display_text
from curation_db.review.decisions import DecisionWriter, PresentationContext
from curation_db.search.disagreements import Disagreement, VoteSummary, disagreements, vote_summary
from workbench.annotation import wording
from workbench.annotation.models import CardOrigin, PreparedCard
from workbench.tui.bindings import bind, methods_at
from workbench.tui.rendering import adjudication
from workbench.tui.rendering.card_content import zoomed_card
from workbench.tui.rendering.card_layout import NARROW, PanelRoom
from workbench.tui.screens.base.decision_screen import BEHIND, EARLY_KEY_MESSAGES
from workbench.tui.screens.base.image_actions import open_outside, picture_name
from workbench.tui.screens.base.navigation import MainView, NavigationContext
from workbench.tui.screens.base.side_screen import SideScreen
from workbench.tui.screens.base.zooming_screen import ZoomingScreen
from workbench.tui.screens.help import HelpScreen
from workbench.tui.threads import run_in_daemon_thread
from workbench.tui.widgets.card.card import QUESTIONS, CardOptions, CardView
from workbench.tui.widgets.card.picture_box import PictureBox, lay_out_card
from workbench.tui.widgets.lines.answer_lines import AnswerLines
from workbench.tui.widgets.lines.header_bar import HeaderBar
from workbench.tui.widgets.lines.key_hints import pane_keys
from workbench.workspace.keymap import KeyScope, Tab

if TYPE_CHECKING:
    from workbench.annotation.key_guard import KeyTooEarly
    from workbench.tui.widgets.card.edit_dock import EditDock, EditedCaption

T = TypeVar("T")
_OTHER_LINES = 2
"""Lines above and below the card: header and keys."""
_HIDDEN = "hidden until you have decided"
_UNDONE_HERE = frozenset({Kind.ADJUDICATE, Kind.EDIT})


class AdjudicationStage(StrEnum):
    """The meaning of the keys, named by key scope."""

    CARD = KeyScope.ADJUDICATE
    ZOOM = KeyScope.ADJUDICATE_ZOOM
    REASON = KeyScope.REASON
    CAUSE = KeyScope.CAUSE
    TALLY = KeyScope.TALLY
    EDIT = KeyScope.EDIT


_CARDS = frozenset({AdjudicationStage.CARD, AdjudicationStage.ZOOM})
_UNASKED = _CARDS | {AdjudicationStage.TALLY}
_OWN: dict[str, frozenset[AdjudicationStage]] = {
    "final": _CARDS,
    "ask_reason": _CARDS,
    "edit": _CARDS,
    "zoom": frozenset({AdjudicationStage.CARD}),
    "refresh": frozenset({AdjudicationStage.CARD}),
    "go_on": _UNASKED,
    "undo": _UNASKED,
    "reject": frozenset({AdjudicationStage.REASON}),
    "cancel_reason": frozenset({AdjudicationStage.REASON}),
    **dict.fromkeys(
        ("save_edit", "cancel_edit", "other_edit_field", "undo_typing"), frozenset({AdjudicationStage.EDIT})
    ),
    "settle": frozenset({AdjudicationStage.CAUSE}),
    "cancel_cause": frozenset({AdjudicationStage.CAUSE}),
    **dict.fromkeys(
        ("step", "fit", "actual", "pan", "open_outside", "leave_zoom"), frozenset({AdjudicationStage.ZOOM})
    ),
    **dict.fromkeys(("leave_screen", "scroll_text"), _UNASKED - {AdjudicationStage.ZOOM}),
}
"""The stages in which an action applies; other actions apply while no question is open."""
_NEED_CARD = frozenset({"final", "ask_reason", "edit", "zoom"})


@dataclass(frozen=True, slots=True)
class PendingDecision:
    """A decision that waits for its cause."""

    verdict: Kind
    reason: Reason | None = None


class AdjudicateScreen(SideScreen, ZoomingScreen):
    """Shows the disagreements one by one, in the order of `disagreements`."""

    VIEW = MainView.ADJUDICATE
    TAB = Tab.ADJUDICATE
    CSS_PATH = "adjudicate.tcss"
    AUTO_FOCUS = ""  # none: the first field is that of an edit, which is closed
    DECIDING = frozenset({"final", "ask_reason"})
    QUESTIONS = (KeyScope.REASON, KeyScope.CAUSE, KeyScope.TALLY, KeyScope.EDIT)
    PANES: ClassVar = {"#tally-box": [pane_keys("scroll", "tally-up", "tally-down"), pane_keys("undo", "settle-undo")]}

    def __init__(self, navigation: NavigationContext) -> None:
        super().__init__(navigation)
        self.card_visibility = navigation.session.card_visibility
        self._warning = ""
        """Why the last key was dropped."""
        bind(self, navigation.actions, KeyScope.ADJUDICATE_ZOOM, *self.QUESTIONS)
        self._only_on_card = methods_at(navigation.actions, KeyScope.ADJUDICATE) - methods_at(
            navigation.actions, KeyScope.ADJUDICATE_ZOOM
        )
        """The methods, of the screen or the app, that do not apply while the image fills the screen."""
        self._keeps_zoom = False
        """Whether the image of each card fills the screen."""
        self.stage = AdjudicationStage.CARD
        self.shown: PreparedCard | None = None
        self._writer = DecisionWriter(navigation.session.store, navigation.session.actor)
        self._listed: list[Disagreement] | None = None
        """None: not loaded yet."""
        self._at = 0
        self._settled = 0
        self._outcome = ""
        """Message about the last edit."""
        self._pending: PendingDecision | None = None
        self._since = time.monotonic()
        self._picture_shown = PictureShown.NONE
        """How the card's image was shown before the decision or edit that is being written."""
        self._zoomed = False
        self._busy = False

    def compose(self) -> ComposeResult:
        yield HeaderBar(id="top")
        with Container(id="main"):
            with Container(id="left"):
                yield PictureBox(self.navigation.protocol, id="picture-box")
            with Container(id="text-box"):
                yield CardView(self.actions, id="card")
                with VerticalScroll(id="tally-box", classes="pane", can_focus=False) as votes:
                    votes.border_title = "votes"
                    yield Static(id="tally", markup=False)
        with VerticalScroll(id="nothing-box", can_focus=False):
            yield Static(id="nothing", markup=False)
        yield AnswerLines(self.actions, id="answers")
        yield from self.compose_foot()

    def on_mount(self) -> None:
        if not self.is_whole:
            return
        self._show_stage(AdjudicationStage.CARD)
        self._update_header()
        self.run_worker(self._look())

    def on_screen_suspend(self) -> None:
        self.shown_pane.hide_for_modal()

    def on_screen_resume(self) -> None:
        self.shown_pane.restore()
        self._track_shown()

    def on_resize(self) -> None:
        if self.stage is not AdjudicationStage.TALLY:
            self._paint_shown()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Allow only the answers while a question is open."""
        return self.stage in _OWN[action] if action in _OWN else not self.asks_question

    def disabled_reason(self, action: str, parameters: tuple[object, ...]) -> str:
        if action in _NEED_CARD and self.shown is None:
            return "the disagreements are being read" if self._listed is None else "no disagreement is open"
        if action == "scroll_text" and self.stage is AdjudicationStage.TALLY:
            return self.scroll_reason("#tally-box", *parameters)  # type: ignore[arg-type]
        return ""

    def offers(self, action: str) -> bool:
        """Return whether an action of the app applies: the digits zoom while the image fills the screen."""
        return super().offers(action) and not (self.is_zoomed and action in self._only_on_card)

    @property
    def scope(self) -> KeyScope:
        """The meaning of the keys at the moment."""
        return KeyScope(self.stage)

    @property
    def asks_question(self) -> bool:
        return self.stage in (AdjudicationStage.REASON, AdjudicationStage.CAUSE, AdjudicationStage.EDIT)

    async def on_key(self, event: events.Key) -> None:
        """Continue on any key without another meaning, while the vote summary is shown."""
        if self.stage is AdjudicationStage.TALLY and not self._applies(event.key):
            event.stop()
            event.prevent_default()
            self.action_go_on()

    def _applies(self, key: str) -> bool:
        named = [each.action for each in self._bindings.key_to_bindings.get(key, [])]
        return any(self.check_action(name.partition("(")[0], ()) for name in named)

    # -- deciding -----------------------------------------------------------------------------------------------

    def action_final(self, kind: str) -> None:
        """Accept, after asking for the cause of the disagreement."""
        self._ask_cause(PendingDecision(Kind(kind)))

    def action_ask_reason(self) -> None:
        self._show_stage(AdjudicationStage.REASON)

    def action_reject(self, reason: str) -> None:
        """Reject with a reason, after asking for the cause of the disagreement."""
        self._ask_cause(PendingDecision(Kind.REJECT, Reason(reason)))

    def action_cancel_reason(self) -> None:
        self._show_stage(AdjudicationStage.CARD)

    def action_cancel_cause(self) -> None:
        self._show_stage(AdjudicationStage.CARD)

    def _ask_cause(self, word: PendingDecision) -> None:
        self._note_view()
        self._pending = word
        self._show_stage(AdjudicationStage.CAUSE)

    def action_settle(self, cause: str) -> None:
        """Write the decision, then show the vote summary."""
        ready, word = self.shown, self._pending
        if ready is not None and word is not None:
            self._run(partial(self._settle, ready, word, Cause(cause) if cause else None), self._show_tally)

    def _settle(
        self, ready: PreparedCard, word: PendingDecision, cause: Cause | None
    ) -> tuple[PreparedCard, VoteSummary]:
        number = ready.card.candidate_id
        session = self.navigation.session
        session.adjudicate(number, word.verdict, reason=word.reason, cause=cause, shown=self._seen(ready))
        with session.store.read() as connection:
            return ready, vote_summary(connection, number)

    def _seen(self, ready: PreparedCard) -> PresentationContext:
        spent = round((time.monotonic() - self._since) * 1000)
        return PresentationContext(
            ready.stream, blind=True, elapsed_ms=spent, leased=False, picture=self._picture_shown, zoomed=self._zoomed
        )

    def action_undo(self) -> None:
        """Undo the last adjudication, and show its card again."""
        self._run(self._undo, self._undone)

    def _undo(self) -> int | None:
        with self.navigation.session.store.read() as connection:
            action = event_log.last_effective_action(connection, self.navigation.session.actor.name)
        if action is None or action.kind not in _UNDONE_HERE:
            return None
        with self.navigation.session.answers.counting(kind="take back"):
            done = self._writer.take_back(action.id)
        self.navigation.session.acts.moved(action.kind, back=True)
        self.navigation.session.refresh()
        return done.candidate_id

    def _undone(self, number: int | None) -> None:
        if number is None:
            self.show_message("no adjudication of this session to undo")
            return
        self.show_message("undone; card shown again")
        self._settled = max(0, self._settled - 1)
        self.run_worker(self._look(number))

    async def action_edit(self) -> None:
        """Edit the text; annotators decide about the new version."""
        from workbench.tui.widgets.card.edit_dock import MOST_CHARACTERS  # only when opened

        if self.shown is None:
            return
        card = self.shown.card
        self._note_view()
        if len(card.text) > MOST_CHARACTERS:
            self.show_message(f"too long to edit here: {len(card.text):,} characters")
            return
        dock = await self.mount_edit_dock(self.navigation.session.settings.checks)
        self.query_one(CardView).scroll_to_top()
        self._show_stage(AdjudicationStage.EDIT)
        dock.begin(card, partial(self._save_edit, self.shown))

    def on_edit_dock_closed(self, event: EditDock.Closed) -> None:
        self._show_stage(AdjudicationStage.CARD)
        if event.written:
            self.show_message(self._outcome)
            self.action_go_on()

    async def _save_edit(self, ready: PreparedCard, edited: EditedCaption) -> str | None:
        try:
            await run_in_daemon_thread(partial(self._edit, ready, edited))
        except (RecordError, ValueError) as error:
            return str(error)
        return None

    def _edit(self, ready: PreparedCard, edited: EditedCaption) -> None:
        number = ready.card.candidate_id
        session = self.navigation.session
        done = session.edit_disputed(number, edited.text, edited.concept, shown=self._seen(ready))
        self._outcome = wording.edit_outcome(done.child) if done.child is not None else ""

    # -- going through --------------------------------------------------------------------------------------------

    def action_go_on(self) -> None:
        """Show the next disagreement; after the last one, load the list again."""
        if self._at + 1 < len(self._listed or ()):
            self._at += 1
            self._load()
        else:
            self.run_worker(self._look())

    def action_refresh(self) -> None:
        """Read the disagreements again, and stay at the card if it is still one of them."""
        self.run_worker(self._look(self.shown.card.candidate_id if self.shown is not None else None))
        self.show_message("refreshed")

    async def action_zoom(self) -> None:
        """Show the image of this card and of the next ones on the whole screen, until `action_leave_zoom`."""
        if self.shown is not None:
            await self.mount_zoom(self.navigation.protocol)
            self._set_zoom(True)

    def action_leave_zoom(self) -> None:
        self._note_view()
        self._set_zoom(False)

    def _set_zoom(self, zooms: bool) -> None:
        self._keeps_zoom = zooms
        self._show_stage(AdjudicationStage.CARD)
        self.call_after_refresh(self._paint_shown)

    def _paint_shown(self) -> None:
        if self.shown is not None:
            self._paint(self.shown)

    def _note_view(self) -> None:
        """Note how the annotator sees the image."""
        self._picture_shown = self.shown_pane.shown_as
        self._zoomed |= self.has_zoomed_image

    def action_open_outside(self) -> None:
        """Open the image in an external viewer."""
        if self.shown is not None:
            viewer = self.navigation.settings.curate.viewer
            open_outside(self, viewer, self.shown.path, picture_name(self.shown))

    def action_show_help(self) -> None:
        first = KeyScope.ADJUDICATE_ZOOM if self.is_zoomed else self.place
        self.app.push_screen(HelpScreen(self.actions, places=(first, *self.QUESTIONS)))

    def action_scroll_text(self, by: int) -> None:
        """Scroll the card or the vote summary."""
        if self.stage is AdjudicationStage.TALLY:
            self.query_one("#tally-box").scroll_relative(y=by, animate=False)
        else:
            self.query_one(CardView).scroll_lines(by)

    async def _look(self, first: int | None = None) -> None:
        """Load the disagreements; `first`: the candidate to show first."""
        self._listed = await run_in_daemon_thread(self._list)
        places = {each.candidate_id: at for at, each in enumerate(self._listed)}
        self._at = places.get(first, 0) if first is not None else 0
        self._load()

    def _list(self) -> list[Disagreement]:
        with self.navigation.session.store.read() as connection:
            return disagreements(connection)

    def _load(self) -> None:
        if not self._listed:
            self.shown = None
            self._track_shown()
            self._show_stage(AdjudicationStage.CARD)
            self._update_header()
            return
        number = self._listed[self._at].candidate_id
        self._run(
            partial(self.navigation.session.loader.load, number, origin=CardOrigin.SEARCH, leased=False),
            self._show_card,
        )

    # -- showing ------------------------------------------------------------------------------------------------

    def _run(self, work: Callable[[], T], then: Callable[[T], Any]) -> None:
        """Run work on the record in a thread and show its result; one call at a time, keys are ignored meanwhile."""
        if not self._busy:
            self._busy = True
            self.run_worker(self._work(work, then))

    async def _work(self, work: Callable[[], T], then: Callable[[T], Any]) -> None:
        try:
            result = await run_in_daemon_thread(work)
        except RecordError as error:
            self._busy = False
            self._show_stage(AdjudicationStage.CARD)
            self.show_message(error.message, hint=error.hint, trouble=True)
            return
        self._busy = False
        then(result)

    def _show_card(self, ready: PreparedCard) -> None:
        self.shown = replace(ready, hidden=True)
        self._track_shown()
        self._zoomed = False
        self._since = time.monotonic()
        self._show_stage(AdjudicationStage.CARD)
        self._paint(self.shown)
        self._update_header()

    def _paint(self, ready: PreparedCard) -> None:
        if self._zoom is not None and self.is_zoomed:
            text = zoomed_card(ready, forward_key="")
            self._zoom.show(ready.path, picture_name(ready), first=ready.thumbnail, text=text)
            return
        box = self.query_one(PictureBox)
        room = self.query_one("#main").size or self.size - (0, _OTHER_LINES)
        layout = box.layout_of(ready, room, PanelRoom.NONE)
        lay_out_card(self, layout)
        box.show(ready, layout, name=picture_name(ready), zoom_key=self.navigation.actions.cap_of("settle-zoom"))
        narrow = self.app.size.width < NARROW and not layout.above
        options = CardOptions(audit=False, narrow=narrow, forward_key="", hidden_because=_HIDDEN)
        self.query_one(CardView).show(ready, options)

    def _track_shown(self) -> None:
        """Register the card that keys decide about."""
        self.track_card(self.shown.card.candidate_id if self.shown is not None else None)

    def show_early_key(self, early: KeyTooEarly | None) -> None:
        """Show the warning in the header until the next key."""
        self._warning = EARLY_KEY_MESSAGES[early] if early is not None else ""
        self._update_header()

    def show_lag(self) -> None:
        self._update_header()

    def _show_tally(self, result: tuple[PreparedCard, VoteSummary]) -> None:
        ready, summary = result
        self._settled += 1
        self.navigation.candidate = ready.card.candidate_id
        self._show_stage(AdjudicationStage.TALLY)
        width = max(24, self.query_one("#text-box").size.width - 6)
        of = next((each for each in self._listed or () if each.candidate_id == ready.card.candidate_id), None)
        lines = adjudication.vote_summary_content(summary, ready.card, of, width)
        self.query_one("#tally", Static).update(lines)
        self.query_one("#tally-box").scroll_home(animate=False)

    def _show_stage(self, stage: AdjudicationStage) -> None:
        """Show what belongs to a stage; the votes and the note about an empty list never leave room for the image."""
        self.show_zoom(self._keeps_zoom and self.shown is not None and stage is not AdjudicationStage.TALLY)
        if self.is_zoomed and stage is AdjudicationStage.CARD:
            stage = AdjudicationStage.ZOOM
        self.stage = stage
        for box, there in (
            ("#tally-box", stage is AdjudicationStage.TALLY),
            ("#card", stage is not AdjudicationStage.TALLY),
            ("#main", self._listed != [] and not self.is_zoomed),
            ("#nothing-box", self._listed == []),
        ):
            self.query_one(box).display = there
        asks = self.scope in QUESTIONS
        self.query_one(CardView).ask(self.scope if asks else None)
        self.show_keys_of(self.scope, is_question=asks)
        self.query_one("#nothing", Static).update(adjudication.nothing_to_settle(self._settled))
        self.update_keys_later()

    def _update_header(self) -> None:
        count = len(self._listed or ())
        warning = self._warning or (BEHIND if self.card_visibility.is_behind else "")
        right = f"⚠ {warning}" if warning else f"{self._at + 1:,} of {count:,}" if count else ""
        self.query_one(HeaderBar).show(
            "adjudicate", display_text(self.navigation.session.actor.name, limit=24), right=right
        )
