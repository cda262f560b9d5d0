"""Read-only queries of an annotation session: counts by state, previous decisions, lists of matches.

Each costs an index look-up or a count over an index. Only `original_action` is on the path from a key to the next card.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from sqlalchemy import Connection, bindparam, text

from curation_db.enums import Kind, State
from curation_db.events.event_log import UNDONE_SQL, PreviousDecision, decisions_before
from curation_db.events.in_force import in_force_sql

SETTLED = frozenset({State.ACCEPTED, State.REJECTED, State.CONTESTED})
"""States that need no more votes."""
_HISTORY_PAGE = 8
_STATES = text("SELECT state, count(*) FROM candidate_state GROUP BY state")
_UNSETTLED_GOLD = text("""
    SELECT s.state, count(*) FROM gold k JOIN candidate_state s ON s.candidate_id = k.candidate_id
    WHERE s.state IN ('open', 'needs_more', 'unsure') GROUP BY s.state
""")
_AUDIT_STATES = text("""
    SELECT s.state, count(*) FROM candidate c JOIN candidate_state s ON s.candidate_id = c.id WHERE c.audit GROUP BY 1
""")
_DECISION_OF_SESSION = f"""
    e.session = :session AND {in_force_sql()} AND NOT (e.kind = 'accept' AND e.uid != e.act
        AND EXISTS (SELECT 1 FROM event p WHERE p.uid = e.act AND p.kind = 'edit'))
"""
"""SQL condition: a decision in force of the session; an edit and the accept of its text are one decision."""
_SESSION_CANDIDATES = (
    "SELECT e.candidate_id FROM event e WHERE +e.actor = :actor AND e.kind != 'skip' AND e.seq > :since"
)
_SESSION_COUNTS = text(f"""
    SELECT coalesce(e.verdict, e.kind), count(*) FROM event e WHERE e.actor = :actor AND {_DECISION_OF_SESSION}
    GROUP BY 1
""")
_OWN_EDIT = text(f"""
    SELECT child_id FROM event e WHERE candidate_id = :id AND kind = 'edit' AND actor = :actor AND NOT {UNDONE_SQL}
""")


# A state reveals other annotators' decisions, and on a gold item the known answer, so it is hidden until own decision.
_MATCHES = text(f"""
    SELECT c.id, c.text, c.concept, CASE
        WHEN s.state = 'superseded' THEN s.state
        WHEN EXISTS (SELECT 1 FROM gold k WHERE k.candidate_id = c.id) THEN NULL
        WHEN EXISTS (
            SELECT 1 FROM event e WHERE e.candidate_id IN (c.id, c.parent_id) AND (e.candidate_id = c.id OR
            e.child_id = c.id) AND e.actor = :actor AND e.kind IN ('accept', 'reject', 'flip', 'adjudicate', 'edit')
            AND NOT {UNDONE_SQL}
        ) THEN s.state END AS state
    FROM candidate c JOIN candidate_state s ON s.candidate_id = c.id WHERE c.id IN :ids
""").bindparams(bindparam("ids", expanding=True))


@dataclass(frozen=True, slots=True)
class Match:
    candidate_id: int
    text: str
    concept: str | None
    state: State | None
    """None: hidden, because the annotator has not decided about the candidate; "superseded" is never hidden."""


def has_candidates(connection: Connection) -> bool:
    """Return whether the record contains any candidate."""
    return connection.execute(text("SELECT 1 FROM candidate LIMIT 1")).first() is not None


def counts(connection: Connection) -> dict[State, int]:
    """Count the candidates by state, without unsettled gold items, which wait for no decision.

    It counts over an index, so it is not for every key press.
    """
    counted = Counter({State(state): number for state, number in connection.execute(_STATES)})
    counted.subtract({State(state): number for state, number in connection.execute(_UNSETTLED_GOLD)})
    return dict(+counted)


def is_audit(connection: Connection, candidate_id: int) -> bool:
    """Return whether the candidate belongs to the blind audit set."""
    audit = connection.execute(text("SELECT audit FROM candidate WHERE id = :id"), {"id": candidate_id}).scalar()
    return bool(audit)


def candidate_key(connection: Connection, candidate_id: int) -> str:
    """Return the candidate's key within its source."""
    return str(connection.execute(text("SELECT key FROM candidate WHERE id = :id"), {"id": candidate_id}).scalar_one())


