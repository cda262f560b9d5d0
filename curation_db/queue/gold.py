"""Gold items: candidates with a known answer, served among the others to measure how accurate each annotator is.

A known answer is a row of the table `gold`, never an event, because it is not a decision. A gold item is served to
every annotator, whatever the overlap. The answers are stored as events that are marked `gold`, and the fold counts no
vote in them. So a known answer settles nothing: a gold item is exported only where it was accepted like any other
candidate, by earlier votes, by an adjudicator or by a policy.

A score counts FIRST answers only: the known answer is shown after the decision, so a second answer is not independent.
Candidates of the audit set are never gold, because their labels must be blind and randomly sampled.

Read-only. `review.gold_marking` marks candidates as gold; `review.decisions` writes the answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from curation_db.enums import Kind, Reason
from curation_db.events.event_log import UNDONE_SQL
from curation_db.stats.intervals import Interval, wilson

ANSWERS = frozenset({Kind.ACCEPT, Kind.REJECT})
_KNOWN = text("SELECT answer, reason FROM gold WHERE candidate_id = :id")
_ANSWERED = text(f"""
    SELECT 1 FROM event e WHERE e.candidate_id = :id AND e.actor = :actor AND e.gold
    AND e.kind IN ('accept', 'reject') AND NOT {UNDONE_SQL} LIMIT 1
""")
_FIRST = """
    SELECT e.actor, k.answer, e.kind, count(*) AS n FROM event e JOIN gold k ON k.candidate_id = e.candidate_id
    WHERE e.gold AND e.kind IN ('accept', 'reject') AND NOT EXISTS (
        SELECT 1 FROM event f WHERE f.candidate_id = e.candidate_id AND f.actor = e.actor AND f.seq < e.seq
        AND f.gold AND f.kind IN ('accept', 'reject'))
"""
_BY_ACTOR = "GROUP BY e.actor, k.answer, e.kind ORDER BY e.actor"
_OF_ALL = text(f"{_FIRST} {_BY_ACTOR}")
_OF_SESSION = text(f"{_FIRST} AND e.actor = :actor AND e.session = :session {_BY_ACTOR}")
_COUNTS = text("""
    SELECT k.answer, s.state != 'superseded' AS served, count(*) AS n FROM gold k
    JOIN candidate_state s ON s.candidate_id = k.candidate_id GROUP BY 1, 2
""")


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """The known answer of a gold item."""

    kind: Kind
    """Accept or reject."""
    reason: Reason | None = None

    @classmethod
    def parse(cls, value: object) -> KnownAnswer:
        """Parse "accept", "reject" or a reject reason such as "present".

        Raises:
            ValueError: `value` is none of these.
        """
        word = value.strip().lower().replace(" ", "_") if isinstance(value, str) else ""
        if word in list(Reason):
            return cls(Kind.REJECT, Reason(word))
        if word in ANSWERS:
            return cls(Kind(word))
        raise ValueError(f"a known answer is accept, reject, or why it is rejected ({', '.join(Reason)})")


@dataclass(frozen=True, slots=True)
class GoldScore:
    """How often the first answer of one annotator was right."""

    name: str
    right: int
    wrongly_accepted: int
    wrongly_rejected: int

    @property
    def answers(self) -> int:
        """The number of gold items that this annotator has decided."""
        return self.right + self.wrongly_accepted + self.wrongly_rejected

    @property
    def share(self) -> Interval:
        """The share of right answers, with its Wilson interval."""
        return wilson(self.right, self.answers)


@dataclass(frozen=True, slots=True)
class GoldCounts:
    """How many gold items there are."""

    accept: int = 0
    """Items that are served, with this known answer; likewise for `reject`."""
    reject: int = 0
    edited: int = 0
    """Items whose text an edit has replaced: they are not served, since the answer belongs to the old text."""


def known_answer(connection: Connection, candidate_id: int) -> KnownAnswer | None:
    """Return the known answer of a candidate; None where it is no gold item."""
    row = connection.execute(_KNOWN, {"id": candidate_id}).first()
    return KnownAnswer(Kind(row.answer), Reason(row.reason) if row.reason else None) if row else None


def must_hide(connection: Connection, candidate_id: int, actor: str) -> bool:
    """Return whether the known answer must stay hidden: this annotator has not answered the gold item yet."""
    if known_answer(connection, candidate_id) is None:
        return False
    return connection.execute(_ANSWERED, {"id": candidate_id, "actor": actor}).first() is None


def scores(connection: Connection) -> list[GoldScore]:
    """Return the score of every annotator, by name. Reads all gold answers; meant for `status`."""
    return _scores(connection.execute(_OF_ALL))


def session_score(connection: Connection, actor: str, session: str) -> GoldScore:
    """Return the score of an annotator's first answers that were given in this session."""
    scored = _scores(connection.execute(_OF_SESSION, {"actor": actor, "session": session}))
    return scored[0] if scored else GoldScore(actor, 0, 0, 0)


def _scores(rows: Iterable[Any]) -> list[GoldScore]:
    by_actor: dict[str, list[int]] = {}
    for row in rows:
        counts = by_actor.setdefault(row.actor, [0, 0, 0])
        counts[0 if row.kind == row.answer else 1 if row.kind == Kind.ACCEPT else 2] += row.n
    return [GoldScore(name, *counts) for name, counts in sorted(by_actor.items())]


def count_gold(connection: Connection) -> GoldCounts:
    counts = {"accept": 0, "reject": 0, "edited": 0}
    for row in connection.execute(_COUNTS):
        counts[row.answer if row.served else "edited"] += row.n
    return GoldCounts(**counts)
