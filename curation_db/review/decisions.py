"""Decisions: the ONLY writer of events.

Every method is one transaction that appends events, folds the candidates they concern anew and moves them in the
queue; when it returns, the decision is on the disk. Nothing is ever changed or deleted: undo appends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from sqlalchemy import Connection, text

from curation_db.enums import Cause, Kind, PersonRole, PictureShown, Reason, Role, State, Stream
from curation_db.errors import CardChanged, NoLongerQueued, RecordError
from curation_db.events import event_clock, event_log
from curation_db.events.annotator_status import works_alone
from curation_db.events.annotators import Actor, require_adjudicator
from curation_db.events.event_log import RecordedAction
from curation_db.events.history_cache import BATCH, events_of
from curation_db.events.state import CandidateStatus, FoldEvent, effective_events
from curation_db.language.sanitize import clean
from curation_db.queue import leases
from curation_db.queue.claims import asked
from curation_db.queue.gold import KnownAnswer, known_answer
from curation_db.review.bulk_preview import BulkPreview, preview_decisions
from curation_db.review.edits import make_child
from curation_db.review.state_table import update_state, update_states, write_state
from curation_db.storage.ids import utc_now, uuid7
from curation_db.storage.sqlite import batches
from curation_db.storage.store import Store

EDIT_UNDONE = "edit undone"
"""The note of the withdrawal that takes a child out of play together with its edit."""

# fmt: off
_COLUMNS = (
    "seq", "uid", "act", "candidate_id", "actor", "role", "session", "stream", "blind", "kind", "verdict", "reason",
    "cause", "note", "undo_of", "child_id", "late", "elapsed_ms", "at", "gold",
    "picture", "zoomed",
)
# fmt: on
_INSERT = f"INSERT INTO event({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
Progress = Callable[[int, int], None]
"""Told how many are written, of how many."""


def _silent(_done: int, _total: int) -> None:
    """Nobody asked."""


_DECISIONS = frozenset({Kind.ACCEPT, Kind.REJECT, Kind.UNSURE, Kind.SKIP})
_ANSWERS = _DECISIONS | {Kind.FLIP}
"""What counts as an answer, and as no vote, where the right one is known."""
_PEOPLE = frozenset(map(Role, PersonRole))


@dataclass(frozen=True, slots=True)
class PresentationContext:
    """How a card stood before the person when the decision came."""

    stream: Stream = Stream.REVIEW
    blind: bool = False
    elapsed_ms: int | None = None
    """Time on the card."""
    picture: PictureShown | None = None
    """How its picture was shown; None: not known."""
    zoomed: bool | None = None
    """Whether the person zoomed into it."""
    leased: bool = True
    """The card came from the queue; without that there is no lease to be late for (looking back)."""
    asked: bool = False
    """The person was shown a card that asked for their decision: where it does not any more, none is written."""


@dataclass(frozen=True, slots=True)
class DecisionResult:
    """What was written."""

    act: str
    """The act's id: what undo takes back as a whole."""
    candidate_id: int
    kind: Kind
    """What was done; of an undo: what was taken back."""
    standing: CandidateStatus
    seq: int
    """Of the act's last event."""
    child_id: int | None = None
    child: CandidateStatus | None = None
    """Of an edit: what becomes of the new text."""
    late: bool = False
    known: KnownAnswer | None = None
    """The candidate's answer, where that is known; to be told once there is a decision, never before."""
    candidates: int = 1
    """How many the act was about; more than one: a bulk, of which the other fields tell of the first one."""


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What a bulk has written."""

    act: str | None
    """None: there was nothing to write."""
    weighed: BulkPreview
    """As it was found when the decision was written, which the preview may not have known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """An event about to be appended."""

    candidate_id: int
    kind: Kind
    verdict: Kind | None = None
    reason: Reason | None = None
    cause: Cause | None = None
    note: str | None = None
    undo_of: int | None = None
    child_id: int | None = None
    late: bool = False


