"""Preview of a bulk decision: its effect on each candidate, and the candidates that it must skip.

Read-only. `decisions` calls it inside the transaction that decides, `bulk` before that for the preview.
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
"""Kinds of bulk decisions, with the state that each aims at."""

MAX_CANDIDATES = 100_000
"""Maximum number of candidates of a bulk decision. It is one transaction, and all other writers wait for it: 4 to 5 s
of one core, measured; writers give up after 15 s (`sqlite.BUSY_MS`)."""


class SkipReason(StrEnum):
    """Why a bulk decision skips a candidate."""

    AUDIT = "audit"
    """It belongs to the audit set and is not decided blind yet; nothing else may change it before."""
    GOLD = "gold"
    """It is a gold item: every annotator answers it alone, and no answer is a vote."""
    HELD = "held"
    """Another annotator holds a lease on it."""
    SUPERSEDED = "superseded"
    """An edit has replaced it."""
    DECIDED = "decided"
    """It is not open any more, so a policy does not decide about it."""
    FINAL = "final"
    """An adjudicator has settled it; votes do not change it."""
    ALREADY = "already"
    """It has the state already, or the annotator has cast this vote already."""
    UNKNOWN = "unknown"
    """The id is not in the record."""


@dataclass(frozen=True, slots=True)
class BulkPreview:
    """The candidates that a bulk decision changes and skips."""

    requested: int
    """Number of distinct candidates in the request."""
    votes: Sequence[int] = ()
    """Ids that get the requested decision."""
    flips: Sequence[int] = ()
    """Ids that the annotator decided blind for the audit: they get a flip, and the audit label stays."""
    left: Mapping[SkipReason, int] = field(default_factory=dict)
    """Number of skipped candidates by reason; only reasons that occur."""
    becomes: Mapping[State, int] = field(default_factory=dict)
    """Number of changed candidates by their new state."""

    @property
    def changing(self) -> int:
        """The number of candidates that the decision changes."""
        return len(self.votes) + len(self.flips)


_FACTS = text(f"""
    SELECT c.id, {overlap_sql()} AS overlap, c.audit, k.answer, EXISTS (
        SELECT 1 FROM lease l WHERE l.candidate_id = c.id AND l.annotator_id != :me
        AND {lease_valid_sql(OWN_MACHINE)}) AS held
    FROM candidate c LEFT JOIN gold k ON k.candidate_id = c.id WHERE c.id {IN_IDS}
""")


def preview_decisions(connection: Connection, actor: Actor, ids: Iterable[int], kind: Kind) -> BulkPreview:
    """Return what `kind` (accept, reject or requeue) by `actor` would do to these candidates, in id order.

    Raises:
        ValueError: `kind` is another kind.
        RecordError: the actor may not do this, or it would change more than `MAX_CANDIDATES`.
    """
    if kind not in _AIMS:
        raise ValueError(f"{kind} is not a bulk decision")
    if kind is Kind.REQUEUE and not works_alone(connection, actor.name):
        require_adjudicator(actor, "reopen candidates")
    requested = sorted(set(ids))
    votes: list[int] = []
    flips: list[int] = []
    left: Counter[SkipReason] = Counter()
    becomes: Counter[State] = Counter()
    for part in batches(requested, BATCH):
        for number, effect in _preview_batch(connection, actor, part, kind):
            if isinstance(effect, SkipReason):
                left[effect] += 1
            else:
                (flips if effect.flip else votes).append(number)
                becomes[effect.state] += 1
    if len(votes) + len(flips) > MAX_CANDIDATES:
        raise RecordError(
            f"{len(votes) + len(flips):,} candidates are too many for one bulk decision",
            hint=f"select {MAX_CANDIDATES:,} or fewer",
        )
    return BulkPreview(len(requested), votes, flips, dict(left), dict(becomes))


@dataclass(frozen=True, slots=True)
class _Change:
    state: State
    flip: bool = False


def _preview_batch(
    connection: Connection, actor: Actor, part: Sequence[int], kind: Kind
) -> Iterable[tuple[int, SkipReason | _Change]]:
    values = {"ids": json_array(part), "me": actor.annotator_id, "session": actor.session, "now": time.time()}
    facts = {row[0]: row for row in connection.execute(_FACTS, values)}
    by_id = dict(histories(connection, part))
    for number in part:
        yield number, _preview_one(facts.get(number), by_id.get(number, ()), actor, kind)


def _preview_one(fact: Any, history: History, actor: Actor, kind: Kind) -> SkipReason | _Change:
    if fact is None:
        return SkipReason.UNKNOWN
    if fact.answer is not None:
        return SkipReason.GOLD
    effect = _preview_history(history, fact.overlap, bool(fact.audit), actor.name, actor.role, kind)
    # a candidate that cannot change anyway is not reported as held: to wait for the lease would not help
    return SkipReason.HELD if fact.held and isinstance(effect, _Change) else effect


@lru_cache(maxsize=16_384)
def _preview_history(
    history: History, overlap: str, audit: bool, actor: str, role: Role, kind: Kind
) -> SkipReason | _Change:
    """Return the effect; candidates with equal histories share one cache entry."""
    status = cached_fold(history, overlap)
    if status.state is State.SUPERSEDED:
        return SkipReason.SUPERSEDED
    events = effective_events(fold_events(history))
    own = votes_of([event for event in events if not event.gold]).get(actor)
    if audit and (status.wanted > 0 or not _decided_blind(history, events)):
        return SkipReason.AUDIT
    if role is Role.POLICY and status.state is not State.OPEN:
        return SkipReason.DECIDED
    if status.state is _AIMS[kind] or own is kind:
        return SkipReason.ALREADY
    if kind is not Kind.REQUEUE and any(event.kind is Kind.ADJUDICATE for event in since_requeue(events)):
        return SkipReason.FINAL
    flip = audit and kind is not Kind.REQUEUE and own in (Kind.ACCEPT, Kind.REJECT)
    new = FoldEvent(len(history) + 1, actor, role, Kind.FLIP if flip else kind, kind if flip else None)
    return _Change(fold([*fold_events(history), new], Overlap.parse(overlap)).state, flip)


def _decided_blind(history: History, events: Sequence[FoldEvent]) -> bool:
    """Return whether a blind accept or reject is in effect."""
    return any(
        event.kind in (Kind.ACCEPT, Kind.REJECT) and history[event.seq - 1].blind for event in since_requeue(events)
    )
