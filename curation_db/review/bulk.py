"""Bulk decisions: preview, back up the record, decide about many candidates; one undo reverses all of it.

A bulk decision is one action in one transaction, so a crash leaves no part of it, and undo and redo apply to the whole.
Candidates that must not change are skipped and counted by `bulk_preview.SkipReason`. `decisions` writes the events.
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
"""Callback with the name of the step, the units done, and the units in total."""
MAX_BULK_BACKUPS = 5
"""Backups made before a bulk decision that are kept; older ones of that kind are deleted."""


@dataclass(frozen=True, slots=True)
class BulkDone:
    kind: Kind
    action_id: str | None
    """The action that undo reverses as a whole; None: there was nothing to change."""
    changed: int
    left: Mapping[SkipReason, int]
    becomes: Mapping[State, int]
    backup: Path | None
    """Path of the backup made before the decision."""


def preview(connection: Connection, actor: Actor, ids: Collection[int], kind: Kind) -> BulkPreview:
    """Return what `decide_in_bulk` would do now; read-only.

    Raises:
        ValueError: `kind` is not accept, reject or requeue.
        RecordError: the actor may not do this, or it would change too many candidates at once.
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
    """Accept, reject (with a reason) or requeue these candidates after a verified backup, which takes seconds.

    Raises:
        ValueError: `kind` is another kind, or a rejection has no reason.
        RecordError: not allowed, too many candidates, or the backup failed; nothing was decided.
    """
    if (kind is Kind.REJECT) != (reason is not None):
        raise ValueError("a rejection needs a reason, and other decisions take none")
    with store.read() as connection:
        expected = preview_decisions(connection, actor, ids, kind)
    if not expected.changing:
        return BulkDone(kind, None, 0, expected.left, expected.becomes, None)
    backup = back_up(store.path, before="bulk", progress=partial(progress, "backing up"))
    prune(backup_folder(store.path), MAX_BULK_BACKUPS, only="bulk")
    done = DecisionWriter(store, actor).decide_many(ids, kind, reason=reason, progress=partial(progress, "deciding"))
    changed = done.preview
    return BulkDone(kind, done.action_id, changed.changing, changed.left, changed.becomes, backup.path)
