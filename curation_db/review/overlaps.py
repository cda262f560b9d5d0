"""Overlap: how many annotators decide about a candidate, and since which event.

`Candidate.overlap` is the value at import. A later change is a row of `overlap_change` with the event number from which
it applies (`event_clock`). So an export at an earlier number still folds the events under the earlier overlap. Every
reader takes the overlap from `history_cache.overlap_sql`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from curation_db.enums import State
from curation_db.events import event_clock
from curation_db.events.history_cache import BATCH, cached_fold, histories, overlap_sql
from curation_db.events.state import Overlap
from curation_db.review.candidates import audit_key
from curation_db.review.state_table import update_states
from curation_db.storage.ids import utc_now
from curation_db.storage.sqlite import IN_IDS, batches, json_array
from curation_db.storage.store import Store

Progress = Callable[[int, int], None]
_PRESENT = text(f"""
    SELECT c.id, {overlap_sql()} AS overlap, s.state, s.wanted FROM candidate c
    JOIN candidate_state s ON s.candidate_id = c.id WHERE c.id {IN_IDS} ORDER BY c.id
""")
_KEYS = text(f"SELECT id, source_id, key FROM candidate WHERE id {IN_IDS} ORDER BY id")
_CHANGE = text("""
    INSERT INTO overlap_change(candidate_id, since, overlap, actor, at)
    SELECT value, :since, :overlap, :actor, :now FROM json_each(:ids) WHERE true
    ON CONFLICT(candidate_id, since)
    DO UPDATE SET overlap = excluded.overlap, actor = excluded.actor, at = excluded.at
""")
_DIFFERING = text("""
    SELECT count(*) FROM candidate c JOIN candidate_state s ON s.candidate_id = c.id
    WHERE (c.overlap < :overlap OR c.overlap > :overlap) AND s.state != 'superseded'
      AND NOT EXISTS (SELECT 1 FROM overlap_change o WHERE o.candidate_id = c.id)
""")


@dataclass(frozen=True, slots=True)
class OverlapPreview:
    candidates: int
    """Number of distinct candidates in the request."""
    drawn: int
    """Number of these that fall into the share."""
    changing: Sequence[int] = ()
    """Ids of candidates whose overlap would change."""
    moves: Counter[tuple[State, State]] = field(default_factory=Counter)
    """Number of candidates by (state now, state then), where the state would change."""
    wanted_before: int = 0
    """Decisions that the changing candidates need now."""
    wanted_after: int = 0
    """Decisions that they would need then."""


def preview(connection: Connection, ids: Sequence[int], overlap: Overlap, share: float = 1.0) -> OverlapPreview:
    """Return what `set_overlap` would do to the given share of these candidates."""
    requested = sorted(set(ids))
    chosen = drawn(connection, requested, share)
    changing: list[int] = []
    moves: Counter[tuple[State, State]] = Counter()
    before = after = 0
    for part in batches(chosen, BATCH):
        by_id = dict(histories(connection, part))
        for row in connection.execute(_PRESENT, {"ids": json_array(part)}):
            if row.overlap == str(overlap):
                continue
            changing.append(row.id)
            then = cached_fold(by_id.get(row.id, ()), str(overlap))
            before, after = before + row.wanted, after + then.wanted
            if then.state is not State(row.state):
                moves[State(row.state), then.state] += 1
    return OverlapPreview(len(requested), len(chosen), changing, moves, before, after)


def drawn(connection: Connection, ids: Sequence[int], share: float) -> list[int]:
    """Return the given share of these candidates: the same ones each time; a larger share only adds.

    The keyed hash is independent of the audit's, so that the share is random within the audit set, too.

    Raises:
        ValueError: the share is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share {share}: it must be above 0 and at most 1")
    if share == 1:
        return list(ids)
    return list(_below(connection, ids, share))


def _below(connection: Connection, ids: Sequence[int], share: float) -> Iterator[int]:
    key = audit_key(connection)
    for part in batches(ids, BATCH):
        for row in connection.execute(_KEYS, {"ids": json_array(part)}):
            identity = f"{row.source_id}\0{row.key}".encode("utf-8", "surrogatepass")
            digest = hashlib.blake2b(identity, key=key, person=b"overlap", digest_size=8).digest()
            if int.from_bytes(digest, "big") / 2**64 < share:
                yield row.id


def set_overlap(
    store: Store, ids: Sequence[int], overlap: Overlap, *, actor: str, progress: Progress | None = None
) -> int:
    """Set the overlap of these candidates and update their states and queue slots; return how many changed.

    Each batch is one transaction, so that annotators who decide meanwhile do not wait long. An interruption leaves the
    record consistent, and the same call changes the rest.
    """
    changed = 0
    for part in batches(ids, BATCH):
        with store.write() as connection:
            rows = connection.execute(_PRESENT, {"ids": json_array(part)}).all()
            changing = [row.id for row in rows if row.overlap != str(overlap)]
            if changing:
                _change(connection, changing, overlap, actor)
        changed += len(changing)
        if progress is not None:
            progress(min(len(ids), changed + BATCH), len(ids))
    return changed


def _change(connection: Connection, ids: Sequence[int], overlap: Overlap, actor: str) -> None:
    since = event_clock.next_seq(connection)
    values = {"ids": json_array(ids), "since": since, "overlap": str(overlap), "actor": actor, "now": utc_now()}
    connection.execute(_CHANGE, values)
    event_clock.mark_arrival(connection, event_clock.Arrival.OVERLAPS)
    update_states(connection, ids)


def differing(connection: Connection, overlap: str) -> int:
    """Count the candidates (except superseded ones) that were inserted with another overlap and not changed since."""
    return int(connection.execute(_DIFFERING, {"overlap": overlap}).scalar_one())
