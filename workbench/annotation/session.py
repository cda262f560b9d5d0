"""A desk: one annotator's sitting, without a screen.

The app, the tests and anything else that lets a person decide go through `AnnotationSession`. It holds the card in the
seat, the deck of prepared cards behind it, and the way back. Every decision is on the disk before the next card takes
the seat; when the record refuses, `RecordError` comes out and the same card still sits there. One thread at a time
calls it; the deck has its own.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from curation_db.enums import Kind, PictureShown, Reason, State
from curation_db.errors import CardChanged, NoLongerQueued, RecordError, RecordReplaced
from curation_db.events.annotator_status import count_waiting_edits, works_alone
from curation_db.events.annotators import Actor, end_session
from curation_db.events.event_log import PreviousDecision
from curation_db.queue import claims
from curation_db.queue.claims import Queue, count_remaining
from curation_db.queue.leases import Clock
from curation_db.queue.ordering import Policy
from curation_db.review.decisions import DecisionResult, DecisionWriter, PresentationContext
from curation_db.search import fulltext, queries
from curation_db.storage.store import Store
from workbench.annotation.answer_counts import DecisionWriterThread
from workbench.annotation.background import PriorityRefreshThread
from workbench.annotation.current_card import BackHistory, CurrentCard
from workbench.annotation.decision_kind import DecisionKind, decision_kind
from workbench.annotation.dwell_time import DwellTimer
from workbench.annotation.key_guard import CardVisibility
from workbench.annotation.loader import CardLoader
from workbench.annotation.models import CardOrigin, PictureLoading, PreparedCard, SessionSettings, SessionSummary
from workbench.annotation.prefetch import CardPrefetcher
from workbench.annotation.progress_counter import ProgressCounter, ThroughputSnapshot

MATCHES = 50
_OPEN = frozenset({State.OPEN, State.NEEDS_MORE, State.UNSURE, State.CONTESTED})
_REMARKS = frozenset({Kind.NOTE, Kind.FLAG})
_UNDO, _REDO = "undo", "redo"


class AnnotationSession:
    """One annotator's session: `start`, then `current_card` and `submit` in turn, then `close`. A context manager."""

    def __init__(
        self,
        store: Store,
        actor: Actor,
        pictures: PictureLoading,
        settings: SessionSettings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Clock = time.time,
        owns_store: bool = False,
    ) -> None:
        """The desk of `actor`.

        Args:
            store: The record.
            actor: Who decides.
            pictures: Finds and decodes.
            settings: How the work is served.
            clock: Measures the time on a card; it may stand still while the machine is suspended.
            wall_clock: The clock of the leases.
            owns_store: `close` closes `store`, too.
        """
        self.on_change: Callable[[], None] = _no_news
        """Called from any thread: a card has come, the queue has ended, trouble came or went, or `replaced` is set."""
        self.actor = actor
        self.settings = settings or SessionSettings()
        self.store = store
        """The record; rooms look at it, too."""
        self.replaced: RecordReplaced | None = None
        """Set when the record is no longer the file that was opened: the session must end."""
        store.on_replaced = self._note_replaced
        self.loader = CardLoader(store, pictures, actor, self.settings)
        self.attention = DwellTimer(clock)
        """To be told every sign of life."""
        self.picture_shown = PictureShown.NONE
        """To be told by a screen how it shows the seat's picture; stored with every decision."""
        self.sight = CardVisibility(self.settings.guard_seconds)
        """To be told what the screen shows."""
        self._queue = Queue(
            store,
            actor,
            ordering=Policy.parse(self.settings.ordering).name,
            audit_share=self.settings.audit_share,
            gold_share=self.settings.gold_share,
            only=self.settings.only,
            lease_seconds=self.settings.lease_seconds,
            clock=wall_clock,
        )
        self._reviewer = DecisionWriter(store, actor, clock=wall_clock)
        self._refreshing = PriorityRefreshThread(store, Policy.parse(self.settings.ordering), self.settings.checks)
        self._deck = CardPrefetcher(
            self._queue,
            lambda claim: self.loader.load(claim.candidate_id, way=CardOrigin.QUEUE, leased=True),
            on_change=self._pass_on,
            depth=self.settings.depth,
            lease_seconds=self.settings.lease_seconds,
            clock=wall_clock,
            clock_check_seconds=self.settings.clock_check_seconds,
        )
        self._owns_store = owns_store
        self._left = False
        self.moved = 0
        """How many cards the last undo or redo was about."""
        self.start_prefetch = self._deck.start
        """Begin to prepare cards, which leases them; safe at any time, and twice."""
        self._card = CurrentCard(store, self._queue, self._deck, self.loader, self.attention)
        self._trail = BackHistory(store, actor.name)
        self._unindexed = True
        """Texts may have come that the search does not know: an edit, or an import that was cut short."""
        self._tally = ProgressCounter(store, actor.name)
        self.answers = DecisionWriterThread()
        """Counts what was stored and what was refused; rooms that write tell it, too."""

    # -- the sitting --------------------------------------------------------------------------------------------

    def start(self, *, prefetch: bool = True) -> None:
        """Count the progress and start the threads.

        Args:
            prefetch: Prepare cards now; otherwise a later call of `start_prefetch` does.
        """
        if prefetch:
            self.start_prefetch()
        self._refreshing.start()
        self._tally.start()

    def __enter__(self) -> AnnotationSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """`leave`, and close the record where the session opened it. Safe to call at any time, and twice."""
        self.leave()
        if self._owns_store:
            self.store.close()

    def leave(self) -> None:
        """Stop the threads, give all cards back and end the session; the record can still be read."""
        if self._left:
            return
        self._refreshing.close()
        self._deck.close()
        with contextlib.suppress(RecordError):  # the leases expire by themselves
            end_session(self.store, self.actor)
        self._left = True

    @property
    def current(self) -> PreparedCard | None:
        """The card that is being shown."""
        return self._card.ready

    @property
    def zoomed(self) -> bool:
        """Whether the person has zoomed into the current card's picture; set by the screen."""
        return self._card.zoomed

    @zoomed.setter
    def zoomed(self, zoomed: bool) -> None:
        self._card.zoomed = zoomed

    @property
    def finished(self) -> bool:
        """Nothing in the seat, and nothing to come."""
        return self.current is None and self._deck.exhausted

    @property
    def prepared(self) -> int:
        """The number of cards that are ready behind the current one."""
        return self._deck.prepared

    @property
    def upcoming(self) -> list[int]:
        """The candidates that this session holds leases of, the current one included."""
        return self._deck.coming()

    @property
    def seen_before(self) -> bool:
        """Whether the person saw the seat's card before: it was decided about, and is there again."""
        return self._card.seen_before

    @property
    def order(self) -> str:
        """What comes first, by name."""
        return self._refreshing.label

    @property
    def trouble(self) -> str | None:
        """What keeps the next cards from coming, in one line."""
        return self._deck.trouble

    @property
    def failure(self) -> Exception | None:
        """A bug of ours that ended the preparing of cards."""
        return self._deck.failure

    @property
    def progress(self) -> ThroughputSnapshot:
        """Where the work stands."""
        return self._tally.progress

    def current_card(self) -> PreparedCard | None:
        """The card in the seat, the next one where that is empty; None: not ready yet, or `finished`. Never waits.

        A prepared card whose lease was lost, or that somebody else has decided about, is not seated: the deck looks
        whether it can be had again.
        """
        while self.current is None and (ready := self._deck.take()) is not None:
            if self._may_seat(ready):
                self._card.show(ready)
            else:
                self._deck.look_again_at(ready)
        return self.current

    def _may_seat(self, ready: PreparedCard) -> bool:
        try:
            return bool(self._queue.ready_to_show([ready.card.candidate_id]))
        except RecordError:
            return False

    def summary(self) -> SessionSummary:
        """Where everything stands; counts, so it is for the end of the queue."""
        with self.store.read() as connection:
            left = count_remaining(connection, self.actor.annotator_id, self.settings.only)
            return SessionSummary(
                queries.counts(connection),
                queries.session_counts(connection, self.actor.name, self.actor.session),
                left["fresh"],
                left["passed"],
                self.answers.refused,
                count_waiting_edits(connection).get(self.actor.name, 0),
                works_alone(connection, self.actor.name),
            )

    def revisit(self) -> None:
        """From now on also serve what this person skipped or was unsure about."""
        self._deck.resume(revisit=True)

    def look_again(self) -> None:
        """Ask the queue again: somebody may have brought or given back cards."""
        self._deck.resume()

    # -- deciding -----------------------------------------------------------------------------------------------

    def submit(self, kind: Kind, reason: Reason | None = None) -> DecisionResult:
        """Decide about the card in the seat; when this returns it is on the disk, and the seat has the next card.

        Raises:
            NoLongerQueued: somebody else has decided about the card since it was shown; nothing was written, and the
                same decision once more is written.
            RecordError: nothing was written; the card still sits there.
        """
        ready = self._decidable()
        number, shown = ready.card.candidate_id, self._shown(ready)
        with self._unasked_stays_seated(), self.answers.counting([number]):
            match decision_kind(ready, kind, self.actor.role):
                case DecisionKind.FLIP:
                    done = self._reviewer.flip(number, kind, reason=reason, shown=shown)
                case DecisionKind.ADJUDICATION:
                    done = self._reviewer.adjudicate(number, kind, reason=reason, shown=shown)
                case DecisionKind.VOTE:
                    done = self._reviewer.decide(number, kind, reason=reason, shown=shown)
        self._decided(ready, kind, done, shown)
        return done

    def edit(self, new_text: str, concept: str | None = None) -> DecisionResult:
        """Replace the card in the seat by one with this text (see `DecisionWriter.edit`).

        Raises:
            ValueError: the text is empty or unchanged.
            NoLongerQueued: as `submit`.
            RecordError: nothing was written; the card still sits there.
        """
        ready = self._decidable()
        shown = self._shown(ready)
        with self._unasked_stays_seated(), self.answers.counting([ready.card.candidate_id]):
            done = self._reviewer.edit(ready.card.candidate_id, new_text, concept=concept, shown=shown)
        self._unindexed = True
        self._decided(ready, Kind.EDIT, done, shown)
        return done

    def note(self, words: str) -> DecisionResult:
        """Attach a note to the card in the seat."""
        ready = self._card.require()
        with self.answers.counting([ready.card.candidate_id], Kind.NOTE):
            done = self._reviewer.note(ready.card.candidate_id, words, shown=self._shown(ready))
        self._card.reload()
        return done

    def toggle_flag(self) -> bool:
        """Flag the card in the seat, or take one's flag back; returns whether it is flagged now."""
        ready = self._card.require()
        with self.answers.counting([ready.card.candidate_id], Kind.FLAG):
            done = self._reviewer.toggle_flag(ready.card.candidate_id, shown=self._shown(ready))
        self._card.reload()
        return done.status.flagged

    def leave_replaced(self) -> bool:
        """Go on to the next card where somebody else's edit has replaced this one meanwhile; whether it has."""
        ready = self._card.require()
        with self.store.read() as connection:
            card = self.loader.card(connection, ready.card.candidate_id)
        replaced = card.state is State.SUPERSEDED
        if replaced:
            self._card.release(ready.card.candidate_id)
            self._card.clear()
            self._forward()
        return replaced

    def undo(self) -> Kind | None:
        """Take back one's last act, whose card takes the seat; returns what was taken back, None: nothing."""
        with self.answers.counting(kind=_UNDO):
            done = self._reviewer.undo()
        if done is None:
            return None
        self.moved = done.candidates
        self._trail.clear()
        self._tally.recount()
        if done.candidates > 1:  # a bulk: its cards are in the queue again, the seat stays as it is
            self.refresh()
            return done.kind
        self._seat_undone(done.candidate_id, settled=done.status.state not in _OPEN and done.known is None)
        self._card.after_undo = True
        return done.kind

    def redo(self) -> Kind | None:
        """Do again what was last undone; returns what was done again, None: nothing."""
        with self.answers.counting(kind=_REDO):
            done = self._reviewer.redo()
        if done is None:
            return None
        self.moved = done.candidates
        with self.store.read() as connection:
            kind = queries.original_kind(connection, done.action_id)
        if done.candidates > 1:
            self.refresh()
            return kind
        self._trail.clear()
        self._tally.recount()
        here = self._card.candidate_id == done.candidate_id
        if kind in _REMARKS:
            if here:
                self._card.reload()
            return kind
        self._card.release(done.candidate_id)
        self._deck.discard(done.candidate_id)
        if here:
            self._card.clear()
            self.current_card()
        return kind

    def refresh(self) -> None:
        """Cards were decided about in a room, or many at once: none that is not asked any more is served or shown."""
        with self.store.read() as connection:
            asked = claims.still_queued_for(connection, self._deck.coming(), self.actor.annotator_id)
        for number in set(self._deck.coming()) - asked:
            self._deck.discard(number)
            self._card.release(number)
        if self.current is not None:
            self._card.reload(asked=self._asks(self.current))
            if self.current.way is CardOrigin.QUEUE and self.current.card.candidate_id not in asked:
                self._card.clear()
        self._trail.clear()
        self._tally.recount()
        self._deck.resume()

    # -- looking around -----------------------------------------------------------------------------------------

    def look_back(self) -> bool:
        """Seat the card of one's decision before this one, without undoing it; False: there is none."""
        past = self._trail.older(self._card.candidate_id)
        if past is None:
            return False
        self._card.put_aside()
        self._trail.add(past)
        self._open_past(past)
        return True

    def look_forward(self) -> bool:
        """The way back to the work, a card at a time; False: this is where the work is."""
        if self.current is None or self.current.way is CardOrigin.QUEUE:
            return False
        self._card.put_aside()
        self._forward()
        return True

    def find(self, words: str) -> list[queries.Match]:
        """Candidates whose text, concept or caption holds these words, at most `MATCHES`."""
        if self._unindexed:
            fulltext.refresh(self.store)
            self._unindexed = False
        with self.store.read() as connection:
            return queries.matches(connection, fulltext.find(connection, words, limit=MATCHES), self.actor.name)

    def open(self, candidate_id: int) -> None:
        """Seat this card, whatever its place in the queue; the one that sits there comes next."""
        if self._card.candidate_id == candidate_id:
            return
        with self.store.read() as connection:
            past = queries.own_decision_in_force(connection, self.actor.name, candidate_id)
            card = self.loader.card(connection, candidate_id)
        leased = card.state in _OPEN
        if leased:
            self._queue.retake(candidate_id)
        self._trail.clear()
        self._card.put_aside()
        self._deck.discard(candidate_id)
        self._card.load(candidate_id, CardOrigin.FOUND, leased=leased, past=past)

    # -- the seat -----------------------------------------------------------------------------------------------

    def _decidable(self) -> PreparedCard:
        ready = self._card.require()
        if ready.card.state is State.SUPERSEDED:
            with self.answers.counting():
                raise CardChanged("an edit replaced this caption", hint="find the new text with /, or undo the edit")
        return ready

    def _asks(self, ready: PreparedCard) -> bool:
        """Whether this card asks for the person now."""
        with self.store.read() as connection:
            return self.loader.asks(connection, ready.card.candidate_id)

    def _shown(self, ready: PreparedCard) -> PresentationContext:
        spent = self.attention.on(ready.card.candidate_id)
        return PresentationContext(
            ready.stream,
            blind=ready.hidden,
            elapsed_ms=round(spent * 1000),
            leased=ready.leased,
            must_be_queued=ready.asked,
            picture=self.picture_shown,
            zoomed=self.zoomed,
        )

    @contextlib.contextmanager
    def _unasked_stays_seated(self) -> Iterator[None]:
        """Where the card does not ask for the person any more, keep it in the seat as one that was opened by name."""
        try:
            yield
        except NoLongerQueued:
            self._card.release(self._card.require().card.candidate_id)
            self._trail.clear()
            self._card.reload(way=CardOrigin.FOUND, leased=False, asked=False)
            raise

    def _decided(self, ready: PreparedCard, kind: Kind, done: DecisionResult, shown: PresentationContext) -> None:
        number = ready.card.candidate_id
        first_look = ready.way is CardOrigin.QUEUE and ready.path is not None and not self._card.after_undo
        self._tally.decided(kind, shown.elapsed_ms or 0, ready.card.state, done, first_look=first_look)
        self.attention.turn_to(None)
        self.attention.forget(number)
        self._card.clear()
        self._forward()

    def _forward(self) -> None:
        """Seat the next newer card of the trail, or at its end the next one of the deck."""
        if (past := self._trail.newer()) is not None:
            self._open_past(past)
        self.current_card()

    def _seat_undone(self, number: int, *, settled: bool) -> None:
        """Seat what an undo was about. Still settled (it was a remark, say): it is looked at, and `]` leads on."""
        way, past = CardOrigin.QUEUE, None
        if settled:
            self._card.release(number)
            with self.store.read() as connection:
                way, past = CardOrigin.BACK, queries.own_decision_in_force(connection, self.actor.name, number)
        if self.current is not None and self.current.card.candidate_id == number:
            self._card.reload(way=way, leased=not settled, past=past, asked=self._asks(self.current))
        else:
            self._card.put_aside()
            self._deck.discard(number)
            self._card.load(number, way, leased=not settled, past=past)

    def _open_past(self, past: PreviousDecision) -> None:
        self._card.load(past.candidate_id, CardOrigin.BACK, leased=False, past=past)

    def _pass_on(self) -> None:
        self.on_change()

    def _note_replaced(self, error: RecordReplaced) -> None:
        """In the thread that found it out."""
        self.replaced = error
        self.on_change()


def _no_news() -> None:
    """Nobody listens."""
