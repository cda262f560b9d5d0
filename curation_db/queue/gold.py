"""Gold: candidates whose answer is known, served among the others so that everybody learns how right they are.

A known answer is a fact beside the events (the table `gold`), never an event: nobody decided anything by it. While a
candidate is gold everybody is asked, whatever the overlap; what people answer is kept as events that are marked `gold`,
and the fold counts no vote in them. So a known answer settles nothing: such a pair is exported only where it was
accepted as every other one is, by votes from before, by an adjudicator or by a policy.

A person's score is over FIRST answers: the answer is told after the decision, so whoever takes an answer back and gives
another one has been told. What is kept for the audit is never gold: its label must be blind, and drawn by lot.

Reads only; `gold_marks` says what is gold, `review` writes the answers.
"""

from __future__ import annotations

from dataclasses import dataclass

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
_FIRST = text("""
    SELECT e.actor, k.answer, e.kind, count(*) AS n FROM event e JOIN gold k ON k.candidate_id = e.candidate_id
    WHERE e.gold AND e.kind IN ('accept', 'reject') AND NOT EXISTS (
        SELECT 1 FROM event f WHERE f.candidate_id = e.candidate_id AND f.actor = e.actor AND f.seq < e.seq
        AND f.gold AND f.kind IN ('accept', 'reject'))
    GROUP BY e.actor, k.answer, e.kind ORDER BY e.actor
""")
_HELD = text("""
    SELECT k.answer, s.state != 'superseded' AS served, count(*) AS n FROM gold k
    JOIN candidate_state s ON s.candidate_id = k.candidate_id GROUP BY 1, 2
""")


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """The answer to a candidate."""

    kind: Kind
    """Accept or reject."""
    reason: Reason | None = None

    @classmethod
    def parse(cls, told: object) -> KnownAnswer:
        """ "accept", "reject", or the reason of a rejection ("present").

        Raises:
            ValueError: it is none of these.
        """
        word = told.strip().lower().replace(" ", "_") if isinstance(told, str) else ""
        if word in list(Reason):
            return cls(Kind.REJECT, Reason(word))
        if word in ANSWERS:
            return cls(Kind(word))
        raise ValueError(f"a known answer is accept, reject, or why it is rejected ({', '.join(Reason)})")


@dataclass(frozen=True, slots=True)
class GoldScore:
    """How often one person was right the first time."""

    name: str
    right: int
    wrongly_accepted: int
    wrongly_rejected: int

    @property
    def answers(self) -> int:
        """How many cards with a known answer this person has decided."""
        return self.right + self.wrongly_accepted + self.wrongly_rejected

    @property
    def share(self) -> Interval:
        """The share of right answers with its Wilson interval."""
        return wilson(self.right, self.answers)


@dataclass(frozen=True, slots=True)
class WithheldGold:
    """How many candidates are gold."""

    accept: int = 0
    """Served, with this answer; so too the next."""
    reject: int = 0
    edited: int = 0
    """Out of play: somebody mended the text, and the answer was to the old one."""


def known_answer(connection: Connection, candidate_id: int) -> KnownAnswer | None:
    """The candidate's answer, where that is known."""
    row = connection.execute(_KNOWN, {"id": candidate_id}).first()
    return KnownAnswer(Kind(row.answer), Reason(row.reason) if row.reason else None) if row else None


def conceals(connection: Connection, candidate_id: int, actor: str) -> bool:
    """Whether the answer is known and this person has yet to give one: then nothing may tell it."""
    if known_answer(connection, candidate_id) is None:
        return False
    return connection.execute(_ANSWERED, {"id": candidate_id, "actor": actor}).first() is None


def scores(connection: Connection) -> list[GoldScore]:
    """Everybody's score, by name; counts all answers, so it is for `status`."""
    told: dict[str, list[int]] = {}
    for row in connection.execute(_FIRST):
        counts = told.setdefault(row.actor, [0, 0, 0])
        counts[0 if row.kind == row.answer else 1 if row.kind == Kind.ACCEPT else 2] += row.n
    return [GoldScore(name, *counts) for name, counts in sorted(told.items())]


def held(connection: Connection) -> WithheldGold:
    """How many candidates are gold."""
    counts = {"accept": 0, "reject": 0, "edited": 0}
    for row in connection.execute(_HELD):
        counts[row.answer if row.served else "edited"] += row.n
    return WithheldGold(**counts)
