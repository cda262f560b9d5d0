"""Overlap: how many people decide about a candidate, and since when.

`Candidate.overlap` is the value at the import. A later change is a row of `overlap_change`, marked with the event
number from which on it applies (`moments`). So an export at an earlier number still folds the events under the earlier
overlap. Everything that reads an overlap takes it from `histories.overlap_in_force`.
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
    """What a change of the overlap would do."""

    candidates: int
    """Named by the query."""
    drawn: int
    """Of these in the share."""
    changing: Sequence[int] = ()
    """Ids of candidates whose overlap would change."""
    moves: Counter[tuple[State, State]] = field(default_factory=Counter)
    """(state now, state then) of those whose state would change."""
    wanted_before: int = 0
    """Decisions that are asked for now, of the candidates that would change."""
    wanted_after: int = 0


def preview(connection: Connection, ids: Sequence[int], overlap: Overlap, share: float = 1.0) -> OverlapPreview:
    """What `set_overlap` would do to the share of these candidates."""
    named = sorted(set(ids))
    chosen = drawn(connection, named, share)
    changing: list[int] = []
    moves: Counter[tuple[State, State]] = Counter()
    before = after = 0
    for part in batches(chosen, BATCH):
        happened = dict(histories(connection, part))
        for row in connection.execute(_PRESENT, {"ids": json_array(part)}):
            if row.overlap == str(overlap):
                continue
            changing.append(row.id)
            then = cached_fold(happened.get(row.id, ()), str(overlap))
            before, after = before + row.wanted, after + then.wanted
            if then.state is not State(row.state):
                moves[State(row.state), then.state] += 1
    return OverlapPreview(len(named), len(chosen), changing, moves, before, after)


def drawn(connection: Connection, ids: Sequence[int], share: float) -> list[int]:
    """The share of these candidates: the same ones each time, and a larger share only adds.

    Drawn by a keyed hash that is independent of the audit's, so that the share is random within the audit too.

    Raises:
        ValueError: the share is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share {share}: it is above 0 and at most 1")
    if share == 1:
        return list(ids)
    return list(_below(connection, ids, share))


def _below(connection: Connection, ids: Sequence[int], share: float) -> Iterator[int]:
    key = audit_key(connection)
    for part in batches(ids, BATCH):
        for row in connection.execute(_KEYS, {"ids": json_array(part)}):
            named = f"{row.source_id}\0{row.key}".encode("utf-8", "surrogatepass")
            digest = hashlib.blake2b(named, key=key, person=b"overlap", digest_size=8).digest()
            if int.from_bytes(digest, "big") / 2**64 < share:
                yield row.id


def set_overlap(
    store: Store, ids: Sequence[int], overlap: Overlap, *, actor: str, progress: Progress | None = None
) -> int:
    """Set the overlap of these candidates, with their states and places in the queue; returns how many changed.

    In batches, each one transaction, so that others who decide do not wait long. An interruption leaves the record
    sound, and the same call again changes the rest.
    """
    changed = 0
    for part in batches(ids, BATCH):
        with store.write() as connection:
            rows = connection.execute(_PRESENT, {"ids": json_array(part)}).all()
            these = [row.id for row in rows if row.overlap != str(overlap)]
            if these:
                _change(connection, these, overlap, actor)
        changed += len(these)
        if progress is not None:
            progress(min(len(ids), changed + BATCH), len(ids))
    return changed


def _change(connection: Connection, ids: Sequence[int], overlap: Overlap, actor: str) -> None:
    since = event_clock.next_seq(connection)
    told = {"ids": json_array(ids), "since": since, "overlap": str(overlap), "actor": actor, "now": utc_now()}
    connection.execute(_CHANGE, told)
    event_clock.mark_arrival(connection, event_clock.Arrival.OVERLAPS)
    update_states(connection, ids)


def differing(connection: Connection, overlap: str) -> int:
    """How many candidates in play came in under another overlap, and were not changed since."""
    return int(connection.execute(_DIFFERING, {"overlap": overlap}).scalar_one())
