"""The materialised state: written from the fold, in the transaction that appends the events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from curation_db.enums import EDITED, Kind
from curation_db.events.annotators import annotator_ids
from curation_db.events.history_cache import cached_fold, events_of, histories, overlap_sql
from curation_db.events.state import CandidateStatus, FoldEvent, Overlap, fold
from curation_db.queue.gold import KnownAnswer, known_answer
from curation_db.queue.groups import QueueSlot, group_id, move, move_many, queue_slot
from curation_db.storage.sqlite import IN_IDS, json_array


def update_state(connection: Connection, candidate_id: int) -> CandidateStatus:
    """Fold the candidate's events, write its state and move it to its queue slot."""
    events, known = events_of(connection, candidate_id), known_answer(connection, candidate_id)
    return write_state(connection, candidate_id, events, known)


def write_state(
    connection: Connection, candidate_id: int, events: Sequence[FoldEvent], known: KnownAnswer | None
) -> CandidateStatus:
    """Write like `update_state`, from events and a known answer that the caller has read already."""
    candidate = connection.execute(
        text(f"SELECT {overlap_sql()} AS overlap, audit, pipeline, generator FROM candidate c WHERE id = :id"),
        {"id": candidate_id},
    ).one()
    status = fold(events, Overlap.parse(candidate.overlap))
    # fmt: off
    connection.execute(
        text("""UPDATE candidate_state SET state = :state, accepts = :accepts, rejects = :rejects,
                unsures = :unsures, wanted = :wanted, flagged = :flagged, notes = :notes, last_seq = :last
                WHERE candidate_id = :id"""),
        {
            "id": candidate_id, "state": status.state, "accepts": status.accepts, "rejects": status.rejects,
            "unsures": status.unsures, "wanted": status.wanted, "flagged": status.flagged,
            "notes": status.notes, "last": events[-1].seq if events else 0,
        },
    )
    # fmt: on
    editor = candidate.generator if candidate.pipeline == EDITED else None
    slot = queue_slot(status, audit=candidate.audit, editor=editor, known=known.kind if known else None)
    move(connection, candidate_id, _group(connection, slot))
    return status


_FACTS = text(f"""
    SELECT c.id, {overlap_sql()} AS overlap, c.audit, CASE c.pipeline WHEN 'edit' THEN c.generator END AS editor,
           k.answer
    FROM candidate c LEFT JOIN gold k ON k.candidate_id = c.id WHERE c.id {IN_IDS}
""")
_WRITE_MANY = text(f"""
    UPDATE candidate_state SET state = :state, accepts = :accepts, rejects = :rejects, unsures = :unsures,
        wanted = :wanted, flagged = :flagged, notes = :notes,
        last_seq = coalesce((SELECT max(e.seq) FROM event e WHERE e.candidate_id = candidate_state.candidate_id), 0)
    WHERE candidate_id {IN_IDS}
""")


def update_states(connection: Connection, candidate_ids: Sequence[int]) -> None:
    """Write like `update_state` for many candidates; equal histories are folded and written once."""
    by_id = dict(histories(connection, candidate_ids))
    equal: defaultdict[tuple[Any, ...], list[int]] = defaultdict(list)
    for row in connection.execute(_FACTS, {"ids": json_array(candidate_ids)}):
        equal[by_id.get(row.id, ()), row.overlap, bool(row.audit), row.editor, row.answer].append(row.id)
    for (history, overlap, audit, editor, answer), ids in equal.items():
        status = cached_fold(history, overlap)
        connection.execute(
            _WRITE_MANY,
            {
                "ids": json_array(ids),
                "state": status.state,
                "accepts": status.accepts,
                "rejects": status.rejects,
                "unsures": status.unsures,
                "wanted": status.wanted,
                "flagged": status.flagged,
                "notes": status.notes,
            },
        )
        slot = queue_slot(status, audit=audit, editor=editor, known=Kind(answer) if answer else None)
        move_many(connection, ids, _group(connection, slot))


def _group(connection: Connection, slot: QueueSlot) -> int:
    ids = annotator_ids(connection, slot.voters | slot.passes.keys())
    voters = [ids[name] for name in slot.voters if name in ids]
    passed = {ids[name]: times for name, times in slot.passes.items() if name in ids}
    return group_id(connection, slot.stream, voters, passed)
