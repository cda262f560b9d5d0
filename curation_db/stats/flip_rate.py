"""What a reveal of the verdicts does to people: how often each annotator changes a blind audit label afterwards.

A label is an annotator's first blind accept or reject (`annotator_agreement.audit_labels`). It is flipped if the
annotator's newest flip in effect that saw the verdicts has the other verdict. The record does not tell which labels
were revealed (`negwb curate --reveal`), so the rate is over all labels: without a reveal at each label it is too low.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from curation_db.enums import Kind, Question
from curation_db.events.event_log import undone_sql
from curation_db.stats.annotator_agreement import audit_labels
from curation_db.stats.intervals import Interval, wilson

_LABELS = text(f"""
    SELECT l.actor, l.kind AS label,
           (SELECT e.verdict FROM event e INDEXED BY event_flip WHERE e.candidate_id = l.candidate_id
            AND e.kind = 'flip' AND e.actor = l.actor AND NOT e.blind AND NOT {undone_sql()}
            ORDER BY e.seq DESC LIMIT 1) AS flip,
           (SELECT avg(CASE v.question WHEN '{Question.PRESENT}' THEN 1 - v.p ELSE v.p END) FROM verdict v
            WHERE v.candidate_id = l.candidate_id AND v.p IS NOT NULL) AS right
    FROM ({audit_labels()}) AS l
""")


@dataclass(frozen=True, slots=True)
class FlipRate:
    """Audit labels of one annotator, and those that a flip changed after a reveal."""

    labels: int = 0
    flips: int = 0
    toward: int = 0
    """Flips to what the judges say, in the mean of their P(right)."""
    away: int = 0
    """Flips away from what the judges say. Without verdicts, or at a mean of .5, a flip has no direction."""
    differing: int = 0
    """Labels that differ from what the judges say: the ones that a flip could take towards them."""
    agreeing: int = 0

    @property
    def rate(self) -> Interval:
        """Share of the labels that are flipped, with its Wilson interval."""
        return wilson(self.flips, self.labels)

    @property
    def toward_rate(self) -> Interval:
        """Share of the labels that differ from the judges and are flipped."""
        return wilson(self.toward, self.differing)

    @property
    def away_rate(self) -> Interval:
        """Share of the labels that agree with the judges and are flipped."""
        return wilson(self.away, self.agreeing)

    def __add__(self, other: FlipRate) -> FlipRate:
        return FlipRate(
            self.labels + other.labels,
            self.flips + other.flips,
            self.toward + other.toward,
            self.away + other.away,
            self.differing + other.differing,
            self.agreeing + other.agreeing,
        )

    def figures(self) -> dict[str, Any]:
        """Return counts and rates as JSON types; a rate is null without labels."""
        return {
            "labels": self.labels,
            "flips": self.flips,
            "toward_judges": self.toward,
            "away_from_judges": self.away,
            "labels_differing_from_judges": self.differing,
            "labels_agreeing_with_judges": self.agreeing,
            "rate": _json(self.rate, self.labels),
            "toward_rate": _json(self.toward_rate, self.differing),
            "away_rate": _json(self.away_rate, self.agreeing),
        }


def flip_rates(connection: Connection) -> dict[str, FlipRate]:
    """Return the flip rate of each annotator with audit labels, by name."""
    return count_flips(
        (row.actor, Kind(row.label), None if row.flip is None else Kind(row.flip), row.right)
        for row in connection.execute(_LABELS)
    )


def count_flips(labels: Iterable[tuple[str, Kind, Kind | None, float | None]]) -> dict[str, FlipRate]:
    """Count labels (annotator, label, verdict of the flip, mean P(right) of the judges) by annotator, in name order."""
    rates: dict[str, FlipRate] = {}
    for name, label, flip, right in labels:
        before = rates.get(name, FlipRate())
        flipped = flip is not None and flip is not label
        judges = None if right is None or right == 0.5 else Kind.ACCEPT if right > 0.5 else Kind.REJECT
        differs = judges is not None and judges is not label
        agrees = judges is label
        rates[name] = before + FlipRate(1, flipped, flipped and differs, flipped and agrees, differs, agrees)
    return dict(sorted(rates.items()))


def total_flips(rates: Mapping[str, FlipRate]) -> FlipRate:
    """Return the flips of all annotators together."""
    total = FlipRate()
    for each in rates.values():
        total += each
    return total


def _json(rate: Interval, labels: int) -> dict[str, float] | None:
    return {"estimate": rate.estimate, "low": rate.low, "high": rate.high} if labels else None