def _check_verdict(verdict: Kind, reason: Reason | None) -> None:
    if verdict not in (Kind.ACCEPT, Kind.REJECT):
        raise ValueError(f"{verdict} is no verdict")
    if (verdict is Kind.REJECT) != (reason is not None):
        raise ValueError("a rejection, and only a rejection, has a reason")


def _check_one_successor(events: Iterable[FoldEvent]) -> None:
    """See that a candidate has at most one successor: two people may edit or redo at the same time.

    Raises:
        Overtaken: it has two, or it was edited after it was taken back.
    """
    kinds = [event.kind for event in effective_events(events)]
    if kinds.count(Kind.EDIT) > 1:
        raise CardChanged("somebody has edited this caption meanwhile", hint="find the new text with /")
    if Kind.EDIT in kinds and Kind.WITHDRAW in kinds:
        raise CardChanged("this caption was taken back meanwhile", hint="find the one before it with /")


class DecisionWriter:
    """One person deciding. Not tied to any screen: the app, the demo's script and tests use the same methods."""

    def __init__(self, store: Store, actor: Actor, *, clock: leases.Clock = time.time) -> None:
        self._store = store
        self._actor = actor
        self._clock = clock

    def decide(
        self, candidate_id: int, kind: Kind, *, reason: Reason | None = None, shown: PresentationContext | None = None
    ) -> DecisionResult:
        """Accept, reject (with a reason), be unsure about or skip a candidate.

        Raises:
            ValueError: another kind, or a rejection without a reason.
            NoLongerQueued: it asked for this person when it was shown, and does not now; nothing was written.
            RecordError: there is no such candidate; nothing was written.
        """
        if kind not in _DECISIONS:
            raise ValueError(f"{kind} is no decision")
        if (kind is Kind.REJECT) != (reason is not None):
            raise ValueError("a rejection, and only a rejection, has a reason")
        entry = _Entry(candidate_id=candidate_id, kind=kind, reason=reason)
        with self._store.write() as connection:
            return self._settle(connection, [entry], shown or PresentationContext())

    def edit(
        self, candidate_id: int, new_text: str, *, concept: str | None = None, shown: PresentationContext | None = None
    ) -> DecisionResult:
        """Replace a candidate by a child with `new_text`; returns the act with the child's id.

        The text may stay as it is where `concept` mends what it is said to deny.

        Where one person decides alone the edit is also that person's accept; with two or more, another person
        decides about the child (DESIGN section 4). `concept`: what the new text denies; derived where not said.

        Raises:
            ValueError: the text is empty, or nothing is changed.
            NoLongerQueued: it asked for this person when it was shown, and does not now; nothing was written.
            RecordError: there is no such candidate; nothing was written.
        """
        with self._store.write() as connection:
            child_id = make_child(connection, candidate_id, new_text, concept, editor=self._actor.name)
            entries = [_Entry(candidate_id=candidate_id, kind=Kind.EDIT, child_id=child_id)]
            if works_alone(connection, self._actor.name):
                entries.append(_Entry(candidate_id=child_id, kind=Kind.ACCEPT))
            return replace(self._settle(connection, entries, shown or PresentationContext()), child_id=child_id)

    def note(self, candidate_id: int, words: str, *, shown: PresentationContext | None = None) -> DecisionResult:
        """Attach a note.

        Raises:
            ValueError: the note is empty.
        """
        kept = clean(words).strip()
        if not kept:
            raise ValueError("an empty note")
        return self._remark(_Entry(candidate_id=candidate_id, kind=Kind.NOTE, note=kept), shown)

    def toggle_flag(self, candidate_id: int, *, shown: PresentationContext | None = None) -> DecisionResult:
        """Flag a candidate, or take back this person's own flag where it stands."""
        with self._store.write() as connection:
            flag = event_log.own_flag(connection, candidate_id, self._actor.name)
            entry = _Entry(candidate_id=candidate_id, kind=Kind.FLAG)
            if flag is not None:
                entry = replace(entry, kind=Kind.UNDO, undo_of=flag)
            return self._append(connection, [entry], shown or PresentationContext())

    def flip(
        self,
        candidate_id: int,
        verdict: Kind,
        *,
        reason: Reason | None = None,
        shown: PresentationContext | None = None,
    ) -> DecisionResult:
        """Change one's mind after what the judges say was revealed: the label stays the event before it.

        Raises:
            ValueError: the verdict is neither accept nor reject, or its reason is missing.
            RecordError: this person has no vote here to change; nothing was written.
        """
        _check_verdict(verdict, reason)
        with self._store.write() as connection:
            if not event_log.has_vote(connection, candidate_id, self._actor.name):
                raise RecordError("there is no decision of yours to change", hint="decide first")
            entry = _Entry(candidate_id=candidate_id, kind=Kind.FLIP, verdict=verdict, reason=reason)
            return self._append(connection, [entry], shown or PresentationContext(leased=False))

    def adjudicate(
        self,
        candidate_id: int,
        verdict: Kind,
        *,
        reason: Reason | None = None,
        cause: Cause | None = None,
        note: str | None = None,
        shown: PresentationContext | None = None,
    ) -> DecisionResult:
        """An adjudicator's final word, whatever people voted; `cause`: why they disagreed.

        Raises:
            ValueError: the verdict is neither accept nor reject, or its reason is missing.
            RecordError: not an adjudicator, or no such candidate; nothing was written.
        """
        _check_verdict(verdict, reason)
        require_adjudicator(self._actor, "give a final word")
        entry = _Entry(
            candidate_id=candidate_id, kind=Kind.ADJUDICATE, verdict=verdict, reason=reason, cause=cause, note=note
        )
        with self._store.write() as connection:
            return self._settle(connection, [entry], shown or PresentationContext(leased=False))

    def requeue(self, candidate_id: int, *, note: str | None = None) -> DecisionResult:
        """Ask everybody anew: earlier votes no longer count. An adjudicator's, or one's own where one is alone.

        Raises:
            RecordError: not allowed, or no such candidate; nothing was written.
        """
        with self._store.write() as connection:
            if not works_alone(connection, self._actor.name):
                require_adjudicator(self._actor, "ask everybody anew")
            entry = _Entry(candidate_id=candidate_id, kind=Kind.REQUEUE, note=note)
            return self._append(connection, [entry], PresentationContext(leased=False))

    def decide_many(
        self,
        candidate_ids: Iterable[int],
        kind: Kind,
        *,
        reason: Reason | None = None,
        progress: Progress = _silent,
    ) -> BulkResult:
        """Accept, reject (with a reason) or requeue many at once: one act, in one transaction.

        What must not be touched (`weighing.Left`) is left out. Others who write wait meanwhile.

        Raises:
            ValueError: another kind, or a rejection without a reason.
            RecordError: too many, or not allowed; nothing was written.
        """
        if (kind is Kind.REJECT) != (reason is not None):
            raise ValueError("a rejection, and only a rejection, has a reason")
        with self._store.write() as connection:
            weighed = preview_decisions(connection, self._actor, candidate_ids, kind)
            if not weighed.changing:
                return BulkResult(None, weighed)
            entries = [_Entry(candidate_id=number, kind=kind, reason=reason) for number in weighed.votes]
            entries += [
                _Entry(candidate_id=number, kind=Kind.FLIP, verdict=kind, reason=reason) for number in weighed.flips
            ]
            leases.drop(connection, self._actor, [entry.candidate_id for entry in entries])
            return BulkResult(
                self._append_many(connection, entries, PresentationContext(leased=False), progress).act, weighed
            )

    def take_back(self, act: str) -> DecisionResult:
        """Take back an act by its id: one's own, or as an adjudicator anybody's. `redo` takes this back again.

        Raises:
            RecordError: no such act that stands, or somebody else's; nothing was written.
        """
        with self._store.write() as connection:
            found = event_log.effective_action(connection, act)
            if found is None:
                raise CardChanged("there is no such act that stands", hint="somebody has taken it back already")
            if found.actor != self._actor.name:
                require_adjudicator(self._actor, f"take back what {found.actor} did")
            return self._withdraw(connection, found)

    def undo(self) -> DecisionResult | None:
        """Take back this person's last act that still stands, and lease its card again; None: there is none."""
        with self._store.write() as connection:
            act = event_log.last_effective_action(connection, self._actor.name)
            return self._take_back(connection, act) if act else None

    def redo(self) -> DecisionResult | None:
        """Take back this person's last undo, unless something new was decided since; None: nothing to redo."""
        with self._store.write() as connection:
            act = event_log.last_redoable_undo(connection, self._actor.name)
            return self._take_back(connection, act) if act else None

    def _remark(self, entry: _Entry, shown: PresentationContext | None) -> DecisionResult:
        with self._store.write() as connection:
            return self._append(connection, [entry], shown or PresentationContext())

    def _settle(self, connection: Connection, entries: list[_Entry], shown: PresentationContext) -> DecisionResult:
        """Append a decision: late where its lease is gone, and the card leaves the person's hands."""
        candidate_id = entries[0].candidate_id
        if shown.asked:
            self._refuse_where_not_asked(connection, candidate_id, entries[0].kind)
        in_hand = leases.hand_in(connection, self._actor, candidate_id, clock=self._clock)
        late = shown.leased and not in_hand
        return self._append(connection, [replace(entry, late=late) for entry in entries], shown)

    def _refuse_where_not_asked(self, connection: Connection, candidate_id: int, kind: Kind) -> None:
        """See that the card still asks for this person's decision."""
        if asked(connection, [candidate_id], self._actor.annotator_id):
            return
        state = connection.execute(
            text("SELECT state FROM candidate_state WHERE candidate_id = :id"), {"id": candidate_id}
        ).scalar()
        if state != State.SUPERSEDED:
            raise NoLongerQueued(
                "this card was decided while you looked at it and needs no answer from you now; yours is not written",
                hint="] goes on; answer again to add yours, which may make the card contested",
            )
        if kind is not Kind.EDIT:  # of two edits `_check_one_successor` tells
            raise NoLongerQueued(
                "an edit replaced this caption while you looked at it; your answer is not written",
                hint="] goes on; / finds the new text",
            )

    def _take_back(self, connection: Connection, act: RecordedAction) -> DecisionResult:
        """Withdraw one's own act, and have its card in hand again."""
        done = self._withdraw(connection, act)
        if not act.bulk:
            leases.take(connection, self._actor, done.candidate_id, clock=self._clock)
        return done

    def _withdraw(self, connection: Connection, act: RecordedAction) -> DecisionResult:
        if self._actor.role is not Role.ADJUDICATOR:
            for event in act.events:
                self._may_withdraw(connection, event.child_id)
        entries = [_Entry(candidate_id=e.candidate_id, kind=Kind.UNDO, undo_of=e.seq) for e in act.events]
        shown = PresentationContext(stream=act.stream, blind=act.blind)
        if act.bulk:
            return replace(self._append_many(connection, entries, shown), kind=act.kind)
        entries += [
            _Entry(candidate_id=e.child_id, kind=Kind.WITHDRAW, note=EDIT_UNDONE) for e in act.events if e.child_id
        ]
        done = self._append(connection, entries, shown)
        return replace(done, kind=act.kind, child_id=act.events[0].child_id)

    def _append(self, connection: Connection, entries: list[_Entry], shown: PresentationContext) -> DecisionResult:
        touched = {entry.candidate_id for entry in entries} | {entry.child_id for entry in entries if entry.child_id}
        known = {number: known_answer(connection, number) for number in touched}
        uids = [uuid7() for _ in entries]
        for uid, entry in zip(uids, entries, strict=True):
            last = self._insert(connection, uid, uids[0], entry, shown, gold=self._is_answer(entry, known))
        standings: dict[int, CandidateStatus] = {}
        for number in touched:
            events = events_of(connection, number)
            _check_one_successor(events)
            standings[number] = write_state(connection, number, events, known[number])
        first = entries[0]
        return DecisionResult(
            uids[0],
            first.candidate_id,
            first.kind,
            standings[first.candidate_id],
            last,
            late=first.late,
            known=known[first.candidate_id],
            child=standings[first.child_id] if first.child_id else None,
        )

    def _append_many(
        self, connection: Connection, entries: list[_Entry], shown: PresentationContext, progress: Progress = _silent
    ) -> DecisionResult:
        """As `_append`, for many candidates that are there, each once, and none of them edited by this."""
        act, first, now = uuid7(), event_clock.next_event_seq(connection), utc_now()
        uids = chain([act], (uuid7() for _ in entries))
        for at, part in enumerate(batches(entries, BATCH)):
            start = first + at * BATCH
            pairs = zip(part, uids, strict=False)  # more of the second, which go on in the next part
            rows = [self._row(seq, uid, act, entry, shown, now) for seq, (entry, uid) in enumerate(pairs, start)]
            connection.exec_driver_sql(_INSERT, rows)
            update_states(connection, [entry.candidate_id for entry in part])
            progress(min(len(entries), (at + 1) * BATCH), len(entries))
        lead, last = entries[0], first + len(entries) - 1
        standing = update_state(connection, lead.candidate_id)
        return DecisionResult(act, lead.candidate_id, lead.kind, standing, last, candidates=len(entries))

    def _may_withdraw(self, connection: Connection, child_id: int | None) -> None:
        """An edit that somebody else has decided about is not one's own to take back any more."""
        other = event_log.other_decider(connection, child_id, self._actor.name) if child_id else None
        if other is not None:
            raise CardChanged(
                f"{other} has decided about your edit since",
                hint="only an adjudicator can take that back; [ looks back",
            )

    def _is_answer(self, entry: _Entry, known: Mapping[int, KnownAnswer | None]) -> bool:
        """Whether the entry answers a candidate whose answer is known: then it is no vote, however the card came."""
        return entry.kind in _ANSWERS and self._actor.role in _PEOPLE and known[entry.candidate_id] is not None

    def _insert(
        self, connection: Connection, uid: str, act: str, entry: _Entry, shown: PresentationContext, *, gold: bool
    ) -> int:
        row = connection.execute(text("SELECT 1 FROM candidate WHERE id = :id"), {"id": entry.candidate_id}).first()
        if row is None:
            raise RecordError(f"there is no candidate {entry.candidate_id}")
        seq = event_clock.next_event_seq(connection)  # not SQLite's own count: exports take numbers too
        connection.exec_driver_sql(_INSERT, self._row(seq, uid, act, entry, shown, utc_now(), gold=gold))
        return seq

    def _row(
        self, seq: int, uid: str, act: str, entry: _Entry, shown: PresentationContext, now: str, *, gold: bool = False
    ) -> tuple[Any, ...]:
        """In the order of `_COLUMNS`; positional, because a bulk writes a hundred thousand of them."""
        # fmt: off
        return (
            seq, uid, act, entry.candidate_id, self._actor.name, self._actor.role, self._actor.session, shown.stream,
            shown.blind, entry.kind, entry.verdict, entry.reason, entry.cause, entry.note, entry.undo_of,
            entry.child_id, entry.late, shown.elapsed_ms, now, gold,
            shown.picture, shown.zoomed,
        )
        # fmt: on
