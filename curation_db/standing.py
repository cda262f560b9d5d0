"""The materialised state: written from the fold, in the transaction that changed the events."""

from __future__ import annotations

from sqlalchemy import Connection, text

from curation_db.fold import Happened, Overlap, Standing, fold
from curation_db.gold import known_answer
from curation_db.grouping import Place, group_id, move, place_of
from curation_db.people import ids_of
from curation_db.words import Kind, Role


def events_of(connection: Connection, candidate_id: int, *, until: int | None = None) -> list[Happened]:
    """A candidate's events in order; `until`: those up to this sequence number."""
    rows = connection.execute(
        text("""SELECT seq, actor, role, kind, verdict, undo_of, gold FROM event
                WHERE candidate_id = :id AND (:until IS NULL OR seq <= :until) ORDER BY seq"""),
        {"id": candidate_id, "until": until},
    )
    return [happened(*row) for row in rows]


def happened(
    seq: int, actor: str, role: str, kind: str, verdict: str | None, undo_of: int | None, gold: bool = False
) -> Happened:
    """An event's columns as the fold takes them."""
    return Happened(seq, actor, Role(role), Kind(kind), Kind(verdict) if verdict else None, undo_of, bool(gold))


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
    known = known_answer(connection, candidate_id)
    place = place_of(standing, audit=candidate.audit, editor=editor, known=known.kind if known else None)
    move(connection, candidate_id, _group(connection, place))
    return standing


def _group(connection: Connection, place: Place) -> int:
    ids = ids_of(connection, place.voters | place.passes.keys())
    voters = [ids[name] for name in place.voters if name in ids]
    passed = {ids[name]: times for name, times in place.passes.items() if name in ids}
    return group_id(connection, place.stream, voters, passed)
