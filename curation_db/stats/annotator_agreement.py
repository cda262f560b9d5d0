"""Agreement of the annotators of a record, with an explanation of kappa. Reads only.

A vote is an accept or a reject in force; unsure is not a vote. Items of one image are not independent, so intervals
resample images.
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
"""If one vote has at least this share, kappa is misleading."""

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
"""The audit labels: each annotator's first accept or reject in force, given before the reveal. A flip comes after the
reveal, so it is not a label."""
_AUDIT = text(f"""
    SELECT c.image_id, sum(l.kind = 'accept') AS accepts, sum(l.kind = 'reject') AS rejects
    FROM ({_LABELS}) AS l JOIN candidate c ON c.id = l.candidate_id
    GROUP BY c.id HAVING count(*) >= 2 ORDER BY c.id
""")


@dataclass(frozen=True, slots=True)
class VoteAgreement:
    """Agreement of votes, and the share of accepts among them."""

    coefficients: Agreement
    accepts: int
    """Number of accepts among the ratings."""

    @property
    def accept_share(self) -> float | None:
        """Share of accepts; None: no candidate has two votes."""
        return self.accepts / self.coefficients.ratings if self.coefficients.ratings else None


def current_agreement(connection: Connection, *, resamples: int = RESAMPLES) -> VoteAgreement:
    """Compute the agreement over the candidates with votes in force of two or more annotators."""
    return _consensus([tuple(row) for row in connection.execute(_STANDING)], resamples)


def audit_agreement(connection: Connection, *, resamples: int = RESAMPLES) -> VoteAgreement:
    """Compute the agreement over the audit labels, which are given blind and so independent of the judges."""
    return _consensus([tuple(row) for row in connection.execute(_AUDIT)], resamples)


def audit_labels() -> str:
    """Return SQL for the audit labels: candidate_id, actor, kind, reason."""
    return _LABELS


def _consensus(counted: Sequence[tuple[int, int, int]], resamples: int) -> VoteAgreement:
    items = [[Kind.ACCEPT] * accepts + [Kind.REJECT] * rejects for _, accepts, rejects in counted]
    coefficients = agreement(items, VOTES, [image for image, _, _ in counted], resamples=resamples)
    return VoteAgreement(coefficients, sum(accepts for _, accepts, _ in counted))


def explain_kappa(consensus: VoteAgreement) -> str:
    """Return one line on whether kappa is informative for these votes; empty without votes."""
    accepted = consensus.accept_share
    if accepted is None:
        return ""
    by_chance, kappa = accepted**2 + (1 - accepted) ** 2, consensus.coefficients.kappa.estimate
    value = "undefined" if math.isnan(kappa) else f"{kappa:.2f}"
    if max(accepted, 1 - accepted) < SKEWED:
        return (
            f"Kappa is {value} and informative, because the votes are mixed ({accepted:.0%} accepts). "
            "At 88 % accepts kappa would approach 0 at any agreement; AC1 would not."
        )
    vote, share = ("accepts", accepted) if accepted >= SKEWED else ("rejects", 1 - accepted)
    return (
        f"Kappa is {value} and misleads: with {share:.0%} {vote}, kappa takes {by_chance:.0%} agreement for chance, "
        "so a few slips move it towards 0 even at high agreement. AC1 is not affected."
    )
