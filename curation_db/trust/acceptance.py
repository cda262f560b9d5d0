"""Which candidates judges may accept so that the precision is at least a target, with a confidence. Pure functions.

In each stratum the candidates are ordered by a score, and thresholds are tested from strict to loose (fixed-sequence
testing, Learn then Test: Angelopoulos et al. 2021). The walk stops at the first threshold that its audit labels do not
certify, so the whole walk has the error probability of one test. The thresholds and the first one to test depend on
scores and never on the labels that test them. Strata share the error probability equally.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

from curation_db.stats.intervals import LEVEL, exact_lower
from curation_db.trust import declared_looks, running_audit

_STEPS: Final = 40
"""Thresholds are the quantiles of the scores in steps of 1 / 40."""
_MARGIN: Final = 0.5
"""The walk starts where the mean score exceeds the target by this share of what is left to 1."""
_ERRORS_ALLOWED: Final = (5, 3, 1, 0)
_FIRST_SHARE: Final = 0.5
"""The first test uses at most this share of the audit set, unless the smallest sample needs more."""
_LEAST_SHARE: Final = 0.05
"""The first threshold accepts at least this share of the stratum."""


class Looking(StrEnum):
    """How often the labels may be looked at."""

    ONCE = "once"
    """One look at a sample whose size is fixed beforehand: the exact bound."""
    RUNNING = "running"
    """After every label: the anytime-valid bound."""


@dataclass(frozen=True, slots=True)
class AuditLabel:
    """Blind label of a person on a candidate of the audit set; each candidate of the stratum was equally likely."""

    score: float
    right: bool
    """Whether an automatic acceptance would be right; an unsure answer counts as wrong."""


@dataclass(frozen=True, slots=True)
class Stratum:
    name: str
    scores: Sequence[float]
    """Calibrated P(right) of each candidate that a rule may accept."""
    audit_scores: Sequence[float]
    """Calibrated P(right) of each candidate of the audit set, labelled or not."""
    labels: Sequence[AuditLabel]
    """In the order in which they were given."""


@dataclass(frozen=True, slots=True)
class Test:
    """A threshold and the labels that test it."""

    threshold: float
    labels: int
    errors: int
    bound: float
    """Lower bound of the precision, at the confidence of the stratum."""
    certified: bool
    accepted: int
    """Candidates with at least this score."""
    missing: int
    """Further labels above the threshold that would certify it if all were right; 0: it is certified."""


@dataclass(frozen=True, slots=True)
class StratumRule:
    """Result of the walk in one stratum."""

    name: str
    confidence: float
    tests: tuple[Test, ...]
    """From strict to loose, up to the first that is not certified."""

    @property
    def in_force(self) -> Test | None:
        """The loosest certified threshold; None: nothing may be accepted."""
        return next((test for test in reversed(self.tests) if test.certified), None)

    @property
    def next(self) -> Test | None:
        """The first threshold that is not certified; None: all candidates may be accepted."""
        return self.tests[-1] if self.tests and not self.tests[-1].certified else None


def plan_acceptance(
    strata: Sequence[Stratum], target: float, *, confidence: float = LEVEL, looking: Looking = Looking.RUNNING
) -> tuple[StratumRule, ...]:
    """Walk the thresholds of each stratum; the probability that any certified one is below `target` is 1 - confidence.

    Args:
        target: Precision of the accepted candidates, in 0..1.
        confidence: Of all strata together; each stratum gets its share of 1 - confidence.
        looking: ONCE only where the number of labels was fixed before the first of them was seen.
    """
    if not 0 < target < 1 or not 0 < confidence < 1:
        raise ValueError(f"a target precision and a confidence are between 0 and 1, not {target} and {confidence}")
    level = 1 - (1 - confidence) / max(len(strata), 1)
    return tuple(StratumRule(each.name, level, _walk(each, target, level, looking)) for each in strata)


def _walk(stratum: Stratum, target: float, level: float, looking: Looking) -> tuple[Test, ...]:
    tests = []
    least = _first_sample(len(stratum.audit_scores), target, level, looking)
    for threshold in thresholds(stratum.scores, target, stratum.audit_scores, least):
        tests.append(_test(stratum, threshold, target, level, looking))
        if not tests[-1].certified:
            break
    return tuple(tests)


def _first_sample(audit: int, target: float, level: float, looking: Looking) -> int:
    """Return the number of audit candidates that the first threshold accepts at least.

    One error in the smallest sample would end the walk, so the first test leaves room for errors where the audit set
    allows it.
    """
    sizes = [_required(_required_labels(looking), target, errors, level) for errors in _ERRORS_ALLOWED]
    return next((size for size in sizes if size <= audit * _FIRST_SHARE), sizes[-1])


def thresholds(scores: Sequence[float], target: float, audit: Sequence[float] = (), least: int = 0) -> list[float]:
    """Return the thresholds to test, from strict to loose. They depend on scores alone.

    The first one is the loosest at which the mean score still exceeds the target clearly, and which accepts enough
    candidates of the audit set for a certificate without errors.

    Args:
        scores: Of the candidates, calibrated.
        audit: Scores of the audit set.
        least: Number of audit candidates that the first threshold accepts at least, where any does.
    """
    ordered = sorted(scores, reverse=True)
    if not ordered:
        return []
    ends = sorted({max(1, math.ceil(len(ordered) * step / _STEPS)) for step in range(1, _STEPS + 1)})
    grid = list(dict.fromkeys(ordered[end - 1] for end in ends))
    counted, promised = sorted(audit), target + _MARGIN * (1 - target)
    start, total, at = len(grid) - 1, 0.0, 0
    for index, threshold in enumerate(grid):
        while at < len(ordered) and ordered[at] >= threshold:
            total += ordered[at]
            at += 1
        if at < _LEAST_SHARE * len(ordered) or len(counted) - bisect_left(counted, threshold) < least:
            continue
        start = min(start, index) if total / at < promised else index
        if total / at < promised:
            break
    return grid[start:]


def _test(stratum: Stratum, threshold: float, target: float, level: float, looking: Looking) -> Test:
    answers = [label.right for label in stratum.labels if label.score >= threshold]
    labels, errors = len(answers), answers.count(False)
    if looking is Looking.ONCE:
        certified = declared_looks.certifies(labels, errors, target, confidence=level)
        bound = exact_lower(labels - errors, labels, level=level) if labels else 0.0
    else:
        certified = ever_certified(answers, target, level)
        bound = running_audit.lower_bound(labels - errors, errors, confidence=level)
    missing = 0 if certified else _required(_required_labels(looking), target, errors, level) - labels
    accepted = sum(score >= threshold for score in stratum.scores)
    return Test(threshold, labels, errors, bound, certified, accepted, missing)


def ever_certified(answers: Sequence[bool], target: float, confidence: float) -> bool:
    """Return whether the labels certify the target after any of them, in the order in which they were given.

    With a given number of errors each further right label raises the e-value, so the smallest certifying sample of that
    number of errors decides.
    """
    errors = 0
    for labels, right in enumerate(answers, start=1):
        errors += not right
        if labels >= _required(running_audit.required_labels, target, errors, confidence):
            return True
    return False


def _required_labels(looking: Looking) -> Callable[..., int]:
    return declared_looks.required_labels if looking is Looking.ONCE else running_audit.required_labels


@cache
def _required(required: Callable[..., int], target: float, errors: int, confidence: float) -> int:
    return required(target, errors, confidence=confidence)


class Standing(StrEnum):
    """What the labels so far mean for acceptances under a certified rule."""

    HOLDS = "holds"
    SUSPENDED = "suspended"
    """The bound is below the target again: nothing further is accepted, earlier acceptances stay."""
    REFUTED = "refuted"
    """The precision is below the target, with the confidence: earlier acceptances are withdrawn."""


def standing(right: int, wrong: int, target: float, *, confidence: float = LEVEL) -> Standing:
    """Return the standing of a rule after further audit labels; valid after every label.

    A new model, prompt version or corpus ends a rule whatever its labels say: its labels are about another population.
    """
    if running_audit.refutes(right, wrong, target, confidence=confidence):
        return Standing.REFUTED
    holds = running_audit.certifies(right, wrong, target, confidence=confidence)
    return Standing.HOLDS if holds else Standing.SUSPENDED
