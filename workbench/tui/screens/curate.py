"""Curate: the screen a person lives in. A thin shell around `Desk`: keys go in, cards come out.

Everything that touches the record runs in a thread, one at a time, and the next key waits for it: so keys typed ahead
are decided in order, each about the card that was in the seat by then. Nothing of the data is parsed as markup.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from textual import getters
from textual.app import ComposeResult
from textual.containers import Container, Horizontal, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from curation_db.errors import RecordError
from curation_db.text import display_text
from curation_db.words import Kind, Reason, Stream
from workbench.tui.actions import ActionMap, Place
from workbench.tui.bindings import bind
from workbench.tui.pace import GLYPHS
from workbench.tui.sitting import Ready, Way
from workbench.tui.widgets.card import CardView
from workbench.tui.widgets.keyline import KeyLine
from workbench.tui.widgets.picture import PicturePane
from workbench.tui.widgets.reasons import ReasonStrip
from workbench.tui.widgets.status import Status, StatusLine

if TYPE_CHECKING:
    from workbench.tui.desk import Desk
    from workbench.tui.reads import Match
    from workbench.tui.screens.modals.edit import Edited

T = TypeVar("T")
_NARROW = 100
_SLOW_SECONDS = 0.5
_LONGEST_EDITED = 5_000
_NEED_CARD = frozenset({"decide", "ask_reason", "edit", "note", "flag", "judges", "zoom"})
_ASKED = frozenset({"reject", "cancel_reason"})
_WHILE_ASKING = frozenset({"scroll_card"})


class CurateScreen(Screen[None]):
    """One card at a time, until the queue is empty."""

    HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-narrow"), (_NARROW, "-wide")]  # noqa: RUF012
    AUTO_FOCUS = None

    status = getters.query_one(StatusLine)
    picture = getters.query_one(PicturePane)
    card_view = getters.query_one(CardView)
    reasons = getters.query_one(ReasonStrip)

    def __init__(self, desk: Desk, actions: ActionMap, *, protocol: str, banner: str | None = None) -> None:
        super().__init__()
        self.desk = desk
        self.actions = actions
        self.shown: Ready | None = None
        """The card on the screen."""
        self._protocol = protocol
        self._banner = banner
        self._asking = False
        self._painted_narrow = False
        self._turn = asyncio.Lock()
        bind(self, actions, Place.CARD, Place.REASON)

    def compose(self) -> ComposeResult:
        """Status, picture and card, keys."""
        yield StatusLine(id="status")
        yield Static(id="banner", markup=False)
        with Horizontal(id="desk"):
            with Vertical(id="picture-box"):
                yield PicturePane(self._protocol, id="picture")
            with Container(id="text-box"):
                yield CardView(id="card")
                yield ReasonStrip(self.actions)
        yield KeyLine(self.actions, Place.CARD, id="keys")

    def on_mount(self) -> None:
        """Take the first card, if it is ready already."""
        self._say_banner()
        self._take_seat()

    def on_resize(self) -> None:
        """What is laid out by width is laid out anew."""
        if self.shown is not None and self._narrow is not self._painted_narrow:
            self._paint(self.shown)

    def on_screen_suspend(self) -> None:
        """Something opens above."""
        self.picture.hide_for_modal()

    def on_screen_resume(self) -> None:
        """And closes again."""
        self.picture.restore()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While the reason is asked only reasons apply; without a card nothing that needs one."""
        if action in _ASKED:
            return self._asking
        if self._asking and action not in _WHILE_ASKING:
            return False
        return not (action in _NEED_CARD and self.shown is None)

    # -- deciding -----------------------------------------------------------------------------------------------

    async def action_decide(self, kind: str) -> None:
        """Accept, unsure or skip."""
        await self._at_desk(lambda: self.desk.decide(Kind(kind)))

    def action_ask_reason(self) -> None:
        """The first half of a rejection."""
        self._ask(True)

    def action_cancel_reason(self) -> None:
        """No rejection after all."""
        self._ask(False)

    async def action_reject(self, reason: str) -> None:
        """The second half."""
        self._ask(False)
        await self._at_desk(lambda: self.desk.decide(Kind.REJECT, Reason(reason)))

    async def action_undo(self) -> None:
        """Take back one's last act."""
        await self._travel(self.desk.undo, "took back", "nothing to take back")

    async def action_redo(self) -> None:
        """Take back the last undo."""
        await self._travel(self.desk.redo, "did again", "nothing to do again")

    async def _travel(self, move: Callable[[], Kind | None], did: str, did_not: str) -> None:
        moved = await self._at_desk(lambda: (move(),))
        if moved is not None:
            kind = moved[0]
            self.tell(did_not if kind is None else f"{did}: {GLYPHS.get(kind, '')} {kind}".replace("  ", " "))

    async def action_flag(self) -> None:
        """Flag, or take the flag back."""
        await self._at_desk(self.desk.toggle_flag)

    async def action_note(self) -> None:
        """Write a note."""
        from workbench.tui.screens.modals.note import NoteModal  # noqa: PLC0415 -- only when opened

        await self.app.push_screen(NoteModal(), self._noted)  # so that the next key goes there

    async def _noted(self, words: str | None) -> None:
        if words:
            await self._at_desk(lambda: self.desk.note(words))

    async def action_edit(self) -> None:
        """Mend the text."""
        from workbench.tui.screens.modals.edit import EditModal  # noqa: PLC0415 -- only when opened

        if self.shown is None:
            return
        card = self.shown.card
        if len(card.text) > _LONGEST_EDITED:
            self.tell(f"too long to edit here: {len(card.text):,} characters", severity="warning")
            return
        await self.app.push_screen(EditModal(card.text, card.caption, card.concept), self._edited)

    async def _edited(self, edited: Edited | None) -> None:
        if edited is not None:
            await self._at_desk(lambda: self.desk.edit(edited.text, edited.concept))

    # -- looking around -----------------------------------------------------------------------------------------

    async def action_look_back(self) -> None:
        """To one's decision before this one."""
        if await self._at_desk(self.desk.look_back) is False:
            self.tell("nothing further back")

    async def action_look_forward(self) -> None:
        """Towards the work again."""
        if await self._at_desk(self.desk.look_forward) is False:
            self.tell("this is the newest card")

    async def action_find(self) -> None:
        """Search, and open what was found."""
        from workbench.tui.screens.modals.find import FindModal  # noqa: PLC0415 -- only when opened

        await self.app.push_screen(FindModal(self._search), self._found)

    async def _search(self, words: str) -> list[Match]:
        async with self._turn:
            return await asyncio.to_thread(self.desk.find, words)

    async def _found(self, candidate_id: int | None) -> None:
        if candidate_id is not None:
            await self._at_desk(lambda: self.desk.open(candidate_id))
        else:
            self._take_seat()

    def action_judges(self) -> None:
        """What the judges said, in full."""
        from workbench.tui.screens.modals.judges import JudgesModal  # noqa: PLC0415 -- only when opened

        if self.shown is None:
            return
        if self.shown.hidden:
            self.tell("what the judges say is hidden until you have decided")
            return
        self.app.push_screen(JudgesModal(self.shown.card))

    def action_zoom(self) -> None:
        """The picture on the whole screen."""
        from workbench.tui.screens.zoom import ZoomScreen  # noqa: PLC0415 -- only when opened

        if self.shown is not None:
            picture = self.shown.card.picture
            name = picture.file_name or picture.key
            self.app.push_screen(ZoomScreen(self.shown.path, self._protocol, name))

    def action_scroll_card(self, by: int) -> None:
        """A long card, line by line."""
        self.card_view.scroll_relative(y=by, animate=False)

    # -- the desk -----------------------------------------------------------------------------------------------

    def hear_news(self) -> None:
        """From the deck, by way of the app: a card has come, the queue has ended, or there is trouble."""
        if self.desk.failure is not None:
            raise self.desk.failure
        self._say_banner()
        if not self._turn.locked() and self.is_current:
            self._take_seat()

    async def _at_desk(self, work: Callable[[], T]) -> T | None:
        """Do something at the desk, then show what is in the seat; None (and a line) where it could not be done."""
        result: T | None = None
        slow = asyncio.get_running_loop().call_later(_SLOW_SECONDS, self._say_banner, "waiting for the record …")
        async with self._turn:
            try:
                result = await asyncio.to_thread(work)
            except RecordError as error:
                self.tell(error.message, hint=error.hint, severity="error")
            except ValueError as error:
                self.tell(str(error), severity="warning")
            finally:
                slow.cancel()
        if self.is_running:
            self._say_banner()
            self._take_seat()
        return result

    def _take_seat(self) -> None:
        """Show the card in the seat; or that it is on its way; or the end of the queue."""
        ready, before = self.desk.next(), self.shown
        self.shown = ready
        if ready is not None and ready is not before:
            self._paint(ready)
        elif ready is None and self.desk.finished and self.is_current:
            self._show_done()
        self._show_status()
        for widget in (self.picture, self.card_view):
            widget.visible = ready is not None

    @property
    def _narrow(self) -> bool:
        return self.app.size.width < _NARROW

    def _paint(self, ready: Ready) -> None:
        self._painted_narrow = self._narrow
        self.picture.show(ready.thumbnail, alt="pictures are turned off")
        name = display_text(ready.card.picture.file_name or ready.card.picture.key, limit=60)
        box = self.query_one("#picture-box")
        box.border_subtitle = Content.styled(name, "$foreground 60%")
        forward = next(action for action in self.actions.at(Place.CARD) if action.id == "forward")
        self.card_view.show(
            ready,
            audit=ready.stream is Stream.AUDIT,
            narrow=self._narrow,
            forward_key=self.actions.cap(forward),
        )

    def _show_status(self) -> None:
        ready = self.shown
        work = f"{ready.card.pipeline} {ready.card.negation_type}" if ready else ""
        stream = "" if ready is None else str(ready.stream)
        if ready is not None and ready.way is not Way.QUEUE:
            stream += " · looking back" if ready.way is Way.BACK else " · found"
        self.status.tell(Status(self.desk.actor.name, work, stream, self.desk.progress))

    def _say_banner(self, waiting: str | None = None) -> None:
        trouble = waiting or self.desk.trouble
        line = f"⚠ {trouble}" if trouble else (self._banner or "")
        banner = self.query_one("#banner", Static)
        banner.update(Content(display_text(line, limit=200)))
        banner.display = bool(line)
        banner.set_class(bool(trouble), "-trouble")

    def _show_done(self) -> None:
        from workbench.tui.screens.done import DoneScreen  # noqa: PLC0415 -- only when opened

        self.app.push_screen(DoneScreen(self.desk, self.actions), self._after_done)

    async def _after_done(self, action: str | None) -> None:
        """What the person chose at the end of the queue."""
        if action == "revisit":
            self.desk.revisit()
        elif action == "look_again":
            self.desk.look_again()
        elif action is not None:
            await self.run_action(action)
            return
        self._take_seat()

    def _ask(self, asking: bool) -> None:
        self._asking = asking
        self.reasons.display = asking

    def tell(self, message: str, *, hint: str = "", severity: str = "information") -> None:
        """A line for a few seconds; data may be in it."""
        line = display_text(f"{message} — {hint}" if hint else message, limit=300)
        self.notify(line, severity=severity, timeout=3 if severity == "information" else 8, markup=False)  # type: ignore[arg-type]
