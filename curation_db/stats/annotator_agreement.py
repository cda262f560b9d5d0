"""How far the people of a record agree, and what one must know to read kappa. Reads only.

A vote is an accept or a reject that stands; unsure is none. Items of one picture are no independent evidence, so
intervals resample pictures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from curation_db.enums import Kind
from curation_db.events.event_log import undone_sql
from curation_db.stats.agreement import Agreement, agreement
from curation_db.stats.intervals import RESAMPLES

VOTES: Final = (Kind.ACCEPT, Kind.REJECT)
SKEWED: Final = 0.75
"""From this share of like votes on kappa tells little."""

_STANDING = text("""
    SELECT c.image_id, s.accepts, s.rejects FROM candidate_state s JOIN candidate c ON c.id = s.candidate_id
    WHERE s.accepts + s.rejects >= 2 ORDER BY s.candidate_id
""")
_LABELS = f"""
    SELECT candidate_id, actor, kind, reason FROM (
        SELECT e.seq, e.candidate_id, e.actor, e.kind, e.reason,
               row_number() OVER (PARTITION BY e.candidate_id, e.actor ORDER BY e.seq) AS nth
        FROM event e WHERE e.stream = 'audit' AND e.blind AND e.kind IN ('accept', 'reject')
          AND e.role IN ('annotator', 'adjudicator') AND NOT {undone_sql()}
    ) AS label WHERE nth = 1
"""
"""The audit's labels: each person's first accept or reject that stands, given before anything was revealed. A flip
comes after the reveal, so it is none."""
_AUDIT = text(f"""
    SELECT c.image_id, sum(l.kind = 'accept') AS accepts, sum(l.kind = 'reject') AS rejects
    FROM ({_LABELS}) AS l JOIN candidate c ON c.id = l.candidate_id
    GROUP BY c.id HAVING count(*) >= 2 ORDER BY c.id
""")


@dataclass(frozen=True, slots=True)
class VoteAgreement:
    """Agreement, and how lopsided the votes are that it is about."""

    coefficients: Agreement
    accepts: int
    """Of its ratings."""

    @property
    def accept_share(self) -> float | None:
        """None where nobody has voted twice."""
        return self.accepts / self.coefficients.ratings if self.coefficients.ratings else None


def current_agreement(connection: Connection, *, resamples: int = RESAMPLES) -> VoteAgreement:
    """Over the candidates with votes of two people or more, as they stand now."""
    return _consensus([tuple(row) for row in connection.execute(_STANDING)], resamples)


def audit_agreement(connection: Connection, *, resamples: int = RESAMPLES) -> VoteAgreement:
    """Over the audit's labels: first words, given blind, so nobody could lean on a judge."""
    return _consensus([tuple(row) for row in connection.execute(_AUDIT)], resamples)


def audit_labels() -> str:
    """SQL for the audit's labels: candidate_id, actor, kind, reason."""
    return _LABELS


def _consensus(counted: Sequence[tuple[int, int, int]], resamples: int) -> VoteAgreement:
    items = [[Kind.ACCEPT] * accepts + [Kind.REJECT] * rejects for _, accepts, rejects in counted]
    told = agreement(items, VOTES, [image for image, _, _ in counted], resamples=resamples)
    return VoteAgreement(told, sum(accepts for _, accepts, _ in counted))


def explain_kappa(consensus: VoteAgreement) -> str:
    """One line on what kappa is worth here; empty where nothing can be said."""
    accepted = consensus.accept_share
    if accepted is None:
        return ""
    by_chance, kappa = accepted**2 + (1 - accepted) ** 2, consensus.coefficients.kappa.estimate
    said = "undefined" if math.isnan(kappa) else f"{kappa:.2f}"
    if max(accepted, 1 - accepted) < SKEWED:
        return (
            f"Kappa is {said}: votes are mixed here ({accepted:.0%} accepts), so it may be read. "
            "At 88 % accepts it would sink whatever people do; AC1 would not."
        )
    named, share = ("accepts", accepted) if accepted >= SKEWED else ("rejects", 1 - accepted)
    return (
        f"Kappa is {said}, and misleads: with {share:.0%} {named} it takes {by_chance:.0%} agreement for chance, "
        "so a few slips pull it towards 0 however well people agree. AC1 does not do that."
    )
