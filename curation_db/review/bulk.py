"""Deciding about many candidates at once: look first, back the record up, decide, and one undo takes it all back.

The decision is one act in one transaction, so a crash leaves nothing of it, and undo and redo are as whole. What
must not be touched is left out and counted (`weighing.Left`). `review` writes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from curation_db.enums import Kind, Reason, State
from curation_db.events.annotators import Actor
from curation_db.review.bulk_preview import BulkPreview, SkipReason, preview_decisions
from curation_db.review.decisions import DecisionWriter
from curation_db.storage.backup import back_up, backup_folder, prune
from curation_db.storage.store import Store

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much."""
KEPT_BACKUPS = 5
"""Of those made before a bulk; older ones of that kind go."""


@dataclass(frozen=True, slots=True)
class BulkDone:
    """What a bulk came to."""

    kind: Kind
    act: str | None
    """What undo takes back as a whole; None: there was nothing to change."""
    changed: int
    left: Mapping[SkipReason, int]
    becomes: Mapping[State, int]
    backup: Path | None
    """The record as it was before."""


def preview(connection: Connection, actor: Actor, ids: Collection[int], kind: Kind) -> BulkPreview:
    """What `decide_in_bulk` would do now; reads only.

    Raises:
        ValueError: another kind than accept, reject and requeue.
        RecordError: this person may not, or it would change too many at once.
    """
    return preview_decisions(connection, actor, ids, kind)


def decide_in_bulk(
    store: Store,
    actor: Actor,
    ids: Collection[int],
    kind: Kind,
    reason: Reason | None = None,
    *,
    progress: Progress = lambda _step, _done, _total: None,
) -> BulkDone:
    """Accept, reject (with a reason) or requeue these candidates, after a verified backup; takes a while.

    Raises:
        ValueError: another kind, or a rejection without a reason.
        RecordError: not allowed, too many, or no backup could be made; nothing was decided.
    """
    if (kind is Kind.REJECT) != (reason is not None):
        raise ValueError("a rejection, and only a rejection, has a reason")
    with store.read() as connection:
        if not (seen := preview_decisions(connection, actor, ids, kind)).changing:
            return BulkDone(kind, None, 0, seen.left, seen.becomes, None)
    kept = back_up(store.path, before="bulk", progress=partial(progress, "backing up"))
    prune(backup_folder(store.path), KEPT_BACKUPS, only="bulk")
    done = DecisionWriter(store, actor).decide_many(ids, kind, reason=reason, progress=partial(progress, "deciding"))
    told = done.weighed
    return BulkDone(kind, done.act, told.changing, told.left, told.becomes, kept.path)
