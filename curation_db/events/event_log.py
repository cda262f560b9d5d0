"""Acts: what one key press wrote, which of them stand, and which one undo and redo would take back.

An act is the events that share an `act` id. It is a *deed* or, when its first event is an undo, an *undo*. Reads only;
`review` writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

from sqlalchemy import Connection, text

from curation_db.enums import Kind, Stream

_MAX_CANDIDATES_OF_A_KEY = 2
"""Candidates that one key is about: the card, and the child that an edit makes of it."""


@dataclass(frozen=True, slots=True)
class RecordedActionEvent:
    """One event of an act."""

    seq: int
    candidate_id: int
    child_id: int | None


@dataclass(frozen=True, slots=True)
class RecordedAction:
    """What one person did with one key press."""

    id: str
    actor: str
    kind: Kind
    """Of its first event."""
    stream: Stream
    blind: bool
    events: tuple[RecordedActionEvent, ...]

    @property
    def bulk(self) -> bool:
        """Whether it is about more than a card and what an edit made of it."""
        return len({event.candidate_id for event in self.events}) > _MAX_CANDIDATES_OF_A_KEY


def undone_sql(event: str = "e") -> str:
    """SQL: whether something took back the event of this alias. Undo (u), redo (r), and an adjudicator's word (x)."""
    return f"""
    EXISTS (SELECT 1 FROM event u WHERE u.undo_of = {event}.seq AND NOT EXISTS
        (SELECT 1 FROM event r WHERE r.undo_of = u.seq AND NOT EXISTS
            (SELECT 1 FROM event x WHERE x.undo_of = r.seq)))
"""


UNDONE_SQL = undone_sql()
_SELECT_LAST_ACTION = text(f"""
    SELECT e.uid FROM event e WHERE e.actor = :actor AND e.uid = e.act AND e.kind != 'undo' AND NOT {UNDONE_SQL}
    ORDER BY e.seq DESC LIMIT 1
""")
_SELECT_LAST_UNDO = text(f"""
    SELECT e.uid FROM event e JOIN event deed ON deed.seq = e.undo_of AND deed.kind != 'undo'
    WHERE e.actor = :actor AND e.uid = e.act AND e.kind = 'undo' AND NOT {UNDONE_SQL}
      AND e.seq > (SELECT coalesce(max(d.seq), 0) FROM event d
                   WHERE d.actor = :actor AND d.uid = d.act AND d.kind != 'undo')
    ORDER BY e.seq DESC LIMIT 1
""")


def last_effective_action(connection: Connection, actor: str) -> RecordedAction | None:
    """The person's newest deed that nothing has taken back."""
    found = connection.execute(_SELECT_LAST_ACTION, {"actor": actor}).scalar()
    return load_action(connection, found) if found else None


def last_redoable_undo(connection: Connection, actor: str) -> RecordedAction | None:
    """The person's newest undo that still stands; None where a deed came after it."""
    found = connection.execute(_SELECT_LAST_UNDO, {"actor": actor}).scalar()
    return load_action(connection, found) if found else None


def effective_action(connection: Connection, act_id: str) -> RecordedAction | None:
    """The deed with this id where it stands, whoever did it."""
    found = connection.execute(
        text(
            f"SELECT e.uid FROM event e WHERE e.uid = :act AND e.act = :act AND e.kind != 'undo' AND NOT {UNDONE_SQL}"
        ),
        {"act": act_id},
    ).scalar()
    return load_action(connection, found) if found else None


def has_vote(connection: Connection, candidate_id: int, actor: str) -> bool:
    """Whether a vote of this person on the candidate stands, unsure included."""
    rows = connection.execute(
        text(f"""SELECT 1 FROM event e WHERE e.candidate_id = :id AND e.actor = :actor
                 AND e.kind IN ('accept', 'reject', 'unsure', 'flip') AND NOT {UNDONE_SQL} LIMIT 1"""),
        {"id": candidate_id, "actor": actor},
    )
    return rows.first() is not None


