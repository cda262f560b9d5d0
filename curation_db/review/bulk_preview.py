"""What a decision about many candidates at once would do to each of them, and which of them it must leave alone.

Reads only. `review` asks it inside the transaction that decides, `bulk` beforehand, for the preview.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, text

from curation_db.enums import Kind, Role, State
from curation_db.errors import RecordError
from curation_db.events.annotator_status import works_alone
from curation_db.events.annotators import Actor, require_adjudicator
from curation_db.events.history_cache import BATCH, History, cached_fold, fold_events, histories, overlap_sql
from curation_db.events.state import FoldEvent, Overlap, effective_events, fold, since_requeue, votes_of
from curation_db.storage.sqlite import IN_IDS, batches, json_array
from curation_db.storage.work_sessions import OWN_MACHINE, lease_valid_sql

_AIMS = {Kind.ACCEPT: State.ACCEPTED, Kind.REJECT: State.REJECTED, Kind.REQUEUE: State.OPEN}
"""What is done in bulk, and where the candidates are to be."""


MOST = 100_000
"""Candidates that a bulk decides about at most. It is one transaction, and everybody else who writes waits for it:
measured 4 to 5 s of one core, where others give up after 15 (`dialect.BUSY_MS`)."""


class SkipReason(StrEnum):
    """Why a candidate is left out of a bulk."""

    AUDIT = "audit"
    """Kept for the blind audit and not decided there yet: nothing else may touch it."""
    GOLD = "gold"
    """Its answer is known: everybody gives their own, and none is a vote."""
    HELD = "held"
    """In somebody else's hands at this moment."""
    SUPERSEDED = "superseded"
    """An edit has replaced it."""
    FINAL = "final"
    """An adjudicator has given the final word; votes do not move it."""
    ALREADY = "already"
    """It is so already, or this person has said so already."""
    UNKNOWN = "unknown"
    """There is no such candidate."""


@dataclass(frozen=True, slots=True)
class BulkPreview:
    """Which candidates a bulk decides about."""

    asked: int
    """Distinct candidates that were named."""
    votes: Sequence[int] = ()
    """Ids that get the decision as it was asked for."""
    flips: Sequence[int] = ()
    """Ids that the person decided blind for the audit: a change of mind, the label stays."""
    left: Mapping[SkipReason, int] = field(default_factory=dict)
    """Why, and how many; only reasons that occur."""
    becomes: Mapping[State, int] = field(default_factory=dict)
    """Where those that are decided about will stand."""

    @property
    def changing(self) -> int:
        """How many it decides about."""
        return len(self.votes) + len(self.flips)


_FACTS = text(f"""
    SELECT c.id, {overlap_sql()} AS overlap, c.audit, k.answer, EXISTS (
        SELECT 1 FROM lease l WHERE l.candidate_id = c.id AND l.annotator_id != :me
        AND {lease_valid_sql("l", OWN_MACHINE)}) AS held
    FROM candidate c LEFT JOIN gold k ON k.candidate_id = c.id WHERE c.id {IN_IDS}
""")


def preview_decisions(connection: Connection, actor: Actor, ids: Iterable[int], kind: Kind) -> BulkPreview:
    """What `kind` (accept, reject or requeue) by `actor` would do to these candidates; in the order of their ids.

    Raises:
        ValueError: another kind.
        RecordError: this person may not, or it would change more than `MOST`.
    """
    if kind not in _AIMS:
        raise ValueError(f"{kind} is not done in bulk")
    if kind is Kind.REQUEUE and not works_alone(connection, actor.name):
        require_adjudicator(actor, "ask everybody anew")
    named = sorted(set(ids))
    votes: list[int] = []
    flips: list[int] = []
    left: Counter[SkipReason] = Counter()
    becomes: Counter[State] = Counter()
    for part in batches(named, BATCH):
        for number, told in _weigh_part(connection, actor, part, kind):
            if isinstance(told, SkipReason):
                left[told] += 1
            else:
                (flips if told.flip else votes).append(number)
                becomes[told.state] += 1
    if len(votes) + len(flips) > MOST:
        raise RecordError(f"{len(votes) + len(flips):,} are too many at once", hint=f"take {MOST:,} or fewer")
    return BulkPreview(len(named), votes, flips, dict(left), dict(becomes))


@dataclass(frozen=True, slots=True)
class _Change:
    state: State
    flip: bool = False


def _weigh_part(
    connection: Connection, actor: Actor, part: Sequence[int], kind: Kind
) -> Iterable[tuple[int, SkipReason | _Change]]:
    told = {"ids": json_array(part), "me": actor.annotator_id, "session": actor.session, "now": time.time()}
    facts = {row[0]: row for row in connection.execute(_FACTS, told)}
    said = dict(histories(connection, part))
    for number in part:
        yield number, _weigh_one(facts.get(number), said.get(number, ()), actor, kind)


def _weigh_one(fact: Any, history: History, actor: Actor, kind: Kind) -> SkipReason | _Change:
    if fact is None:
        return SkipReason.UNKNOWN
    if fact.answer is not None:
        return SkipReason.GOLD
    told = _weigh_history(history, fact.overlap, bool(fact.audit), actor.name, actor.role, kind)
    # what cannot be changed in any case is not called held: waiting for it would not help
    return SkipReason.HELD if fact.held and isinstance(told, _Change) else told


@lru_cache(maxsize=16_384)
def _weigh_history(
    history: History, overlap: str, audit: bool, actor: str, role: Role, kind: Kind
) -> SkipReason | _Change:
    """The same for all candidates to which the same has happened."""
    standing = cached_fold(history, overlap)
    if standing.state is State.SUPERSEDED:
        return SkipReason.SUPERSEDED
    events = effective_events(fold_events(history))
    own = votes_of([event for event in events if not event.gold]).get(actor)
    if audit and (standing.wanted > 0 or not _decided_blind(history, events)):
        return SkipReason.AUDIT
    if standing.state is _AIMS[kind] or own is kind:
        return SkipReason.ALREADY
    if kind is not Kind.REQUEUE and any(event.kind is Kind.ADJUDICATE for event in since_requeue(events)):
        return SkipReason.FINAL
    flip = audit and kind is not Kind.REQUEUE and own in (Kind.ACCEPT, Kind.REJECT)
    new = FoldEvent(len(history) + 1, actor, role, Kind.FLIP if flip else kind, kind if flip else None)
    return _Change(fold([*fold_events(history), new], Overlap.parse(overlap)).state, flip)


def _decided_blind(history: History, events: Sequence[FoldEvent]) -> bool:
    """Whether somebody's blind yes or no stands."""
    return any(
        event.kind in (Kind.ACCEPT, Kind.REJECT) and history[event.seq - 1].blind for event in since_requeue(events)
    )
