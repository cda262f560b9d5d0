"""Decisions: the ONLY writer of events.

Every method is one transaction that appends events, folds the candidates they concern anew and moves them in the
queue; when it returns, the decision is on the disk. Nothing is ever changed or deleted: undo appends.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection, text

from curation_db import history, leases, moments
from curation_db.candidates import Draft, Intake, insert_candidates
from curation_db.concepts import derive_concept
from curation_db.errors import RecordError
from curation_db.fold import Standing, effective
from curation_db.gold import Known, known_answer
from curation_db.history import Act
from curation_db.identity import utc_now, uuid7
from curation_db.people import Actor, people
from curation_db.standing import events_of, refold
from curation_db.store import Store
from curation_db.text import clean
from curation_db.words import Kind, Reason, Role, Stream

EDIT_UNDONE = "edit undone"
"""The note of the withdrawal that takes a child out of play together with its edit."""

_DECISIONS = frozenset({Kind.ACCEPT, Kind.REJECT, Kind.UNSURE, Kind.SKIP})
_ANSWERS = _DECISIONS | {Kind.FLIP}
"""What counts as an answer, and as no vote, where the right one is known."""
_PEOPLE = frozenset({Role.ANNOTATOR, Role.ADJUDICATOR})


@dataclass(frozen=True, slots=True)
class Shown:
    """How a card stood before the person when the decision came."""

    stream: Stream = Stream.REVIEW
    blind: bool = False
    elapsed_ms: int | None = None
    """Time on the card."""
    leased: bool = True
    """The card came from the queue; without that there is no lease to be late for (looking back)."""


@dataclass(frozen=True, slots=True)
class Done:
    """What was written."""

    act: str
    """The act's id: what undo takes back as a whole."""
    candidate_id: int
    kind: Kind
    """What was done; of an undo: what was taken back."""
    standing: Standing
    seq: int
    """Of the act's last event."""
    child_id: int | None = None
    late: bool = False
    known: Known | None = None
    """The candidate's answer, where that is known; to be told once there is a decision, never before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """An event about to be appended."""

    candidate_id: int
    kind: Kind
    verdict: Kind | None = None
    reason: Reason | None = None
    note: str | None = None
    undo_of: int | None = None
    child_id: int | None = None
    late: bool = False


def _check_verdict(verdict: Kind, reason: Reason | None) -> None:
    if verdict not in (Kind.ACCEPT, Kind.REJECT):
        raise ValueError(f"{verdict} is no verdict")
    if (verdict is Kind.REJECT) != (reason is not None):
        raise ValueError("a rejection, and only a rejection, has a reason")


class Reviewer:
    """One person deciding. Not tied to any screen: the app, the demo's script and tests use the same methods."""

    def __init__(self, store: Store, actor: Actor) -> None:
        self._store = store
        self._actor = actor

    def decide(
        self, candidate_id: int, kind: Kind, *, reason: Reason | None = None, shown: Shown | None = None
    ) -> Done:
        """Accept, reject (with a reason), be unsure about or skip a candidate.

        Raises:
            ValueError: another kind, or a rejection without a reason.
            RecordError: there is no such candidate; nothing was written.
        """
        if kind not in _DECISIONS:
            raise ValueError(f"{kind} is no decision")
        if (kind is Kind.REJECT) != (reason is not None):
            raise ValueError("a rejection, and only a rejection, has a reason")
        entry = _Entry(candidate_id=candidate_id, kind=kind, reason=reason)
        with self._store.write() as connection:
            return self._settle(connection, [entry], shown or Shown())

    def edit(self, candidate_id: int, new_text: str, *, concept: str | None = None, shown: Shown | None = None) -> Done:
        """Replace a candidate by a child with `new_text`; returns the act with the child's id.

        The text may stay as it is where `concept` mends what it is said to deny.

        Where one person decides alone the edit is also that person's accept; with two or more, another person
        decides about the child (DESIGN section 4). `concept`: what the new text denies; derived where not said.

        Raises:
            ValueError: the text is empty, or nothing is changed.
            RecordError: there is no such candidate; nothing was written.
        """
        with self._store.write() as connection:
            child_id = self._make_child(connection, candidate_id, new_text, concept)
            entries = [_Entry(candidate_id=candidate_id, kind=Kind.EDIT, child_id=child_id)]
            if people(connection) == 1:
                entries.append(_Entry(candidate_id=child_id, kind=Kind.ACCEPT))
            return replace(self._settle(connection, entries, shown or Shown()), child_id=child_id)

    def note(self, candidate_id: int, words: str, *, shown: Shown | None = None) -> Done:
        """Attach a note.

        Raises:
            ValueError: the note is empty.
        """
        kept = clean(words).strip()
        if not kept:
            raise ValueError("an empty note")
        return self._remark(_Entry(candidate_id=candidate_id, kind=Kind.NOTE, note=kept), shown)

    def toggle_flag(self, candidate_id: int, *, shown: Shown | None = None) -> Done:
        """Flag a candidate, or take back this person's own flag where it stands."""
        with self._store.write() as connection:
            flag = history.own_flag(connection, candidate_id, self._actor.name)
            entry = _Entry(candidate_id=candidate_id, kind=Kind.FLAG)
            if flag is not None:
                entry = replace(entry, kind=Kind.UNDO, undo_of=flag)
            return self._append(connection, [entry], shown or Shown())

    def flip(
        self, candidate_id: int, verdict: Kind, *, reason: Reason | None = None, shown: Shown | None = None
    ) -> Done:
        """Change one's mind after what the judges say was revealed: the label stays the event before it.

        Raises:
            ValueError: the verdict is neither accept nor reject, or its reason is missing.
            RecordError: this person has no vote here to change; nothing was written.
        """
        _check_verdict(verdict, reason)
        with self._store.write() as connection:
            if not history.has_vote(connection, candidate_id, self._actor.name):
                raise RecordError("there is no decision of yours to change", hint="decide first")
            entry = _Entry(candidate_id=candidate_id, kind=Kind.FLIP, verdict=verdict, reason=reason)
            return self._append(connection, [entry], shown or Shown(leased=False))

    def adjudicate(
        self,
        candidate_id: int,
        verdict: Kind,
        *,
        reason: Reason | None = None,
        note: str | None = None,
        shown: Shown | None = None,
    ) -> Done:
        """An adjudicator's final word, whatever people voted.

        Raises:
            ValueError: the verdict is neither accept nor reject, or its reason is missing.
            RecordError: not an adjudicator, or no such candidate; nothing was written.
        """
        _check_verdict(verdict, reason)
        self._need_adjudicator("give a final word")
        entry = _Entry(candidate_id=candidate_id, kind=Kind.ADJUDICATE, verdict=verdict, reason=reason, note=note)
        with self._store.write() as connection:
            return self._settle(connection, [entry], shown or Shown(leased=False))

    def requeue(self, candidate_id: int, *, note: str | None = None) -> Done:
        """Ask everybody anew: earlier votes no longer count. An adjudicator's, or one's own where one is alone.

        Raises:
            RecordError: not allowed, or no such candidate; nothing was written.
        """
        with self._store.write() as connection:
            if people(connection) > 1:
                self._need_adjudicator("ask everybody anew")
            entry = _Entry(candidate_id=candidate_id, kind=Kind.REQUEUE, note=note)
            return self._append(connection, [entry], Shown(leased=False))

    def take_back(self, act: str) -> Done:
        """Take back an act by its id: one's own, or as an adjudicator anybody's. `redo` takes this back again.

        Raises:
            RecordError: no such act that stands, or somebody else's; nothing was written.
        """
        with self._store.write() as connection:
            found = history.standing_act(connection, act)
            if found is None:
                raise RecordError("there is no such act that stands", hint="somebody has taken it back already")
            if found.actor != self._actor.name:
                self._need_adjudicator(f"take back what {found.actor} did")
            return self._withdraw(connection, found)

    def undo(self) -> Done | None:
        """Take back this person's last act that still stands, and lease its card again; None: there is none."""
        with self._store.write() as connection:
            act = history.last_standing_act(connection, self._actor.name)
            return self._take_back(connection, act) if act else None

    def redo(self) -> Done | None:
        """Take back this person's last undo, unless something new was decided since; None: nothing to redo."""
        with self._store.write() as connection:
            act = history.last_redoable_undo(connection, self._actor.name)
            return self._take_back(connection, act) if act else None

    def _remark(self, entry: _Entry, shown: Shown | None) -> Done:
        with self._store.write() as connection:
            return self._append(connection, [entry], shown or Shown())

    def _settle(self, connection: Connection, entries: list[_Entry], shown: Shown) -> Done:
        """Append a decision: late where its lease is gone, and the card leaves the person's hands."""
        candidate_id = entries[0].candidate_id
        in_hand = leases.hand_in(connection, self._actor, candidate_id)
        late = shown.leased and not in_hand
        return self._append(connection, [replace(entry, late=late) for entry in entries], shown)

    def _need_adjudicator(self, deed: str) -> None:
        if self._actor.role is not Role.ADJUDICATOR:
            raise RecordError(f"only an adjudicator can {deed}", hint="sit down as one: --role adjudicator")

    def _take_back(self, connection: Connection, act: Act) -> Done:
        """Withdraw one's own act, and have its card in hand again."""
        done = self._withdraw(connection, act)
        leases.take(connection, self._actor, done.candidate_id)
        return done

    def _withdraw(self, connection: Connection, act: Act) -> Done:
        if self._actor.role is not Role.ADJUDICATOR:
            for event in act.events:
                self._may_withdraw(connection, event.child_id)
        entries = [_Entry(candidate_id=e.candidate_id, kind=Kind.UNDO, undo_of=e.seq) for e in act.events]
        entries += [
            _Entry(candidate_id=e.child_id, kind=Kind.WITHDRAW, note=EDIT_UNDONE) for e in act.events if e.child_id
        ]
        done = self._append(connection, entries, Shown(stream=act.stream, blind=act.blind))
        return replace(done, kind=act.kind, child_id=act.events[0].child_id)

    def _append(self, connection: Connection, entries: list[_Entry], shown: Shown) -> Done:
        uids = [uuid7() for _ in entries]
        for uid, entry in zip(uids, entries, strict=True):
            last = self._insert(connection, uid, uids[0], entry, shown)
        touched = {entry.candidate_id for entry in entries} | {entry.child_id for entry in entries if entry.child_id}
        standings = {number: refold(connection, number) for number in touched}
        for number in touched:
            self._one_successor(connection, number)
        first = entries[0]
        known = known_answer(connection, first.candidate_id)
        return Done(
            uids[0], first.candidate_id, first.kind, standings[first.candidate_id], last, late=first.late, known=known
        )

    def _may_withdraw(self, connection: Connection, child_id: int | None) -> None:
        """An edit that somebody else has decided about is not one's own to take back any more."""
        other = history.others_decided(connection, child_id, self._actor.name) if child_id else None
        if other is not None:
            raise RecordError(
                f"{other} has decided about your edit since",
                hint="only an adjudicator can take that back; [ looks back",
            )

    def _one_successor(self, connection: Connection, candidate_id: int) -> None:
        """Whoever edits or redoes at the same time: a candidate in play has one successor at most, another none."""
        kinds = [event.kind for event in effective(events_of(connection, candidate_id))]
        if kinds.count(Kind.EDIT) > 1:
            raise RecordError("somebody has edited this caption meanwhile", hint="find the new text with /")
        if Kind.EDIT in kinds and Kind.WITHDRAW in kinds:
            raise RecordError("this caption was taken back meanwhile", hint="find the one before it with /")

    def _is_answer(self, connection: Connection, entry: _Entry) -> bool:
        """Whether this says what is known already, however the card came: then it is no vote."""
        asked = entry.kind in _ANSWERS and self._actor.role in _PEOPLE
        return asked and known_answer(connection, entry.candidate_id) is not None

    def _insert(self, connection: Connection, uid: str, act: str, entry: _Entry, shown: Shown) -> int:
        known = connection.execute(text("SELECT 1 FROM candidate WHERE id = :id"), {"id": entry.candidate_id}).first()
        if known is None:
            raise RecordError(f"there is no candidate {entry.candidate_id}")
        row = connection.execute(
            text("""
                INSERT INTO event(seq, uid, act, candidate_id, actor, role, session, stream, blind, kind, verdict,
                                  reason, note, undo_of, child_id, late, elapsed_ms, at, gold)
                VALUES (:seq, :uid, :act, :candidate_id, :actor, :role, :session, :stream, :blind, :kind, :verdict,
                        :reason, :note, :undo_of, :child_id, :late, :elapsed_ms, :at, :gold) RETURNING seq"""),
            {
                # not SQLite's own count: exports take numbers too
                "seq": moments.next_event(connection),
                "uid": uid, "act": act, "candidate_id": entry.candidate_id, "actor": self._actor.name,
                "role": self._actor.role, "session": self._actor.session, "stream": shown.stream,
                "blind": shown.blind, "kind": entry.kind, "verdict": entry.verdict, "reason": entry.reason,
                "note": entry.note, "undo_of": entry.undo_of, "child_id": entry.child_id, "late": entry.late,
                "elapsed_ms": shown.elapsed_ms, "at": utc_now(), "gold": self._is_answer(connection, entry),
            },
        )  # fmt: skip
        return int(row.scalar_one())

    def _make_child(self, connection: Connection, parent_id: int, new_text: str, concept: str | None) -> int:
        parent = connection.execute(
            text("""SELECT c.*, t.text AS caption FROM candidate c LEFT JOIN caption t ON t.id = c.caption_id
                    WHERE c.id = :id"""),
            {"id": parent_id},
        ).first()
        if parent is None:
            raise RecordError(f"there is no candidate {parent_id}")
        mends_concept = concept is not None and clean(concept) != parent.concept
        if not clean(new_text).strip() or (clean(new_text) == parent.text and not mends_concept):
            raise ValueError("the text is empty or unchanged")
        derived = derive_concept(parent.caption or parent.text, clean(new_text))
        draft = Draft(
            source_id=parent.source_id,
            key=f"edit/{uuid7()}",
            image_id=parent.image_id,
            raw_text=new_text,
            pipeline="edit",
            generator=self._actor.name,
            negation_type=derived.negation_type,
            caption_id=parent.caption_id,
            parent_id=parent_id,
            concept=clean(concept) if concept else (derived.text or parent.concept),
            concept_confidence=1.0 if concept else derived.confidence,
            extra=parent.extra,
        )
        intake = Intake(overlap=parent.overlap, audit_rate=parent.audit_rate)
        return insert_candidates(connection, [draft], intake, born_at=moments.next_event(connection))[0]
