"""Acts: what one key press wrote, which of them stand, and which one undo and redo would take back.

An act is the events that share an `act` id. It is a *deed* or, when its first event is an undo, an *undo*. Reads only;
`review` writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, text

from curation_db.words import Kind, Stream

_PAGE = 200


@dataclass(frozen=True, slots=True)
class ActEvent:
    """One event of an act."""

    seq: int
    candidate_id: int
    child_id: int | None


@dataclass(frozen=True, slots=True)
class Act:
    """What one person did with one key press."""

    id: str
    kind: Kind
    """Of its first event."""
    stream: Stream
    blind: bool
    events: tuple[ActEvent, ...]


def last_standing_act(connection: Connection, actor: str) -> Act | None:
    """The person's newest deed that nothing has taken back."""
    for row in _own_acts(connection, actor):
        if row.kind != Kind.UNDO and not is_undone(connection, row.seq):
            return load_act(connection, row.uid)
    return None


def last_redoable_undo(connection: Connection, actor: str) -> Act | None:
    """The person's newest undo that still stands; None where a deed came after it."""
    for row in _own_acts(connection, actor):
        if row.kind != Kind.UNDO:
            return None
        undone_is_a_deed = connection.execute(
            text("SELECT kind != 'undo' FROM event WHERE seq = :seq"), {"seq": row.undo_of}
        ).scalar_one()
        if undone_is_a_deed and not is_undone(connection, row.seq):
            return load_act(connection, row.uid)
    return None


def is_undone(connection: Connection, seq: int) -> bool:
    """Whether some undo of this event stands."""
    undos = connection.execute(text("SELECT seq FROM event WHERE undo_of = :seq"), {"seq": seq}).all()
    return any(not is_undone(connection, undo.seq) for undo in undos)


def own_flag(connection: Connection, candidate_id: int, actor: str) -> int | None:
    """The person's flag on this candidate, where it stands."""
    rows = connection.execute(
        text("SELECT seq FROM event WHERE candidate_id = :id AND actor = :actor AND kind = 'flag' ORDER BY seq DESC"),
        {"id": candidate_id, "actor": actor},
    ).all()
    return next((row.seq for row in rows if not is_undone(connection, row.seq)), None)


def load_act(connection: Connection, act_id: str) -> Act:
    """The act with this id."""
    rows = connection.execute(
        text("SELECT seq, candidate_id, child_id, kind, stream, blind FROM event WHERE act = :act ORDER BY seq"),
        {"act": act_id},
    ).all()
    events = tuple(ActEvent(row.seq, row.candidate_id, row.child_id) for row in rows)
    return Act(act_id, Kind(rows[0].kind), Stream(rows[0].stream), bool(rows[0].blind), events)


@dataclass(frozen=True, slots=True)
class Past:
    """A decision of one's own, as looking back shows it."""

    seq: int
    candidate_id: int
    kind: Kind
    reason: str | None
    at: str


def decisions_before(connection: Connection, actor: str, seq: int | None, count: int = 1) -> list[Past]:
    """The person's decisions that stand, newest first, before `seq` (None: from the newest)."""
    found: list[Past] = []
    rows = connection.execute(
        text("""SELECT seq, candidate_id, kind, reason, at FROM event
                WHERE actor = :actor AND kind IN ('accept', 'reject', 'unsure', 'skip', 'edit')
                  AND (:seq IS NULL OR seq < :seq) ORDER BY seq DESC"""),
        {"actor": actor, "seq": seq},
    )
    for row in rows:
        if len(found) == count:
            break
        if not is_undone(connection, row.seq):
            found.append(Past(row.seq, row.candidate_id, Kind(row.kind), row.reason, row.at))
    rows.close()
    return found


@dataclass(frozen=True, slots=True)
class _OwnAct:
    seq: int
    uid: str
    kind: Kind
    undo_of: int | None


def _own_acts(connection: Connection, actor: str) -> Iterator[_OwnAct]:
    """First events of the person's acts, newest first, a page at a time."""
    before: int | None = None
    while True:
        rows = connection.execute(
            text("""SELECT seq, uid, act, kind, undo_of FROM event
                    WHERE actor = :actor AND (:before IS NULL OR seq < :before) ORDER BY seq DESC LIMIT :page"""),
            {"actor": actor, "before": before, "page": _PAGE},
        ).all()
        yield from (_OwnAct(row.seq, row.uid, Kind(row.kind), row.undo_of) for row in rows if row.uid == row.act)
        if len(rows) < _PAGE:
            return
        before = rows[-1].seq
