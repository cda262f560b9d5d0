"""The materialised state: written from the fold, in the transaction that changed the events."""

from __future__ import annotations

from sqlalchemy import Connection, text

from curation_db.fold import Happened, Overlap, Standing, fold
from curation_db.grouping import CLOSED, group_id, move
from curation_db.people import ids_of
from curation_db.words import Kind, Role, Stream


def events_of(connection: Connection, candidate_id: int, *, until: int | None = None) -> list[Happened]:
    """A candidate's events in order; `until`: those up to this sequence number."""
    rows = connection.execute(
        text("""SELECT seq, actor, role, kind, verdict, undo_of FROM event
                WHERE candidate_id = :id AND (:until IS NULL OR seq <= :until) ORDER BY seq"""),
        {"id": candidate_id, "until": until},
    )
    return [happened(row.seq, row.actor, row.role, row.kind, row.verdict, row.undo_of) for row in rows]


def happened(seq: int, actor: str, role: str, kind: str, verdict: str | None, undo_of: int | None) -> Happened:
    """An event's columns as the fold takes them."""
    return Happened(seq, actor, Role(role), Kind(kind), Kind(verdict) if verdict else None, undo_of)


def refold(connection: Connection, candidate_id: int) -> Standing:
    """Fold the candidate's events, write its state and put it where it belongs in the queue."""
    candidate = connection.execute(
        text("SELECT overlap, audit, pipeline, generator FROM candidate WHERE id = :id"), {"id": candidate_id}
    ).one()
    events = events_of(connection, candidate_id)
    standing = fold(events, Overlap.parse(candidate.overlap))
    connection.execute(
        text("""UPDATE candidate_state SET state = :state, accepts = :accepts, rejects = :rejects,
                unsures = :unsures, wanted = :wanted, flagged = :flagged, notes = :notes, last_seq = :last
                WHERE candidate_id = :id"""),
        {
            "id": candidate_id, "state": standing.state, "accepts": standing.accepts, "rejects": standing.rejects,
            "unsures": standing.unsures, "wanted": standing.wanted, "flagged": standing.flagged,
            "notes": standing.notes, "last": events[-1].seq if events else 0,
        },
    )  # fmt: skip
    editor = candidate.generator if candidate.pipeline == "edit" else None
    move(connection, candidate_id, _group(connection, standing, audit=candidate.audit, editor=editor))
    return standing


def _group(connection: Connection, standing: Standing, *, audit: bool, editor: str | None) -> int:
    if standing.wanted == 0:
        return group_id(connection, CLOSED, (), {})
    passes = dict(standing.passes)
    if editor is not None and editor not in standing.voters:
        passes[editor] = passes.get(editor, 0) + 1  # others decide first about an edit than its editor
    ids = ids_of(connection, standing.voters | passes.keys())
    voters = [ids[name] for name in standing.voters if name in ids]
    passed = {ids[name]: times for name, times in passes.items() if name in ids}
    return group_id(connection, Stream.AUDIT if audit else Stream.REVIEW, voters, passed)
