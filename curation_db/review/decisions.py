"""Decisions: the ONLY writer of events.

Every method is one transaction that appends events, folds the affected candidates again and moves them in the queue.
When it returns, the decision is on disk. Events are never changed or deleted: an undo is an event, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from sqlalchemy import Connection, bindparam, text

from curation_db.enums import PROBES, Cause, Kind, PersonRole, PictureShown, Reason, Role, State, Stream
from curation_db.errors import CardChanged, NoLongerQueued, RecordError
from curation_db.events import event_clock, event_log
from curation_db.events.annotator_status import works_alone
from curation_db.events.annotators import Actor, require_adjudicator
from curation_db.events.event_log import RecordedAction
from curation_db.events.history_cache import BATCH, events_of, fold_events, histories
from curation_db.events.state import CandidateStatus, FoldEvent, accepts_as_policy, effective_events
from curation_db.language.sanitize import clean
from curation_db.queue import leases
from curation_db.queue.claims import still_queued_for
from curation_db.queue.gold import KnownAnswer, known_answer
from curation_db.review.bulk_preview import BulkPreview, preview_decisions
from curation_db.review.edits import make_child
from curation_db.review.state_table import update_state, update_states, write_state
from curation_db.storage.ids import utc_now, uuid7
from curation_db.storage.sqlite import batches
from curation_db.storage.store import Store

EDIT_UNDONE = "edit undone"
"""Note of the withdrawal that retires an edit's child when the edit is undone."""

# fmt: off
_COLUMNS = (
    "seq", "uid", "act", "candidate_id", "actor", "role", "session", "stream", "blind", "kind", "verdict", "reason",
    "cause", "note", "undo_of", "child_id", "late", "elapsed_ms", "at", "gold",
    "picture", "zoomed",
)
# fmt: on
_INSERT = f"INSERT INTO event({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
Progress = Callable[[int, int], None]
"""Callback with the number of events written and their total."""


def _silent(_done: int, _total: int) -> None:
    """Report nothing."""


_DECISIONS = frozenset({Kind.ACCEPT, Kind.REJECT, Kind.UNSURE, Kind.SKIP})
_MOVES_SEVERAL = frozenset({Kind.EDIT, Kind.UNDO})
"""Kinds of actions that may change the states of two candidates."""
_ANSWERS = _DECISIONS | {Kind.FLIP}
"""Kinds that answer a gold item and then count as no vote."""
_PEOPLE = frozenset(map(Role, PersonRole))


@dataclass(frozen=True, slots=True)
class PresentationContext:
    """How a card was shown when the annotator decided."""

    stream: Stream = Stream.REVIEW
    blind: bool = False
    elapsed_ms: int | None = None
    """Time on the card, in milliseconds."""
    picture: PictureShown | None = None
    """How its image was shown; None: not known."""
    zoomed: bool | None = None
    """Whether the annotator zoomed into the image."""
    leased: bool = True
    """Whether the card came from the queue; a card from the history has no lease, so a decision on it is never late."""
    must_be_queued: bool = False
    """Whether the decision is refused when the card is no longer queued for the annotator."""


@dataclass(frozen=True, slots=True)
class StateChange:
    """The state of a candidate before and after an action."""

    before: State | None
    """None: the action created the candidate."""
    after: State
    audit: bool
    gold: bool


@dataclass(frozen=True, slots=True)
class DecisionResult:
    action_id: str
    """The action that undo reverses as a whole."""
    candidate_id: int
    kind: Kind
    """The kind of the action; for an undo, the kind of the action that it reversed."""
    status: CandidateStatus
    seq: int
    """Sequence number of the action's last event."""
    child_id: int | None = None
    child: CandidateStatus | None = None
    """Status of the child of an edit."""
    late: bool = False
    known: KnownAnswer | None = None
    """The known answer of a gold item; shown after the decision, never before."""
    candidates: int = 1
    """Number of candidates of the action. Above 1 (a bulk decision), the other fields describe the first candidate."""
    changes: tuple[StateChange, ...] = ()
    """Of an edit, an undo or a redo that is no bulk decision: the changes of the candidate and of the edit's child."""