def has_decided(connection: Connection, candidate_id: int, actor: str) -> bool:
    """Whether this person's yes or no about the candidate stands, as a vote or as a final word."""
    rows = connection.execute(
        text(f"""SELECT 1 FROM event e WHERE e.candidate_id = :id AND e.actor = :actor
                 AND e.kind IN ('accept', 'reject', 'flip', 'adjudicate') AND NOT {UNDONE_SQL} LIMIT 1"""),
        {"id": candidate_id, "actor": actor},
    )
    return rows.first() is not None


def is_undone(connection: Connection, seq: int) -> bool:
    """Whether some undo of this event stands."""
    return bool(connection.execute(text(f"SELECT {UNDONE_SQL} FROM event e WHERE e.seq = :seq"), {"seq": seq}).scalar())


def other_decider(connection: Connection, candidate_id: int, actor: str) -> str | None:
    """Somebody else whose decision about this candidate stands, by name."""
    return connection.execute(
        text(f"""SELECT e.actor FROM event e WHERE e.candidate_id = :id AND e.actor != :actor
                 AND e.kind IN ('accept', 'reject', 'unsure', 'edit', 'adjudicate', 'flip') AND NOT {UNDONE_SQL}
                 ORDER BY e.seq DESC LIMIT 1"""),
        {"id": candidate_id, "actor": actor},
    ).scalar()


def own_flag(connection: Connection, candidate_id: int, actor: str) -> int | None:
    """The person's flag on this candidate, where it stands."""
    rows = connection.execute(
        text("SELECT seq FROM event WHERE candidate_id = :id AND actor = :actor AND kind = 'flag' ORDER BY seq DESC"),
        {"id": candidate_id, "actor": actor},
    ).all()
    return next((row.seq for row in rows if not is_undone(connection, row.seq)), None)


def load_action(connection: Connection, act_id: str) -> RecordedAction:
    """The act with this id.

    Its events were written in one transaction, so they follow one another; no index of acts is needed.
    """
    result = connection.execute(
        text("""SELECT seq, candidate_id, child_id, act, actor, kind, stream, blind FROM event
                WHERE seq >= (SELECT seq FROM event WHERE uid = :act) ORDER BY seq"""),
        {"act": act_id},
    )
    rows = list(takewhile(lambda row: row.act == act_id, result))
    result.close()
    events = tuple(RecordedActionEvent(row.seq, row.candidate_id, row.child_id) for row in rows)
    first = rows[0]
    return RecordedAction(act_id, first.actor, Kind(first.kind), Stream(first.stream), bool(first.blind), events)


@dataclass(frozen=True, slots=True)
class PreviousDecision:
    """A decision of one's own, as looking back shows it."""

    seq: int
    candidate_id: int
    kind: Kind
    """Of a flip: what it says now."""
    reason: str | None
    at: str

    @property
    def is_label(self) -> bool:
        """It gave the card its label: what the judges say can no longer bend that."""
        return self.kind in (Kind.ACCEPT, Kind.REJECT)


def decisions_before(connection: Connection, actor: str, seq: int | None, count: int = 1) -> list[PreviousDecision]:
    """The person's decisions that stand, newest first, before `seq` (None: from the newest)."""
    found: list[PreviousDecision] = []
    rows = connection.execute(
        text("""SELECT seq, candidate_id, CASE kind WHEN 'flip' THEN verdict ELSE kind END AS kind, reason, at
                FROM event WHERE actor = :actor AND uid = act AND (:seq IS NULL OR seq < :seq)
                  AND kind IN ('accept', 'reject', 'unsure', 'skip', 'edit', 'flip') ORDER BY seq DESC"""),
        {"actor": actor, "seq": seq},
    )
    for row in rows:
        if len(found) == count:
            break
        if not is_undone(connection, row.seq):
            found.append(PreviousDecision(row.seq, row.candidate_id, Kind(row.kind), row.reason, row.at))
    rows.close()
    return found
