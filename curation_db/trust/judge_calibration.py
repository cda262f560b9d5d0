"""How far the probabilities of each judge agree with the audit labels, before and after calibration. Reads only.

A judge is a name with a model, a prompt version and a question. Its probability is P(right): of the claim "absent" for
the question whether the concept is present, of the claim "acceptable" for the other question. Figures weigh each label
with the inverse of its sampling probability, so that they hold for all candidates; certificates never do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from curation_db.enums import Claim, ConsensusMethod, Question
from curation_db.trust.calibration import LogitScale, Reliability, fit_platt, fit_temperature, reliability
from curation_db.trust.evidence import Item, JudgeIdentity, audit_items, judge_of, split_by_image

PLATT_LABELS: Final = 200
"""From so many fitting labels on slope and intercept are fitted, below only a temperature."""
CLAIMS: Final = {Question.PRESENT: Claim.ABSENT, Question.ACCEPTABLE: Claim.ACCEPTABLE}


@dataclass(frozen=True, slots=True)
class Answers:
    """Counts of a judge's answers (right: p >= .5) against the labels."""

    right_right: int
    """The judge finds right what people find right."""
    right_wrong: int
    """The judge finds right what people find wrong: such errors harm training data."""
    wrong_right: int
    wrong_wrong: int


@dataclass(frozen=True, slots=True)
class JudgeReport:
    judge: JudgeIdentity
    claim: Claim
    answers: Answers
    raw: Reliability
    """On all labels."""
    scale: LogitScale
    """Calibration, fitted on the labels of the images set aside for it."""
    tested: Reliability
    """Raw probabilities on the labels of the other images."""
    calibrated: Reliability
    """Calibrated probabilities on the same labels as `tested`."""


def judge_reports(
    connection: Connection, *, consensus: ConsensusMethod = ConsensusMethod.MAJORITY
) -> list[JudgeReport]:
    """Return a report of each judge with at least one audit label, by judge, question, model and prompt version."""
    reports = []
    for question, claim in CLAIMS.items():
        labelled = [item for item in audit_items(connection, claim, consensus=consensus) if item.right is not None]
        keys = {key for item in labelled for key in item.evidence.judges if judge_of(key).question is question}
        reports += [_report(key, claim, [item for item in labelled if key in item.evidence.judges]) for key in keys]
    return sorted(reports, key=lambda report: report.judge)


def _report(key: str, claim: Claim, items: Sequence[Item]) -> JudgeReport:
    fitting, testing = split_by_image(items)
    fit = fit_platt if len(fitting) >= PLATT_LABELS else fit_temperature
    scale = fit(*_pairs(key, fitting))
    probabilities, right = _pairs(key, items)
    tested, outcomes = _pairs(key, testing)
    weights = [1 / item.rate for item in testing]
    pairs = list(zip(probabilities, right, strict=True))
    return JudgeReport(
        judge_of(key),
        claim,
        Answers(*(sum((p >= 0.5, y) == cell for p, y in pairs) for cell in _CELLS)),
        reliability(probabilities, right, weights=[1 / item.rate for item in items]),
        scale,
        reliability(tested, outcomes, weights=weights),
        reliability(scale.apply(tested), outcomes, weights=weights),
    )


_CELLS = ((True, True), (True, False), (False, True), (False, False))


def _pairs(key: str, items: Sequence[Item]) -> tuple[list[float], list[bool]]:
    return [item.evidence.judges[key] for item in items], [bool(item.right) for item in items]
