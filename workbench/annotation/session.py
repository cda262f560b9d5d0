"""The annotation session of one annotator, without a user interface. All front ends decide through it.

It holds the current card, the prefetch buffer and the back history. Each decision is committed before the next card
becomes the current one. If the record refuses a decision, `RecordError` is raised and the card stays the current one.
Only one thread at a time may call a session; the prefetcher has its own thread.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING, ClassVar

from curation_db.enums import PROBES, Cause, Kind, PictureShown, Reason, Role, State, Stream
from curation_db.errors import CardChanged, NoLongerQueued, RecordError, RecordReplaced, RecordUnwritable
from curation_db.events.annotator_status import count_waiting_edits, works_alone
from curation_db.events.annotators import Actor, end_session
from curation_db.events.event_log import (
    PreviousDecision,
    decisions_before,
    last_effective_action,
    last_redoable_undo,
)
from curation_db.queue.claims import Queue, count_remaining
from curation_db.queue.leases import Clock
from curation_db.queue.ordering import Policy
from curation_db.queue.second_looks import SecondLooks
from curation_db.review.decisions import DecisionResult, DecisionWriter, PresentationContext
from curation_db.search import fulltext, queries
from curation_db.search.rows import ListedCandidate
from curation_db.search.session_work import session_work
from curation_db.stats.probes import Consistency, consistency, read_answers
from curation_db.storage.store import Store
from workbench.annotation.act_log import ActLog
from workbench.annotation.answer_counts import AnswerCounter
from workbench.annotation.background import PriorityRefreshThread
from workbench.annotation.current_card import BackHistory, CurrentCard
from workbench.annotation.decision_kind import DecisionKind, decision_kind
from workbench.annotation.dwell_time import DwellTimer
from workbench.annotation.key_guard import CardVisibility
from workbench.annotation.loader import CardLoader
from workbench.annotation.models import (
    CardOrigin,
    ImageLoader,
    PreparedCard,
    RecentDecision,
    ReversedAction,
    SessionSettings,
    SessionSummary,
)
from workbench.annotation.prefetch import CardPrefetcher
from workbench.annotation.probe import Probe, is_probed, probe_of
from workbench.annotation.progress_counter import ProgressCounter, ThroughputSnapshot
from workbench.annotation.wording import DECISIONS
from workbench.workspace.image_signatures import look_note

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from curation_db.search.query_language import View

MATCHES = 50
"""Limit of `find`."""
_OPEN = frozenset({State.OPEN, State.NEEDS_MORE, State.UNSURE, State.CONTESTED})
_ASKS_FOR_LIST = re.compile(r"(?:^|\s)(?:like|family|near):", re.IGNORECASE)
_REMARKS = frozenset({Kind.NOTE, Kind.FLAG})
_UNDO, _REDO = "undo", "redo"


class AnnotationSession:
    """One annotator's session: `start`, then `current_card` and `submit` in turn, then `close`. A context manager."""

    QUEUE: ClassVar[type[Queue] | None] = None
    """The queue of a subclass; None: that of the policy."""

    def __init__(
        self,
        store: Store,
        actor: Actor,
        pictures: ImageLoader,
        settings: SessionSettings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Clock = time.time,
        owns_store: bool = False,
    ) -> None:
        """Create a session; use `open_session` unless the store is open already.

        Args:
            actor: The annotator with the id of the session.
            clock: Measures dwell times in seconds; it may stop while the machine is suspended.
            wall_clock: The clock of the leases, in seconds.
            owns_store: Whether `close` closes `store`, too.
        """
        self.on_change: Callable[[], None] = lambda: None
        """Called from any thread when a card is ready, the queue has ended, or `problem` or `replaced` has changed."""
        self.prepare: Callable[[PreparedCard], None] = lambda _ready: None
        """Called in the prefetch thread for a card that will become the current one: the screen computes there what it
        will draw."""
        self.actor = actor
        self.settings = settings or SessionSettings()
        self.store = store
        """The record; the side screens read it, too."""
        self.replaced: RecordReplaced | None = None
        """Set when the record is no longer the file that was opened: the session must end."""
        store.on_replaced = self._note_replaced
        self.dwell_timer = DwellTimer(clock)
        """The front end reports each activity of the annotator to it."""
        self.picture_shown = PictureShown.NONE
        """How the screen shows the image of the current card; set by the screen, stored with each decision."""
        self.card_visibility = CardVisibility(self.settings.guard_seconds)
        """The screen reports to it when a card is drawn."""
        policy = Policy.parse(self.settings.ordering)
        self._queue = (self.QUEUE or (SecondLooks if policy.mistaken else Queue))(
            store,
            actor,
            ordering=policy.name,
            audit_share=self.settings.audit_share,
            gold_share=self.settings.gold_share,
            only=self.settings.only,
            lease_seconds=self.settings.lease_seconds,
            clock=wall_clock,
        )
        self.loader = CardLoader(store, pictures, actor, self.settings, self._queue.wanted)
        self._writer = DecisionWriter(store, actor, clock=wall_clock)
        self._priority_refresh = PriorityRefreshThread(store, policy, self.settings.checks)
        self._prefetcher = CardPrefetcher(
            self._queue,
            self.loader.load_claimed,
            prepare=self._prepare,
            on_change=self.notify,
            depth=self.settings.depth,
            lease_seconds=self.settings.lease_seconds,
            clock=wall_clock,
            clock_check_seconds=self.settings.clock_check_seconds,
        )
        self._owns_store = owns_store
        self._ended = False
        self.probe: Probe | None = None
        """The questions after the last accept; while one is asked, there is no current card."""
        self.reversed_action: ReversedAction | None = None
        """The action that the last undo or redo was about."""
        self.goal_reached = False
        """Whether the last decision on a card was the one that reached the goal."""
        self.start_prefetch = self._prefetcher.start
        """Start to prepare cards, which leases them. A second call does nothing."""
        self.upcoming = self._prefetcher.upcoming
        self.rest = self._prefetcher.rest
        """The screen reports a key that will change the card: the thread leaves the processor to it."""
        self.card_drawn = self._prefetcher.end_rest
        """The screen reports that it has drawn the current card: the thread may use the processor again."""
        self._card = CurrentCard(store, self._queue, self._prefetcher, self.loader, self.dwell_timer)
        self._back_history = BackHistory(store, actor.name)
        self._index_outdated = True
        """Whether texts may be missing in the full-text index, after an edit or an interrupted import."""
        serves_audit = self.settings.only is Stream.AUDIT or (not self.settings.only and self.settings.audit_share > 0)
        self._counter = ProgressCounter(store, actor, counts_audit=serves_audit)
        self.acts = ActLog(actor.name)
        """What the annotator did, also on the side screens."""
        self.answers = AnswerCounter()
        """Counts stored and refused answers, also those of the side screens."""

    # -- life of the session ------------------------------------------------------------------------------------

    def start(self, *, prefetch: bool = True) -> None:
        """Count the progress and start the threads.

        Args:
            prefetch: Prepare cards now; otherwise a later call of `start_prefetch` does.
        """
        if prefetch:
            self.start_prefetch()
        self._priority_refresh.start()
        self._counter.start()

    def __enter__(self) -> AnnotationSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Call `leave`, and close the record if the session owns it. A second call does nothing."""
        self.leave()
        if self._owns_store:
            self.store.close()

    def leave(self) -> None:
        """Stop the threads, release all leases and end the session; the record stays open."""
        if self._ended:
            return
        self._priority_refresh.close()
        self._prefetcher.close()
        with contextlib.suppress(RecordError):  # the leases expire by themselves
            end_session(self.store, self.actor)
        self._ended = True

    @property
    def current(self) -> PreparedCard | None:
        """The current card; unlike `current_card()`, it takes no prepared card."""
        return self._card.ready

    @property
    def zoomed(self) -> bool:
        """Whether the annotator has zoomed into the image of the current card; set by the screen."""
        return self._card.zoomed

    @zoomed.setter
    def zoomed(self, zoomed: bool) -> None:
        self._card.zoomed = zoomed

    @property
    def finished(self) -> bool:
        """Whether there is no current card and the queue has no further one."""
        return self.current is None and self.probe is None and self._prefetcher.exhausted

    @property
    def prepared(self) -> int:
        """Number of prepared cards behind the current one."""
        return self._prefetcher.prepared

    @property
    def seen_before(self) -> bool:
        """Whether the annotator has decided about the current card before."""
        return self._card.seen_before

    @property
    def order(self) -> str:
        """The name of the queue's order, with the progress of its refresh."""
        return self._priority_refresh.label

    @property
    def problem(self) -> str | None:
        """The error that blocks the next cards, in one line."""
        return self._prefetcher.problem

    @property
    def failure(self) -> Exception | None:
        """The unexpected error that ended the prefetch thread."""
        return self._prefetcher.failure

    @property
    def progress(self) -> ThroughputSnapshot:
        return self._counter.progress

    def current_card(self) -> PreparedCard | None:
        """Return the current card; if there is none, the next prepared card becomes the current one.

        Never waits: None means that no card is prepared yet, or `finished`. A prepared card whose lease was lost, or
        that another annotator has decided about, goes back to the prefetcher, which leases it again or drops it.
        """
        while self.probe is None and self.current is None and (ready := self._prefetcher.take()) is not None:
            if self._may_show(ready):
                self._card.show(ready)
            else:
                self._prefetcher.recheck(ready)
        return self.current

    def _may_show(self, ready: PreparedCard) -> bool:
        try:
            return bool(self._queue.ready_to_show([ready.card.candidate_id]))
        except RecordError:
            return False

    def summary(self) -> SessionSummary:
        """Count the state of the workspace and of the session. Slow: for the end of the queue."""
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
                self._consistency(connection),
                session_work(connection, self.actor.name, self.actor.session),
                last_effective_action(connection, self.actor.name) is not None,
                last_redoable_undo(connection, self.actor.name) is not None,
                bool(decisions_before(connection, self.actor.name, None)),
            )

    def _consistency(self, connection: Connection) -> Consistency:
        """Return how consistent the answers of this session to probes are."""
        answers = [each for each in read_answers(connection) if each.session == self.actor.session]
        return consistency(answers).get(self.actor.name, Consistency())

    def recent_decisions(self, count: int) -> list[RecentDecision]:
        """Return the annotator's last `count` decisions in force, also of earlier sessions; the newest first."""
        with self.store.read() as connection:
            past = decisions_before(connection, self.actor.name, None, count)
            texts = {
                match.candidate_id: match.text
                for match in queries.matches(connection, [each.candidate_id for each in past], self.actor.name)
            }
        return [RecentDecision(each.kind, each.reason, texts[each.candidate_id]) for each in past]

    def candidates_arrived(self) -> None:
        """Serve and count candidates that were added since the start. May be called from any thread."""
        self._index_outdated = True
        with contextlib.suppress(RecordError):  # the record is busy: the next recount has the number
            self._counter.count_total()
        self._prefetcher.resume()
        self.notify()

    def revisit(self) -> None:
        """From now on, also serve cards that the annotator skipped, was unsure about or edited."""
        self._prefetcher.resume(revisit=True)

    def look_again(self) -> None:
        """Ask the queue again for new or released cards."""
        self._prefetcher.resume()

    # -- deciding -----------------------------------------------------------------------------------------------

    def submit(self, kind: Kind, reason: Reason | None = None, *, may_probe: bool = False) -> DecisionResult:
        """Commit a decision about the current card; then the next card becomes the current one.

        Args:
            may_probe: After an accept, ask the questions of `probe` before the next card, for the share of the cards in
                the settings.

        Raises:
            NoLongerQueued: Another annotator has decided about the card since it was shown. Nothing was written; a
                second call writes the decision.
            RecordError: Nothing was written; the card stays the current one.
        """
        ready = self._decidable()
        candidate_id, context = ready.card.candidate_id, self._context(ready)
        with self._keep_if_no_longer_queued(), self.answers.counting([candidate_id]):
            result = self._commit(ready, kind, reason, context)
        self.acts.decided(candidate_id, kind, reason)
        if may_probe and kind is Kind.ACCEPT and result.kind is Kind.ACCEPT and result.known is None:
            self.probe = self._probe_after(ready)
        self._advance(ready, kind, result, context)
        return result

    def _probe_after(self, ready: PreparedCard) -> Probe | None:
        if not is_probed(ready.card, self.actor.name, self.settings.probe_share):
            return None
        return probe_of(ready, self.actor.name)

    def answer_probe(self, is_true: bool) -> None:
        """Store the answer to the question of `probe`; after the last one the next card becomes the current one.

        Raises:
            RecordError: Nothing was written; the question is still asked.
        """
        if self.probe is None:
            raise RecordError("there is no question to answer")
        number, question = self.probe.ready.card.candidate_id, self.probe.question
        context = replace(
            self._context(self.probe.ready),
            elapsed_ms=round(self.dwell_timer.seconds_on(-number) * 1000),
            leased=False,
            must_be_queued=False,
        )
        with self.answers.counting([number], question.kind):
            self._writer.answer_probe(number, question.kind, question.sentence, is_true, shown=context)
        self.acts.without_command(f"{DECISIONS[question.kind].label}: {'true' if is_true else 'false'}", number)
        self._turn_to_probe(self.probe.following())

    def skip_probe(self) -> None:
        """Ask nothing more about the accepted card."""
        self._turn_to_probe(None)

    def _turn_to_probe(self, probe: Probe | None) -> None:
        """Ask the question of `probe`; None: go on to the next card."""
        before, self.probe = self.probe, probe
        self.dwell_timer.turn_to(None)
        for asked in filter(None, (before, probe)):
            self.dwell_timer.reset(-asked.ready.card.candidate_id)
        if probe is not None:
            self.dwell_timer.turn_to(-probe.ready.card.candidate_id)  # the time on the question, not that on the card
        else:
            self._forward()

    def decide_listed(
        self, row: ListedCandidate, kind: Kind, reason: Reason | None = None, *, picture: PictureShown
    ) -> DecisionResult | None:
        """Commit a decision about a row of a list; return None if it is the annotator's decision already.

        The current card stays, unless it needs no decision any more.

        Args:
            row: The row as the annotator saw it.
            picture: How its image was shown.

        Raises:
            CardChanged: The candidate is no longer in the state of the row; nothing was written.
            RecordError: Nothing was written.
        """
        with self.store.read() as connection:
            past = queries.own_decision_in_force(connection, self.actor.name, row.id)
        if past is not None and (past.kind, past.reason) == (kind, reason):
            return None
        with self.answers.counting([row.id]):
            ready = self.loader.load(row.id, origin=CardOrigin.SEARCH, leased=False, past=past, with_image=False)
            self._check_listed(row, ready)
            context = PresentationContext(
                ready.stream, blind=row.hidden, leased=False, must_be_queued=ready.asked, picture=picture
            )
            result = self._commit(ready, kind, reason, context)
        self.acts.decided(row.id, kind, reason)
        self.refresh()
        return result

    def adjudicate(
        self,
        candidate_id: int,
        verdict: Kind,
        *,
        reason: Reason | None = None,
        cause: Cause | None = None,
        shown: PresentationContext,
    ) -> DecisionResult:
        """Settle a disagreement, as an adjudicator (see `DecisionWriter.adjudicate`).

        The current card stays, unless it needs no decision any more.

        Raises:
            CardChanged: An edit has replaced the caption; nothing was written.
            RecordError: Not an adjudicator, or no such candidate; nothing was written.
        """
        with self.answers.counting([candidate_id]):
            with self.store.read() as connection:
                if self.loader.card(connection, candidate_id).state is State.SUPERSEDED:
                    raise CardChanged("an edit has replaced this caption", hint="find the new text with /")
            result = self._writer.adjudicate(candidate_id, verdict, reason=reason, cause=cause, shown=shown)
        self.acts.adjudicated(candidate_id, verdict, reason, cause)
        self.refresh()
        return result

    def edit_disputed(
        self, candidate_id: int, new_text: str, concept: str | None, *, shown: PresentationContext
    ) -> DecisionResult:
        """Replace a candidate on which annotators disagree by one with this text (see `DecisionWriter.edit`).

        Raises:
            ValueError: The text is empty or unchanged.
            RecordError: Nothing was written.
        """
        with self.answers.counting([candidate_id]):
            result = self._writer.edit(candidate_id, new_text, concept=concept, shown=shown)
        self._index_outdated = True
        self.acts.decided(candidate_id, Kind.EDIT, text=new_text, concept=concept)
        self.refresh()
        return result

    def _check_listed(self, row: ListedCandidate, ready: PreparedCard) -> None:
        if ready.card.state is State.SUPERSEDED:
            raise CardChanged("an edit has replaced this caption", hint="decide about the new text")
        if ready.card.state is not row.state:
            raise CardChanged("another decision has changed this row; yours is not written", hint="decide again")
        if row.audit and row.hidden:
            raise RecordError("an audit candidate is decided blind", hint="open its card")
        if self.actor.role is not Role.ADJUDICATOR and any(each.kind is Kind.ADJUDICATE for each in row.decisions):
            raise RecordError("an adjudicator has settled this candidate", hint="only adjudicators change that")

    def _commit(
        self, ready: PreparedCard, kind: Kind, reason: Reason | None, context: PresentationContext
    ) -> DecisionResult:
        candidate_id = ready.card.candidate_id
        match decision_kind(ready, kind, self.actor.role):
            case DecisionKind.FLIP:
                return self._writer.flip(candidate_id, kind, reason=reason, shown=context)
            case DecisionKind.ADJUDICATION:
                return self._writer.adjudicate(candidate_id, kind, reason=reason, shown=context)
        return self._writer.decide(candidate_id, kind, reason=reason, shown=context)

    def edit(self, new_text: str, concept: str | None = None) -> DecisionResult:
        """Replace the current candidate by one with this text (see `DecisionWriter.edit`).

        Raises:
            ValueError: The text is empty or unchanged.
            NoLongerQueued: As for `submit`.
            RecordError: Nothing was written; the card stays the current one.
        """
        ready = self._decidable()
        context = self._context(ready)
        with self._keep_if_no_longer_queued(), self.answers.counting([ready.card.candidate_id]):
            result = self._writer.edit(ready.card.candidate_id, new_text, concept=concept, shown=context)
        self._index_outdated = True
        self.acts.decided(ready.card.candidate_id, Kind.EDIT, text=new_text, concept=concept)
        self._advance(ready, Kind.EDIT, result, context)
        return result

    def note(self, text: str) -> DecisionResult:
        """Attach a note to the current card."""
        ready = self._card.require()
        with self.answers.counting([ready.card.candidate_id], Kind.NOTE):
            result = self._writer.note(ready.card.candidate_id, text, shown=self._context(ready))
        self.acts.decided(ready.card.candidate_id, Kind.NOTE, text=text)
        self._card.reload()
        return result

    def toggle_flag(self) -> bool:
        """Flag the current card, or remove the annotator's flag; return whether the card is flagged now."""
        ready = self._card.require()
        with self.answers.counting([ready.card.candidate_id], Kind.FLAG):
            result = self._writer.toggle_flag(ready.card.candidate_id, shown=self._context(ready))
        self.acts.decided(ready.card.candidate_id, Kind.FLAG)
        self._card.reload()
        return result.status.flagged

    def leave_replaced(self) -> bool:
        """Go on to the next card if another annotator's edit has replaced the current one; return whether it has."""
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
        """Undo the annotator's last action and show its card; return the kind of the action, None: there is none."""
        with self.answers.counting(kind=_UNDO):
            result = self._writer.undo()
        if result is None:
            return None
        self._note_reversed(result)
        self.acts.moved(result.kind, back=True)
        self._back_history.clear()
        if result.kind in PROBES:
            self._ask_again(result.candidate_id, result.kind)
            return result.kind
        self.probe = None
        if result.candidates > 1:  # a bulk decision: its candidates are in the queue again
            self.refresh()
            return result.kind
        self._counter.reversed(result)
        self._show_undone(result.candidate_id, settled=result.status.state not in _OPEN and result.known is None)
        self._card.after_undo = True
        return result.kind

    def _note_reversed(self, result: DecisionResult) -> Kind:
        """Look up the action that an undo or redo was about; return its kind."""
        with self.store.read() as connection:
            kind, reason = queries.original_action(connection, result.action_id)
        self.reversed_action = ReversedAction(kind, reason, result.candidate_id, result.candidates)
        return kind

    def redo(self) -> Kind | None:
        """Redo the last undone action; return its kind, None: there is none."""
        with self.answers.counting(kind=_REDO):
            result = self._writer.redo()
        if result is None:
            return None
        kind = self._note_reversed(result)
        self.acts.moved(kind, back=False)
        if result.candidates > 1:
            self.refresh()
            return kind
        self._back_history.clear()
        self._counter.reversed(result)
        if self.probe is not None and kind in PROBES:  # the answer is stored again
            self._turn_to_probe(self.probe.following())
        is_current = self._card.candidate_id == result.candidate_id
        if kind in _REMARKS or kind in PROBES:
            if is_current:
                self._card.reload()
            return kind
        self._card.release(result.candidate_id)
        self._prefetcher.discard(result.candidate_id)
        if is_current:
            self._card.clear()
            self.current_card()
        return kind

    def refresh(self) -> None:
        """Drop the current and the prepared cards that need no decision any more, after decisions on a side screen."""
        with self.store.read() as connection:
            queued = self._queue.wanted(connection, self._prefetcher.claimed_ids())
        for candidate_id in set(self._prefetcher.claimed_ids()) - queued:
            self._prefetcher.discard(candidate_id)
            self._card.release(candidate_id)
        if self.current is not None:
            self._card.reload(asked=self._is_queued(self.current))
            if self.current.origin is CardOrigin.QUEUE and self.current.card.candidate_id not in queued:
                self._card.clear()
        self._back_history.clear()
        self._counter.recount()
        self._prefetcher.resume()

    # -- other cards than the next one --------------------------------------------------------------------------

    def look_back(self) -> bool:
        """Show the card of the previous decision, without undoing it; return False if there is none."""
        past = self._back_history.older(self._card.candidate_id)
        if past is None:
            return False
        self._card.put_aside()
        self._back_history.add(past)
        self._open_past(past)
        return True

    def look_forward(self) -> bool:
        """Go one card back towards the queue; return False if the card is of the queue."""
        if self.current is None or self.current.origin is CardOrigin.QUEUE:
            return False
        self._card.put_aside()
        self._forward()
        return True

    def find(self, text: str) -> list[queries.Match]:
        """Return candidates whose text, concept or caption has these words, at most `MATCHES`.

        A line with a `like:`, `family:` or `near:` term is a query as in Browse.
        """
        if self._index_outdated:
            with contextlib.suppress(RecordUnwritable):  # read-only: search what is indexed
                fulltext.refresh(self.store)
            self._index_outdated = False
        with self.store.read() as connection:
            ids = _listed(connection, text)
            if ids is None:
                ids = fulltext.find(connection, text, limit=MATCHES)
            return queries.matches(connection, ids, self.actor.name)

    def find_note(self, text: str) -> str:
        """Return how many images a query for `find` does not compare, and what to do; "" if it compares all or none."""
        view = _view_of(text)
        return "" if view is None else look_note(self.store, view)

    def open(self, candidate_id: int) -> None:
        """Show this candidate, whatever its place in the queue; the current card becomes the next one."""
        if self._card.candidate_id == candidate_id:
            return
        with self.store.read() as connection:
            past = queries.own_decision_in_force(connection, self.actor.name, candidate_id)
            card = self.loader.card(connection, candidate_id)
        leased = card.state in _OPEN
        if leased:
            self._queue.retake(candidate_id)
        self._back_history.clear()
        self._card.put_aside()
        self._prefetcher.discard(candidate_id)
        self._card.load(candidate_id, CardOrigin.SEARCH, leased=leased, past=past)

    # -- the current card ---------------------------------------------------------------------------------------

    def _decidable(self) -> PreparedCard:
        ready = self._card.require()
        if ready.card.state is State.SUPERSEDED:
            with self.answers.counting():
                raise CardChanged("an edit replaced this caption", hint="find the new text with /, or undo the edit")
        return ready

    def _is_queued(self, ready: PreparedCard) -> bool:
        """Return whether the queue needs this annotator's decision about the card now."""
        with self.store.read() as connection:
            return self.loader.asks(connection, ready.card.candidate_id)

    def _context(self, ready: PreparedCard) -> PresentationContext:
        seconds = self.dwell_timer.seconds_on(ready.card.candidate_id)
        return PresentationContext(
            ready.stream,
            blind=ready.hidden,
            elapsed_ms=round(seconds * 1000) if self.settings.is_timed else None,
            leased=ready.leased,
            must_be_queued=ready.asked and not ready.second_look,
            picture=self.picture_shown,
            zoomed=self.zoomed,
        )

    @contextlib.contextmanager
    def _keep_if_no_longer_queued(self) -> Iterator[None]:
        """If the queue needs no decision about the card any more, keep it as one that was opened from a search."""
        try:
            yield
        except NoLongerQueued:
            self._card.release(self._card.require().card.candidate_id)
            self._back_history.clear()
            self._card.reload(origin=CardOrigin.SEARCH, leased=False, asked=False)
            raise

    def _advance(self, ready: PreparedCard, kind: Kind, result: DecisionResult, context: PresentationContext) -> None:
        """Count the decision and show the next card."""
        first_look = ready.origin is CardOrigin.QUEUE and ready.path is not None and not self._card.after_undo
        audit = ready.stream is Stream.AUDIT
        own = self.progress.own
        self._counter.decided(
            kind, context.elapsed_ms or 0, ready.card.state, result, first_look=first_look, audit=audit
        )
        self.goal_reached = own < self.settings.goal <= self.progress.own
        self.dwell_timer.turn_to(None)
        self.dwell_timer.reset(ready.card.candidate_id)
        self._card.clear()
        if self.probe is not None:
            self._turn_to_probe(self.probe)
        else:
            self._forward()

    def _ask_again(self, candidate_id: int, kind: Kind) -> None:
        """Ask the question whose answer was undone; the current card becomes the next one."""
        self._card.release(candidate_id)
        self._card.put_aside()
        ready = self.loader.load(candidate_id, origin=CardOrigin.HISTORY, leased=False)
        self._turn_to_probe(probe_of(ready, self.actor.name, first=kind))

    def _forward(self) -> None:
        """Show the next newer card of the back history, or at its end the next prepared one."""
        if (past := self._back_history.newer()) is not None:
            self._open_past(past)
        self.current_card()

    def _show_undone(self, candidate_id: int, *, settled: bool) -> None:
        """Show the card of an undo; if it is still settled (a note was undone), as one of the back history."""
        origin, past = CardOrigin.QUEUE, None
        if settled:
            self._card.release(candidate_id)
            with self.store.read() as connection:
                origin, past = (
                    CardOrigin.HISTORY,
                    queries.own_decision_in_force(connection, self.actor.name, candidate_id),
                )
        if self.current is not None and self.current.card.candidate_id == candidate_id:
            self._card.reload(origin=origin, leased=not settled, past=past, asked=self._is_queued(self.current))
        else:
            self._card.put_aside()
            self._prefetcher.discard(candidate_id)
            self._card.load(candidate_id, origin, leased=not settled, past=past)

    def _open_past(self, past: PreviousDecision) -> None:
        self._card.load(past.candidate_id, CardOrigin.HISTORY, leased=False, past=past)

    def _prepare(self, ready: PreparedCard) -> None:
        self.prepare(ready)

    def notify(self) -> None:
        """Let the front end show what has changed. May be called from any thread."""
        self.on_change()

    def _note_replaced(self, error: RecordReplaced) -> None:
        """Called in the thread that has noticed it."""
        self.replaced = error
        self.on_change()


def _listed(connection: Connection, line: str) -> list[int] | None:
    """Return the first candidates of a query with a `like:`, `family:` or `near:` term; None: it is no such query."""
    if not _ASKS_FOR_LIST.search(line):
        return None
    from curation_db.search.search import ids_of  # noqa: PLC0415 -- only when asked for

    view = _view_of(line)
    return [] if view is None else list(islice(chain.from_iterable(ids_of(connection, view)), MATCHES))


def _view_of(line: str) -> View | None:
    """Return the view of a query with a `like:`, `family:` or `near:` term; None if it is no such query, or wrong."""
    if not _ASKS_FOR_LIST.search(line):
        return None
    from curation_db.search.query_language import ViewError, parse_view  # noqa: PLC0415 -- only when asked for

    try:
        return parse_view(line)
    except ViewError:
        return None
