"""The work of one session of an annotator: decisions, time, speed, gold items, agreement with others. Reads only.

Definitions:

* decisions: those in force (`in_force`), each candidate of a bulk decision counted; an adjudication is a decision of
  the kind of its verdict.
* active time: the time on cards (`Event.elapsed_ms`), at most a minute per decision. The annotation session counts at
  most a minute between two keys and nothing while the terminal is in the background, so breaks do not count. Decisions
  in bulk have no time.
* gold: first answers of this session to gold items.
* agreement: pairs of an accept or reject in force of this session and one of another person about the same candidate.
  Unsure is no vote. Adjudications and gold items do not count: they are no independent votes.

For the end of a session, not for the way to the next card: it reads all events of the annotator.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text

from curation_db.enums import Kind
from curation_db.events.in_force import PERSON_ROLES_SQL, in_force_sql
from curation_db.queue.gold import GoldScore, session_score
from curation_db.search.queries import session_counts
from curation_db.stats.decision_speed import AnnotationSpeed, session_speed

if TYPE_CHECKING:
    from curation_db.stats.agreement import Agreement

_SETTLED = text(f"""
    SELECT count(*) FROM event e
    WHERE e.actor = :actor AND e.session = :session AND e.kind = 'adjudicate' AND {in_force_sql()}
""")
_PAIRS = text(f"""
    SELECT c.image_id, coalesce(e.verdict, e.kind) AS own, coalesce(o.verdict, o.kind) AS other
    FROM event e JOIN event o INDEXED BY event_candidate ON o.candidate_id = e.candidate_id AND o.actor != e.actor
    JOIN candidate c ON c.id = e.candidate_id
    WHERE e.actor = :actor AND e.session = :session AND e.kind IN ('accept', 'reject', 'flip') AND NOT e.gold
      AND o.kind IN ('accept', 'reject', 'flip') AND NOT o.gold AND o.role IN {PERSON_ROLES_SQL}
      AND {in_force_sql()} AND {in_force_sql("o")}
    ORDER BY e.seq, o.seq
""")
_LAST = text("""
    SELECT w.id, w.started_at, w.ended_at FROM work_session w WHERE w.id = (
        SELECT e.session FROM event e WHERE e.actor = :actor AND e.uid = e.act ORDER BY e.seq DESC LIMIT 1)
""")


@dataclass(frozen=True, slots=True)
class SessionWork:
    decisions: dict[Kind, int]
    settled: int
    """Adjudications among the decisions."""
    speed: AnnotationSpeed
    gold: GoldScore
    agreement: Agreement | None
    """None: no candidate has a vote of the session and one of another person."""

    def figures(self) -> dict[str, Any]:
        """Return the figures for `--json`."""
        share = asdict(self.gold.share) if self.gold.answers else None
        return {
            "decisions": {str(kind): number for kind, number in self.decisions.items()},
            "settled": self.settled,
            "speed": {**self.speed.figures(), "per_minute": self.speed.per_minute},
            "gold": {"right": self.gold.right, "answers": self.gold.answers, "share": share},
            "agreement": asdict(self.agreement) if self.agreement is not None else None,
        }


def session_work(connection: Connection, actor: str, session: str) -> SessionWork:
    """Return the work of one session."""
    named = {"actor": actor, "session": session}
    return SessionWork(
        session_counts(connection, actor, session),
        connection.execute(_SETTLED, named).scalar_one(),
        session_speed(connection, actor, session),
        session_score(connection, actor, session),
        _agreement(connection, named),
    )


def last_sessions(connection: Connection) -> list[dict[str, Any]]:
    """Return the figures of the last session of each annotator in which something was decided, for `--json`."""
    sessions = []
    for name in connection.execute(text("SELECT name FROM annotator ORDER BY name")).scalars().all():
        row = connection.execute(_LAST, {"actor": name}).first()
        if row is not None:
            times = {"started_at": row.started_at, "ended_at": row.ended_at}
            sessions.append({"name": name, **times, **session_work(connection, name, row.id).figures()})
    return sessions


def _agreement(connection: Connection, named: dict[str, str]) -> Agreement | None:
    pairs = connection.execute(_PAIRS, named).all()
    if not pairs:
        return None
    from curation_db.stats.agreement import agreement  # noqa: PLC0415 -- numpy, only where annotators overlap

    votes = [(row.own, row.other) for row in pairs]
    return agreement(votes, (str(Kind.ACCEPT), str(Kind.REJECT)), [row.image_id for row in pairs])