def original_action(connection: Connection, action_id: str) -> tuple[Kind, str | None]:
    """Return kind and reason of the action that an undo or a redo is about; the chain is followed to its start."""
    row = connection.execute(
        text("SELECT kind, reason, undo_of FROM event WHERE uid = :action"), {"action": action_id}
    ).one()
    while row.kind == Kind.UNDO:
        row = connection.execute(
            text("SELECT kind, reason, undo_of FROM event WHERE seq = :seq"), {"seq": row.undo_of}
        ).one()
    return Kind(row.kind), row.reason


def previous_own_decision(
    connection: Connection, actor: str, before: int | None, but: Iterable[int]
) -> PreviousDecision | None:
    """Return the annotator's newest decision in force before the event `before`, except on the cards in `but`.

    A text and the same annotator's edit of it are one card, so the candidate of the result is the newest edit.
    """
    skipped = set(but)
    while page := decisions_before(connection, actor, before, _HISTORY_PAGE):
        for past in page:
            latest = _on_latest_edit(connection, actor, past)
            if latest.candidate_id not in skipped:
                return latest
        before = page[-1].seq
    return None


def own_decision_in_force(connection: Connection, actor: str, candidate_id: int) -> PreviousDecision | None:
    """Return the annotator's last decision in force on a candidate; the edit that created it counts as one."""
    row = connection.execute(
        text(f"""SELECT max(seq) FROM event e
                 WHERE candidate_id IN (:id, (SELECT parent_id FROM candidate WHERE id = :id))
                 AND (candidate_id = :id OR child_id = :id) AND actor = :actor AND uid = act
                 AND kind IN ('accept', 'reject', 'unsure', 'skip', 'edit', 'flip') AND NOT {UNDONE_SQL}"""),
        {"id": candidate_id, "actor": actor},
    ).scalar()
    decisions = decisions_before(connection, actor, row + 1, 1) if row is not None else []
    return replace(decisions[0], candidate_id=candidate_id) if decisions else None


def _on_latest_edit(connection: Connection, actor: str, past: PreviousDecision) -> PreviousDecision:
    """Move a decision to the newest text of the annotator's own chain of edits."""
    number = past.candidate_id
    while (child := connection.execute(_OWN_EDIT, {"id": number, "actor": actor}).scalar()) is not None:
        number = child
    return replace(past, candidate_id=number)


def session_counts(connection: Connection, actor: str, session: str) -> dict[Kind, int]:
    """Count the decisions in force of a session by kind; a flip and an adjudication count as their verdict."""
    rows = connection.execute(_SESSION_COUNTS, {"actor": actor, "session": session})
    return {Kind(kind): number for kind, number in rows}


def session_candidates(
    connection: Connection, actor: str, session: str, *, since: int, among: Collection[int] | None = None
) -> set[int]:
    """Return the candidates with a decision in force of a session, other than a skip.

    Args:
        since: The newest event when the session began: only later ones are read.
        among: Only these candidates are looked up; None: all.
    """
    statement = f"{_SESSION_CANDIDATES} AND {_DECISION_OF_SESSION}"
    values = {"actor": actor, "session": session, "since": since}
    if among is None:
        return set(connection.execute(text(statement), values).scalars())
    found = text(f"{statement} AND e.candidate_id IN :among").bindparams(bindparam("among", expanding=True))
    return set(connection.execute(found, {**values, "among": list(among)}).scalars())


def audit_counts(connection: Connection) -> dict[State, int]:
    """Count the candidates of the audit set by state."""
    return {State(state): number for state, number in connection.execute(_AUDIT_STATES)}


def matches(connection: Connection, candidate_ids: list[int], actor: str) -> list[Match]:
    """Return list rows of these candidates as this annotator may see them, in the given order."""
    rows = connection.execute(_MATCHES, {"ids": candidate_ids, "actor": actor})
    by_id = {row.id: Match(row.id, row.text, row.concept, State(row.state) if row.state else None) for row in rows}
    return [by_id[number] for number in candidate_ids if number in by_id]