@dataclass(frozen=True, slots=True)
class BulkResult:
    action_id: str | None
    """None: there was nothing to write."""
    preview: BulkPreview
    """Computed in the transaction that decided; may differ from the preview that the annotator saw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _NewEvent:
    candidate_id: int
    kind: Kind
    verdict: Kind | None = None
    reason: Reason | None = None
    cause: Cause | None = None
    note: str | None = None
    undo_of: int | None = None
    child_id: int | None = None
    late: bool = False


def _states(connection: Connection, candidate_ids: Iterable[int]) -> dict[int, tuple[State, bool]]:
    """Return the state of each candidate, and whether it is of the audit set."""
    rows = connection.execute(
        text("""SELECT s.candidate_id, s.state, c.audit FROM candidate_state s JOIN candidate c ON c.id = s.candidate_id
                WHERE s.candidate_id IN :ids""").bindparams(bindparam("ids", expanding=True)),
        {"ids": list(candidate_ids)},
    )
    return {row.candidate_id: (State(row.state), bool(row.audit)) for row in rows}


def _check_verdict(verdict: Kind, reason: Reason | None) -> None:
    if verdict not in (Kind.ACCEPT, Kind.REJECT):
        raise ValueError(f"{verdict} is not accept or reject")
    if (verdict is Kind.REJECT) != (reason is not None):
        raise ValueError("a rejection needs a reason, and other decisions take none")


def _check_one_successor(events: Iterable[FoldEvent]) -> None:
    """Check that a candidate has at most one successor: two annotators may edit or redo at the same time.

    Raises:
        CardChanged: it has two, or it was edited after its own edit was undone.
    """
    kinds = [event.kind for event in effective_events(events)]
    if kinds.count(Kind.EDIT) > 1:
        raise CardChanged("another annotator has edited this caption meanwhile", hint="find the new text with /")
    if Kind.EDIT in kinds and Kind.WITHDRAW in kinds:
        raise CardChanged(
            "the edit that wrote this caption was undone meanwhile", hint="find the caption before it with /"
        )


class DecisionWriter:
    """Writes the decisions of one annotator. The app, the plain mode, the demo and tests use the same methods."""

    def __init__(self, store: Store, actor: Actor, *, clock: leases.Clock = time.time) -> None:
        self._store = store
        self._actor = actor
        self._clock = clock

    def decide(
        self, candidate_id: int, kind: Kind, *, reason: Reason | None = None, shown: PresentationContext | None = None
    ) -> DecisionResult:
        """Accept, reject (with a reason), be unsure about or skip a candidate.

        Raises:
            ValueError: `kind` is another kind, or a rejection has no reason.
            NoLongerQueued: `shown.must_be_queued`, and the card is no longer queued; nothing was written.
            RecordError: there is no such candidate; nothing was written.
        """
        if kind not in _DECISIONS:
            raise ValueError(f"{kind} is not accept, reject, unsure or skip")
        if (kind is Kind.REJECT) != (reason is not None):
            raise ValueError("a rejection needs a reason, and other decisions take none")
        entry = _NewEvent(candidate_id=candidate_id, kind=kind, reason=reason)
        with self._store.write() as connection:
            return self._settle(connection, [entry], shown or PresentationContext())

    def edit(
        self, candidate_id: int, new_text: str, *, concept: str | None = None, shown: PresentationContext | None = None
    ) -> DecisionResult:
        """Replace a candidate by a child with `new_text`; the result holds the child's id.

        Where one annotator works alone, the edit is also their accept of the child. With two or more, another
        annotator decides about the child. The text may stay unchanged where `concept` corrects the negated concept.

        Args:
            concept: The concept that the new text negates; None: derive it from the text.

        Raises:
            ValueError: the text is empty, or nothing is changed.
            NoLongerQueued: `shown.must_be_queued`, and the card is no longer queued; nothing was written.
            RecordError: there is no such candidate; nothing was written.
        """
        with self._store.write() as connection:
            child_id = make_child(connection, candidate_id, new_text, concept, editor=self._actor.name)
            entries = [_NewEvent(candidate_id=candidate_id, kind=Kind.EDIT, child_id=child_id)]
            if works_alone(connection, self._actor.name):
                entries.append(_NewEvent(candidate_id=child_id, kind=Kind.ACCEPT))
            return replace(self._settle(connection, entries, shown or PresentationContext()), child_id=child_id)

    def note(self, candidate_id: int, note: str, *, shown: PresentationContext | None = None) -> DecisionResult:
        """Attach a note.

        Raises:
            ValueError: the note is empty.
        """
        cleaned = clean(note).strip()
        if not cleaned:
            raise ValueError("the note is empty")
        entry = _NewEvent(candidate_id=candidate_id, kind=Kind.NOTE, note=cleaned)
        with self._store.write() as connection:
            return self._append(connection, [entry], shown or PresentationContext())

    def answer_probe(
        self, candidate_id: int, kind: Kind, sentence: str, is_true: bool, *, shown: PresentationContext | None = None
    ) -> DecisionResult:
        """Store whether a sentence derived from an accepted caption is true of the image. It is no vote.

        Raises:
            ValueError: `kind` is not a kind of `PROBES`, or the sentence is empty.
            RecordError: there is no such candidate; nothing was written.
        """
        cleaned = clean(sentence).strip()
        if kind not in PROBES or not cleaned:
            raise ValueError(f"{kind} is no answer to a probe, or the sentence is empty")
        verdict = Kind.ACCEPT if is_true else Kind.REJECT
        entry = _NewEvent(candidate_id=candidate_id, kind=kind, verdict=verdict, note=cleaned)
        with self._store.write() as connection:
            return self._append(connection, [entry], shown or PresentationContext(leased=False))

    def toggle_flag(self, candidate_id: int, *, shown: PresentationContext | None = None) -> DecisionResult:
        """Flag a candidate, or undo this annotator's own flag."""
        with self._store.write() as connection:
            flag = event_log.own_flag(connection, candidate_id, self._actor.name)
            entry = _NewEvent(candidate_id=candidate_id, kind=Kind.FLAG)
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
        """Change a vote after the verdicts were revealed. The audit label remains the vote before it.

        Raises:
            ValueError: the verdict is neither accept nor reject, or its reason is missing.
            RecordError: this annotator has no vote to change; nothing was written.
        """
        _check_verdict(verdict, reason)
        with self._store.write() as connection:
            if not event_log.has_vote(connection, candidate_id, self._actor.name):
                raise RecordError("there is no decision of yours to change", hint="decide first")
            entry = _NewEvent(candidate_id=candidate_id, kind=Kind.FLIP, verdict=verdict, reason=reason)
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
        """Settle a candidate as an adjudicator, whatever the votes; `cause` says why annotators disagreed.

        Raises:
            ValueError: the verdict is neither accept nor reject, or its reason is missing.
            RecordError: not an adjudicator, or no such candidate; nothing was written.
        """
        _check_verdict(verdict, reason)
        require_adjudicator(self._actor, "adjudicate")
        entry = _NewEvent(
            candidate_id=candidate_id, kind=Kind.ADJUDICATE, verdict=verdict, reason=reason, cause=cause, note=note
        )
        with self._store.write() as connection:
            return self._settle(connection, [entry], shown or PresentationContext(leased=False))

    def requeue(self, candidate_id: int, *, note: str | None = None) -> DecisionResult:
        """Queue a candidate again for every annotator; earlier votes no longer count.

        Only an adjudicator may do this, or an annotator who works alone.

        Raises:
            RecordError: not allowed, or no such candidate; nothing was written.
        """
        with self._store.write() as connection:
            if not works_alone(connection, self._actor.name):
                require_adjudicator(self._actor, "reopen a candidate")
            entry = _NewEvent(candidate_id=candidate_id, kind=Kind.REQUEUE, note=note)
            return self._append(connection, [entry], PresentationContext(leased=False))

    def decide_many(
        self,
        candidate_ids: Iterable[int],
        kind: Kind,
        *,
        reason: Reason | None = None,
        progress: Progress = _silent,
    ) -> BulkResult:
        """Accept, reject (with a reason) or requeue many candidates as one action in one transaction.

        Candidates that must not change are skipped (`bulk_preview.SkipReason`). Other writers wait meanwhile.

        Raises:
            ValueError: `kind` is another kind, or a rejection has no reason.
            RecordError: too many candidates, or not allowed; nothing was written.
        """
        if (kind is Kind.REJECT) != (reason is not None):
            raise ValueError("a rejection needs a reason, and other decisions take none")
        with self._store.write() as connection:
            preview = preview_decisions(connection, self._actor, candidate_ids, kind)
            if not preview.changing:
                return BulkResult(None, preview)
            entries = [_NewEvent(candidate_id=number, kind=kind, reason=reason) for number in preview.votes]
            entries += [
                _NewEvent(candidate_id=number, kind=Kind.FLIP, verdict=kind, reason=reason) for number in preview.flips
            ]
            leases.drop(connection, self._actor, [entry.candidate_id for entry in entries])
            done = self._append_many(connection, entries, PresentationContext(leased=False), progress)
            return BulkResult(done.action_id, preview)

    def withdraw_many(self, candidate_ids: Iterable[int]) -> int:
        """Withdraw this policy's acceptances of these candidates; return how many, at most the distinct ids.

        Raises:
            ValueError: the actor is not a policy.
        """
        if self._actor.role is not Role.POLICY:
            raise ValueError("only a policy withdraws its acceptances")
        with self._store.write() as connection:
            numbers = [
                number
                for number, history in histories(connection, sorted(set(candidate_ids)))
                if accepts_as_policy(effective_events(fold_events(history)), self._actor.name)
            ]
            if numbers:
                entries = [_NewEvent(candidate_id=number, kind=Kind.WITHDRAW) for number in numbers]
                self._append_many(connection, entries, PresentationContext(leased=False))
            return len(numbers)

    def take_back(self, action_id: str) -> DecisionResult:
        """Undo an action by its id; an adjudicator may undo the actions of others. `redo` reverses this undo.

        Raises:
            RecordError: the action is not found or already undone, or another annotator's; nothing was written.
        """
        with self._store.write() as connection:
            action = event_log.effective_action(connection, action_id)
            if action is None:
                raise CardChanged("the action is not found or already undone", hint="see who did it: negwb history")
            if action.actor != self._actor.name:
                require_adjudicator(self._actor, f"undo what {action.actor} did")
            return self._withdraw(connection, action)

    def undo(self) -> DecisionResult | None:
        """Undo this annotator's last action in effect and lease its card again; return None where there is none."""
        with self._store.write() as connection:
            action = event_log.last_effective_action(connection, self._actor.name)
            return self._take_back(connection, action) if action else None

    def redo(self) -> DecisionResult | None:
        """Reverse this annotator's last undo, unless a decision followed it; return None where there is none."""
        with self._store.write() as connection:
            action = event_log.last_redoable_undo(connection, self._actor.name)
            return self._take_back(connection, action) if action else None

    def _settle(self, connection: Connection, entries: list[_NewEvent], shown: PresentationContext) -> DecisionResult:
        """Append a decision and end its card's lease; mark it late where the lease was no longer valid."""
        candidate_id = entries[0].candidate_id
        if shown.must_be_queued:
            self._check_still_queued(connection, candidate_id, entries[0].kind)
        lease_valid = leases.end(connection, self._actor, candidate_id, clock=self._clock)
        late = shown.leased and not lease_valid
        return self._append(connection, [replace(entry, late=late) for entry in entries], shown)

    def _check_still_queued(self, connection: Connection, candidate_id: int, kind: Kind) -> None:
        """Raise NoLongerQueued where the card is no longer queued for this annotator."""
        if still_queued_for(connection, [candidate_id], self._actor.annotator_id):
            return
        state = connection.execute(
            text("SELECT state FROM candidate_state WHERE candidate_id = :id"), {"id": candidate_id}
        ).scalar()
        if state != State.SUPERSEDED:
            raise NoLongerQueued(
                "this card was decided while you viewed it and needs no more decisions; yours is not written",
                hint="] goes on; decide again to add yours, which may make the card contested",
            )
        if kind is not Kind.EDIT:  # `_check_one_successor` reports two edits
            raise NoLongerQueued(
                "an edit replaced this caption while you viewed it; your decision is not written",
                hint="] goes on; / finds the new text",
            )

    def _take_back(self, connection: Connection, action: RecordedAction) -> DecisionResult:
        """Undo the annotator's own action and lease its card again."""
        done = self._withdraw(connection, action)
        if not action.bulk:
            leases.take(connection, self._actor, done.candidate_id, clock=self._clock)
        return done

    def _withdraw(self, connection: Connection, action: RecordedAction) -> DecisionResult:
        if self._actor.role is not Role.ADJUDICATOR:
            for event in action.events:
                self._check_not_decided_by_others(connection, event.child_id)
        entries = [_NewEvent(candidate_id=e.candidate_id, kind=Kind.UNDO, undo_of=e.seq) for e in action.events]
        shown = PresentationContext(stream=action.stream, blind=action.blind)
        if action.bulk:
            return replace(self._append_many(connection, entries, shown), kind=action.kind)
        entries += [
            _NewEvent(candidate_id=e.child_id, kind=Kind.WITHDRAW, note=EDIT_UNDONE)
            for e in action.events
            if e.child_id
        ]
        done = self._append(connection, entries, shown)
        return replace(done, kind=action.kind, child_id=action.events[0].child_id)

    def _append(self, connection: Connection, entries: list[_NewEvent], shown: PresentationContext) -> DecisionResult:
        touched = {entry.candidate_id for entry in entries} | {entry.child_id for entry in entries if entry.child_id}
        known = {number: known_answer(connection, number) for number in touched}
        before = _states(connection, touched) if entries[0].kind in _MOVES_SEVERAL else {}
        uids = [uuid7() for _ in entries]
        for uid, entry in zip(uids, entries, strict=True):
            last = self._insert(connection, uid, uids[0], entry, shown, gold=self._is_answer(entry, known))
        statuses: dict[int, CandidateStatus] = {}
        for number in touched:
            events = events_of(connection, number)
            _check_one_successor(events)
            statuses[number] = write_state(connection, number, events, known[number])
        first = entries[0]
        return DecisionResult(
            uids[0],
            first.candidate_id,
            first.kind,
            statuses[first.candidate_id],
            last,
            late=first.late,
            known=known[first.candidate_id],
            child=statuses[first.child_id] if first.child_id else None,
            changes=tuple(
                StateChange(
                    None if first.kind is Kind.EDIT and number == first.child_id else state,
                    statuses[number].state,
                    audit,
                    known[number] is not None,
                )
                for number, (state, audit) in before.items()
            ),
        )

    def _append_many(
        self, connection: Connection, entries: list[_NewEvent], shown: PresentationContext, progress: Progress = _silent
    ) -> DecisionResult:
        """Append like `_append`, for many distinct candidates that exist; none of the entries is an edit."""
        action_id, first, now = uuid7(), event_clock.next_event_seq(connection), utc_now()
        uids = chain([action_id], (uuid7() for _ in entries))
        for at, part in enumerate(batches(entries, BATCH)):
            start = first + at * BATCH
            pairs = zip(part, uids, strict=False)  # the next batch takes the rest of `uids`
            rows = [self._row(seq, uid, action_id, entry, shown, now) for seq, (entry, uid) in enumerate(pairs, start)]
            connection.exec_driver_sql(_INSERT, rows)
            update_states(connection, [entry.candidate_id for entry in part])
            progress(min(len(entries), (at + 1) * BATCH), len(entries))
        lead, last = entries[0], first + len(entries) - 1
        status = update_state(connection, lead.candidate_id)
        return DecisionResult(action_id, lead.candidate_id, lead.kind, status, last, candidates=len(entries))

    def _check_not_decided_by_others(self, connection: Connection, child_id: int | None) -> None:
        """Raise CardChanged where another annotator has decided about the edit's child."""
        other = event_log.other_decider(connection, child_id, self._actor.name) if child_id else None
        if other is not None:
            raise CardChanged(
                f"{other} has decided about your edit since",
                hint="only an adjudicator can undo that edit; [ goes back",
            )

    def _is_answer(self, entry: _NewEvent, known: Mapping[int, KnownAnswer | None]) -> bool:
        """Return whether the entry answers a gold item: then it is no vote, wherever the card came from."""
        return entry.kind in _ANSWERS and self._actor.role in _PEOPLE and known[entry.candidate_id] is not None

    def _insert(
        self,
        connection: Connection,
        uid: str,
        action_id: str,
        entry: _NewEvent,
        shown: PresentationContext,
        *,
        gold: bool,
    ) -> int:
        row = connection.execute(text("SELECT 1 FROM candidate WHERE id = :id"), {"id": entry.candidate_id}).first()
        if row is None:
            raise RecordError(f"there is no candidate {entry.candidate_id}")
        seq = event_clock.next_event_seq(connection)  # not SQLite's own counter: exports reserve numbers, too
        connection.exec_driver_sql(_INSERT, self._row(seq, uid, action_id, entry, shown, utc_now(), gold=gold))
        return seq

    def _row(
        self,
        seq: int,
        uid: str,
        action_id: str,
        entry: _NewEvent,
        shown: PresentationContext,
        now: str,
        *,
        gold: bool = False,
    ) -> tuple[Any, ...]:
        """Return the values in the order of `_COLUMNS`; a tuple, because a bulk decision writes up to 100,000."""
        # fmt: off
        return (
            seq, uid, action_id, entry.candidate_id, self._actor.name, self._actor.role, self._actor.session,
            shown.stream, shown.blind, entry.kind, entry.verdict, entry.reason, entry.cause, entry.note, entry.undo_of,
            entry.child_id, entry.late, shown.elapsed_ms, now, gold,
            shown.picture, shown.zoomed,
        )
        # fmt: on
