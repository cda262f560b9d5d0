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
from typing import Final, Protocol

from curation_db.stats.intervals import LEVEL
from curation_db.trust import declared_looks, running_audit

_STEPS: Final = 40
"""Thresholds are the quantiles of the scores in steps of 1 / 40."""
_ROUNDING: Final = 1e-9
_PRECISE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class AuditLabel:
    """Blind label of a person on a candidate of the audit set; each candidate of the stratum was equally likely."""

    score: float
    right: bool
    """Whether an automatic acceptance would be right; an unsure answer counts as wrong."""
    number: int
    """Its place among the labels of all strata, from 1, in the order in which they were given."""


@dataclass(frozen=True, slots=True)
class Stratum:
    name: str
    thresholds: Sequence[float]
    """Falling; declared before the labels were seen (`declare_thresholds`)."""
    scores: Sequence[float]
    """P(right) of each candidate that a rule may accept."""
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
    strata: Sequence[Stratum], target: float, *, confidence: float = LEVEL, looks: Sequence[int] | None = None
) -> tuple[StratumRule, ...]:
    """Walk the thresholds of each stratum; the probability that any certified one is below `target` is 1 - confidence.

    Args:
        target: Precision of the accepted candidates, in 0..1.
        confidence: Of all strata together; each stratum gets its share of 1 - confidence.
        looks: Declared looks, as numbers of labels of all strata; labels after the last reached look do not count yet.
            None: the labels are looked at continuously, and all of them count.
    """
    if not 0 < target < 1 or not 0 < confidence < 1:
        raise ValueError(f"a target precision and a confidence are between 0 and 1, not {target} and {confidence}")
    level = stratum_level(confidence, len(strata))
    given = max((label.number for stratum in strata for label in stratum.labels), default=0)
    audit: _Audit = _RunningAudit() if looks is None else _DeclaredAudit(tuple(looks), given)
    return tuple(StratumRule(each.name, level, _walk(each, target, level, audit)) for each in strata)


def stratum_level(confidence: float, strata: int) -> float:
    """Return the confidence of each stratum, so that all together hold `confidence` (Bonferroni)."""
    return 1 - (1 - confidence) / max(strata, 1)


def _walk(stratum: Stratum, target: float, level: float, audit: _Audit) -> tuple[Test, ...]:
    tests = []
    for threshold in stratum.thresholds:
        tests.append(_test(stratum, threshold, target, level, audit))
        if not tests[-1].certified:
            break
    return tuple(tests)


def declare_thresholds(
    scores: Sequence[float], audit: Sequence[float], target: float, *, level: float = LEVEL, running: bool = True
) -> list[float]:
    """Return the thresholds to test in a stratum, from strict to loose. They depend on scores alone.

    The first one is where the scores promise the safest test: there the audit set exceeds the sample that a certificate
    with the expected number of errors needs by the largest factor. Stricter ones are left out, because a failed test
    ends the walk. The scores may be wrong about the precision: that costs acceptances, and never the guarantee.

    Args:
        scores: Calibrated P(right) of the candidates of the stratum.
        audit: The same of its audit set, labelled or not.
        target: Precision.
        level: Confidence of this stratum (`stratum_level`).
        running: Whether the labels are looked at continuously, which takes more of them.
    """
    ordered = sorted(scores, reverse=True)
    if not ordered:
        return []
    ends = sorted({max(1, math.ceil(len(ordered) * step / _STEPS)) for step in range(1, _STEPS + 1)})
    grid = list(dict.fromkeys(ordered[end - 1] for end in ends))
    counted = sorted(audit)
    safety = []
    for threshold in grid:
        above = [score for score in ordered if score >= threshold]
        tested = len(counted) - bisect_left(counted, threshold)
        errors = math.ceil(tested * (1 - math.fsum(above) / len(above)) - _ROUNDING)
        safety.append(tested / smallest_sample(target, errors, level=level, running=running))
    return grid[safety.index(max(safety)) :]


def smallest_sample(target: float, errors: int = 0, *, level: float = LEVEL, running: bool = True) -> int:
    """Return the number of labels that a certificate with this number of errors needs."""
    required = running_audit.required_labels if running else declared_looks.required_labels
    return _required(required, target, errors, level)


def _test(stratum: Stratum, threshold: float, target: float, level: float, audit: _Audit) -> Test:
    above = [label for label in stratum.labels if label.score >= threshold]
    labels, errors = audit.counted(above)
    certified = audit.certifies(above, target, level)
    missing = 0 if certified else audit.missing(above, target, level)
    accepted = sum(score >= threshold for score in stratum.scores)
    return Test(threshold, labels, errors, audit.bound(above, level), certified, accepted, missing)


