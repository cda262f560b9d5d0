"""What one session of an annotator shows about speed, gold items and agreement with others. Reads only."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from curation_db.events.in_force import PERSON_ROLES_SQL, in_force_sql
from curation_db.queue.gold import GoldScore, session_score
from curation_db.stats.decision_speed import AnnotationSpeed, session_speed
from curation_db.stats.intervals import Interval, wilson

_VOTE = "coalesce({0}.verdict, {0}.kind)"
_OWN, _OTHER = _VOTE.format("e"), _VOTE.format("o")
_AGREEMENT = text(f"""
    SELECT count(*) AS votes, coalesce(sum({_OWN} = {_OTHER}), 0) AS equal
    FROM event e JOIN event o ON o.candidate_id = e.candidate_id AND o.actor != e.actor
    WHERE e.actor = :actor AND e.session = :session AND NOT e.gold AND NOT o.gold
      AND {_OWN} IN ('accept', 'reject') AND {_OTHER} IN ('accept', 'reject')
      AND e.kind IN ('accept', 'reject', 'flip', 'adjudicate') AND {in_force_sql("e")}
      AND o.kind IN ('accept', 'reject', 'flip', 'adjudicate') AND o.role IN {PERSON_ROLES_SQL} AND {in_force_sql("o")}
""")


@dataclass(frozen=True, slots=True)
class VotesOfOthers:
    """Accepts and rejects in force of other people on the candidates that were decided in a session."""

    equal: int = 0
    """Votes that are the same as the annotator's decision."""
    votes: int = 0

    @property
    def share(self) -> Interval:
        """The share of equal votes, with its Wilson interval."""
        return wilson(self.equal, self.votes)


@dataclass(frozen=True, slots=True)
class SessionWork:
    speed: AnnotationSpeed = field(default_factory=AnnotationSpeed)
    gold: GoldScore = field(default_factory=lambda: GoldScore("", 0, 0, 0))
    """First answers to gold items."""
    others: VotesOfOthers = field(default_factory=VotesOfOthers)


def session_work(connection: Connection, actor: str, session: str) -> SessionWork:
    """Return the work of an annotator in a session; reads the annotator's events."""
    row = connection.execute(_AGREEMENT, {"actor": actor, "session": session}).one()
    return SessionWork(
        session_speed(connection, actor, session),
        session_score(connection, actor, session),
        VotesOfOthers(row.equal, row.votes),
    )
