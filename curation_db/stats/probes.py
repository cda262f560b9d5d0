"""Answers to probes: verified triplets, and how consistent a person's answers are with their accepts.

After an accept, a probe asks about the affirmed twin of the negated caption, which should be false of the image, and
about a paraphrase, which should be true. The answers need no gold items, and are no votes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from curation_db.enums import PROBES, Kind, Role
from curation_db.events.state import FoldEvent, effective_events
from curation_db.stats.intervals import Interval, wilson

_EVENTS = text(f"""
    SELECT seq, candidate_id, actor, role, kind, verdict, undo_of, gold, note, session FROM event
    WHERE seq <= coalesce(:until, seq) AND candidate_id IN (
        SELECT candidate_id FROM event WHERE kind IN ({", ".join(f"'{kind}'" for kind in PROBES)}))
    ORDER BY candidate_id, seq
""")


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    candidate_id: int
    person: str
    session: str
    kind: Kind
    sentence: str
    is_true: bool

    @property
    def is_consistent(self) -> bool:
        """Whether the answer fits the accept: the twin is false, or the paraphrase is true."""
        return self.is_true is (self.kind is Kind.PARAPHRASE)


@dataclass(frozen=True, slots=True)
class VerifiedTriplet:
    """Sentences about one image: besides the negated caption a true paraphrase and a false affirmed twin."""

    paraphrase: str
    twin: str

    def to_dict(self) -> dict[str, str]:
        return {"paraphrase": self.paraphrase, "twin": self.twin}


@dataclass(frozen=True, slots=True)
class Consistency:
    """Answers to probes, and how many of them fit the accept before them."""

    answers: int = 0
    consistent: int = 0

    @property
    def share(self) -> Interval:
        """The share of consistent answers, with its interval."""
        return wilson(self.consistent, self.answers)

    def figures(self) -> dict[str, Any]:
        """Return the counts and the share as JSON types; the share is null without answers."""
        share = self.share if self.answers else None
        values = {"estimate": share.estimate, "low": share.low, "high": share.high} if share else None
        return {"answers": self.answers, "consistent": self.consistent, "share": values}


def read_answers(connection: Connection, until: int | None = None) -> list[ProbeAnswer]:
    """Return each person's newest answer in effect to each question, as of the event `until` (None: now)."""
    by_candidate: dict[int, list[Any]] = defaultdict(list)
    for row in connection.execute(_EVENTS, {"until": until}):
        by_candidate[row.candidate_id].append(row)
    return [answer for rows in by_candidate.values() for answer in _answers(rows)]


def _answers(rows: Iterable[Any]) -> Iterable[ProbeAnswer]:
    """Return the answers of one candidate."""
    by_seq = {row.seq: row for row in rows}
    events = [
        FoldEvent(row.seq, row.actor, Role(row.role), Kind(row.kind), undo_of=row.undo_of) for row in by_seq.values()
    ]
    newest = {(event.actor, event.kind): event.seq for event in effective_events(events) if event.kind in PROBES}
    for (person, kind), seq in newest.items():
        row = by_seq[seq]
        yield ProbeAnswer(row.candidate_id, person, row.session, kind, row.note, row.verdict == Kind.ACCEPT)


def verified_triplets(answers: Iterable[ProbeAnswer]) -> dict[int, VerifiedTriplet]:
    """Return the triplets by candidate: both questions are answered, and no answer of anybody contradicts the caption.

    Whether the negated caption itself is accepted is not checked here.
    """
    by_candidate: dict[int, list[ProbeAnswer]] = defaultdict(list)
    for answer in answers:
        by_candidate[answer.candidate_id].append(answer)
    triplets = {}
    for number, given in by_candidate.items():
        sentences = {answer.kind: answer.sentence for answer in given}
        if len(sentences) == len(PROBES) and all(answer.is_consistent for answer in given):
            triplets[number] = VerifiedTriplet(sentences[Kind.PARAPHRASE], sentences[Kind.TWIN])
    return triplets


def consistency(answers: Iterable[ProbeAnswer]) -> Mapping[str, Consistency]:
    """Return the consistency of each person with answers."""
    counted: dict[str, Consistency] = {}
    for answer in answers:
        before = counted.get(answer.person, Consistency())
        counted[answer.person] = Consistency(before.answers + 1, before.consistent + answer.is_consistent)
    return counted