class _Audit(Protocol):
    """How the labels above a threshold, in order, are looked at."""

    def counted(self, labels: Sequence[AuditLabel]) -> tuple[int, int]:
        """Return the number of labels that count now, and of the wrong ones among them."""

    def certifies(self, labels: Sequence[AuditLabel], target: float, level: float) -> bool:
        """Return whether a look until now certifies the target."""

    def bound(self, labels: Sequence[AuditLabel], level: float) -> float:
        """Return the largest precision that the labels certify now."""

    def missing(self, labels: Sequence[AuditLabel], target: float, level: float) -> int:
        """Return the number of further right labels that would certify the target."""


class _RunningAudit:
    """A look after every label."""

    def counted(self, labels: Sequence[AuditLabel]) -> tuple[int, int]:
        return len(labels), sum(not label.right for label in labels)

    def certifies(self, labels: Sequence[AuditLabel], target: float, level: float) -> bool:
        return ever_certified([label.right for label in labels], target, level)

    def bound(self, labels: Sequence[AuditLabel], level: float) -> float:
        count, errors = self.counted(labels)
        return running_audit.lower_bound(count - errors, errors, confidence=level)

    def missing(self, labels: Sequence[AuditLabel], target: float, level: float) -> int:
        count, errors = self.counted(labels)
        return _required(running_audit.required_labels, target, errors, level) - count


@dataclass(frozen=True, slots=True)
class _DeclaredAudit:
    """Looks when the labels of all strata together reach the declared numbers."""

    looks: tuple[int, ...]
    given: int
    """Number of labels of all strata so far."""

    def counted(self, labels: Sequence[AuditLabel]) -> tuple[int, int]:
        reached = max((look for look in self.looks if look <= self.given), default=0)
        counting = [label.right for label in labels if label.number <= reached]
        return len(counting), counting.count(False)

    def certifies(self, labels: Sequence[AuditLabel], target: float, level: float) -> bool:
        return self._certifies(self._reached(labels), target, level)

    def bound(self, labels: Sequence[AuditLabel], level: float) -> float:
        reached, low, high = self._reached(labels), 0.0, 1.0
        while high - low > _PRECISE:
            middle = (low + high) / 2
            low, high = (middle, high) if self._certifies(reached, middle, level) else (low, middle)
        return low

    def missing(self, labels: Sequence[AuditLabel], target: float, level: float) -> int:
        """The further labels come at one last look, which spends what is left."""
        reached = self._reached(labels)
        count, errors, _ = reached[-1] if reached else (0, 0, 0.0)
        low, high = 0, 1
        while not self._certifies([*reached, (count + high, errors, 1.0)], target, level):
            low, high = high, high * 2
        while high - low > 1:
            middle = (low + high) // 2
            enough = self._certifies([*reached, (count + middle, errors, 1.0)], target, level)
            low, high = (low, middle) if enough else (middle, high)
        return high

    def _reached(self, labels: Sequence[AuditLabel]) -> list[tuple[int, int, float]]:
        """Return (labels, errors, share of the error probability) at each reached look with further labels.

        The shares follow the labels of all strata: how many of them are above a threshold depends on scores alone.
        """
        found: dict[int, tuple[int, int, float]] = {}
        for look in self.looks:
            if look <= self.given:
                counting = [label.right for label in labels if label.number <= look]
                found[len(counting)] = (len(counting), counting.count(False), look / self.looks[-1])
        return [found[count] for count in sorted(found) if count]

    def _certifies(self, reached: Sequence[tuple[int, int, float]], target: float, level: float) -> bool:
        if not reached:
            return False
        counts, errors, shares = zip(*reached, strict=True)
        plan = declared_looks.plan_looks(counts, target, confidence=level, spending=shares)
        return plan.certified(errors) is not None


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


def standing(right: int, wrong: int, target: float, *, confidence: float = LEVEL, running: bool = True) -> Standing:
    """Return the standing of a rule after further audit labels.

    The refutation holds at any time. A rule of declared looks is suspended by the exact bound: to suspend early costs
    acceptances, never precision.
    """
    if running_audit.refutes(right, wrong, target, confidence=confidence):
        return Standing.REFUTED
    if running:
        holds = running_audit.certifies(right, wrong, target, confidence=confidence)
    else:
        holds = declared_looks.certifies(right + wrong, wrong, target, confidence=confidence)
    return Standing.HOLDS if holds else Standing.SUSPENDED
