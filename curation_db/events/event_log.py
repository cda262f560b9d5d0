"""Actions in the event log: the events of one key press, whether they are in effect, and the targets of undo and redo.

An action is the set of events with the same `act` id. If its first event is an undo, the action is an undo. An action
is in effect while no effective undo reverts it. This module only reads; `review` writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

from sqlalchemy import Connection, text

from curation_db.enums import Kind, Stream

_MAX_CANDIDATES_OF_A_KEY = 2
"""A key press without a bulk concerns at most the card and the child that an edit creates."""


@dataclass(frozen=True, slots=True)
class RecordedActionEvent:
    seq: int
    candidate_id: int
    child_id: int | None


@dataclass(frozen=True, slots=True)
class RecordedAction:
    """Action of one person by one key press, as stored."""

    id: str
    actor: str
    kind: Kind
    """Kind of the first event."""
    stream: Stream
    blind: bool
    events: tuple[RecordedActionEvent, ...]

    @property
    def bulk(self) -> bool:
        """Whether the action concerns more candidates than one card and its edited child."""
        return len({event.candidate_id for event in self.events}) > _MAX_CANDIDATES_OF_A_KEY


def undone_sql(event: str = "e") -> str:
    """Return a SQL condition: the event of this alias is undone. Aliases: u undo, r redo, x undo of the redo."""
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
    SELECT e.uid FROM event e JOIN event target ON target.seq = e.undo_of AND target.kind != 'undo'
    WHERE e.actor = :actor AND e.uid = e.act AND e.kind = 'undo' AND NOT {UNDONE_SQL}
      AND e.seq > (SELECT coalesce(max(d.seq), 0) FROM event d
                   WHERE d.actor = :actor AND d.uid = d.act AND d.kind != 'undo')
    ORDER BY e.seq DESC LIMIT 1
""")


def last_effective_action(connection: Connection, actor: str) -> RecordedAction | None:
    """Return the actor's newest action in effect that is no undo: the target of the next undo."""
    action_id = connection.execute(_SELECT_LAST_ACTION, {"actor": actor}).scalar()
    return load_action(connection, action_id) if action_id else None


def last_redoable_undo(connection: Connection, actor: str) -> RecordedAction | None:
    """Return the actor's newest undo in effect, the target of redo; None if another action came after it."""
    action_id = connection.execute(_SELECT_LAST_UNDO, {"actor": actor}).scalar()
    return load_action(connection, action_id) if action_id else None


def effective_action(connection: Connection, action_id: str) -> RecordedAction | None:
    """Return the action of any actor with this id; None if it is undone, is an undo or does not exist."""
    statement = f"""
        SELECT e.uid FROM event e WHERE e.uid = :act AND e.act = :act AND e.kind != 'undo' AND NOT {UNDONE_SQL}
    """
    uid = connection.execute(text(statement), {"act": action_id}).scalar()
    return load_action(connection, uid) if uid else None


def has_vote(connection: Connection, candidate_id: int, actor: str) -> bool:
    """Return whether the actor has a vote in effect on the candidate: accept, reject, unsure or flip."""
    rows = connection.execute(
        text(f"""SELECT 1 FROM event e WHERE e.candidate_id = :id AND e.actor = :actor
                 AND e.kind IN ('accept', 'reject', 'unsure', 'flip') AND NOT {UNDONE_SQL} LIMIT 1"""),
        {"id": candidate_id, "actor": actor},
    )
    return rows.first() is not None


def has_decided(connection: Connection, candidate_id: int, actor: str) -> bool:
    """Return whether the actor has an accept or reject in effect, as a vote or as an adjudication."""
    rows = connection.execute(
        text(f"""SELECT 1 FROM event e WHERE e.candidate_id = :id AND e.actor = :actor
                 AND e.kind IN ('accept', 'reject', 'flip', 'adjudicate') AND NOT {UNDONE_SQL} LIMIT 1"""),
        {"id": candidate_id, "actor": actor},
    )
    return rows.first() is not None


def is_undone(connection: Connection, seq: int) -> bool:
    """Return whether an undo of this event is in effect."""
    return bool(connection.execute(text(f"SELECT {UNDONE_SQL} FROM event e WHERE e.seq = :seq"), {"seq": seq}).scalar())


def other_decider(connection: Connection, candidate_id: int, actor: str) -> str | None:
    """Return the name of another actor with a decision in effect on this candidate."""
    return connection.execute(
        text(f"""SELECT e.actor FROM event e WHERE e.candidate_id = :id AND e.actor != :actor
                 AND e.kind IN ('accept', 'reject', 'unsure', 'edit', 'adjudicate', 'flip') AND NOT {UNDONE_SQL}
                 ORDER BY e.seq DESC LIMIT 1"""),
        {"id": candidate_id, "actor": actor},
    ).scalar()


def own_flag(connection: Connection, candidate_id: int, actor: str) -> int | None:
    """Return the number of the actor's flag in effect on this candidate."""
    rows = connection.execute(
        text("SELECT seq FROM event WHERE candidate_id = :id AND actor = :actor AND kind = 'flag' ORDER BY seq DESC"),
        {"id": candidate_id, "actor": actor},
    ).all()
    return next((row.seq for row in rows if not is_undone(connection, row.seq)), None)


def load_action(connection: Connection, action_id: str) -> RecordedAction:
    """Return the action with this id.

    Its events were written in one transaction and have consecutive numbers, so no index on `act` is needed.
    """
    result = connection.execute(
        text("""SELECT seq, candidate_id, child_id, act, actor, kind, stream, blind FROM event
                WHERE seq >= (SELECT seq FROM event WHERE uid = :act) ORDER BY seq"""),
        {"act": action_id},
    )
    rows = list(takewhile(lambda row: row.act == action_id, result))
    result.close()
    events = tuple(RecordedActionEvent(row.seq, row.candidate_id, row.child_id) for row in rows)
    first = rows[0]
    return RecordedAction(action_id, first.actor, Kind(first.kind), Stream(first.stream), bool(first.blind), events)


@dataclass(frozen=True, slots=True)
class PreviousDecision:
    """Earlier decision of the annotator, as the back key shows it."""

    seq: int
    candidate_id: int
    kind: Kind
    """For a flip its new verdict."""
    reason: str | None
    at: str

    @property
    def is_label(self) -> bool:
        """Whether the decision gave the card its label, so that the judges' verdicts can no longer influence it."""
        return self.kind in (Kind.ACCEPT, Kind.REJECT)


def decisions_before(connection: Connection, actor: str, seq: int | None, count: int = 1) -> list[PreviousDecision]:
    """Return up to `count` decisions of the actor in effect before event `seq` (None: all), newest first."""
    decisions: list[PreviousDecision] = []
    rows = connection.execute(
        text("""SELECT seq, candidate_id, CASE kind WHEN 'flip' THEN verdict ELSE kind END AS kind, reason, at
                FROM event WHERE actor = :actor AND uid = act AND (:seq IS NULL OR seq < :seq)
                  AND kind IN ('accept', 'reject', 'unsure', 'skip', 'edit', 'flip') ORDER BY seq DESC"""),
        {"actor": actor, "seq": seq},
    )
    for row in rows:
        if len(decisions) == count:
            break
        if not is_undone(connection, row.seq):
            decisions.append(PreviousDecision(row.seq, row.candidate_id, Kind(row.kind), row.reason, row.at))
    rows.close()
    return decisions
